import { parseCertificateChain } from '@leastwise/identity'
import { sameBytes } from '../agent/acceptance.ts'
import type { NodeCredentials } from '../agent/events.ts'
import { codeOf } from '../wire/status.ts'
import { createPendingKey, type PendingKey } from './certificate-request.ts'

/** What {@link createNextKey} works with. */
export interface NextKeyOptions {
  /** From an earlier run. */
  readonly kept: PendingKey | null
  /** Durable when the promise resolves. */
  readonly save: (key: PendingKey) => Promise<void>
  readonly own: () => NodeCredentials
}

/** The key of a node's next identity. One for all tries: once the manager has granted it, the identity before may be worth nothing. */
export interface NextKey {
  /** True when an earlier try may have been granted. */
  readonly wasAsked: () => boolean
  /** The key to ask with, kept before it is shown to anybody. */
  readonly take: () => Promise<PendingKey>
  /** Until the next {@link take}: the identity before is worth nothing, so that no other key can be asked for. */
  readonly hold: () => void
  /** A try has failed. One that the manager has done with is followed by a try with another key. */
  readonly failed: (error: unknown) => void
  /** The key was certified. */
  readonly drop: () => void
}

/** With these the manager has done with a request: what came of it is of no use, and the same request would bring the same. */
const SPENT: ReadonlySet<string> = new Set(['CERTIFICATE_FAILED', 'CERTIFICATE_UNACCEPTABLE', 'TRUST_BUNDLE_UNRELATED'])

export function createNextKey({ kept, save, own }: NextKeyOptions): NextKey {
  let current = kept
  let held = false
  const drop = (): void => {
    current = null
  }
  const asked = (): PendingKey | null => {
    // One that was certified meanwhile has become the old one.
    const certified = parseCertificateChain(own().certificateChain)[0]?.publicKey ?? new Uint8Array()
    return current === null || sameBytes(current.publicKey, certified) ? null : current
  }
  return {
    wasAsked: () => asked() !== null,
    take: async () => {
      held = false
      const known = asked()
      if (known !== null) return known
      const fresh = await createPendingKey()
      await save(fresh)
      current = fresh
      return fresh
    },
    hold: () => {
      held = true
    },
    failed: (error) => {
      if (!held && SPENT.has(codeOf(error) ?? '')) drop()
    },
    drop,
  }
}
