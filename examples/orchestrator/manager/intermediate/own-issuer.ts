import {
  type Certificate,
  createCsr,
  type IssuingParts,
  issuingPartsOf,
  listedIssuers,
  MIN_LIFETIME_MS,
  nodeOf,
  parseCertificate,
  type SigningAuthority,
  viewOf,
} from '@leastwise/identity'
import { createNodeKey, exportPrivateKey, systemClock } from '@leastwise/identity/node'
import type { Announce } from '../../announce.ts'
import { codeOf, OrchestratorError } from '../../errors.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { ManagerKeys } from '../manager-keys.ts'
import { mayGiveIdsOf } from '../spiffe/trust-domain.ts'
import type { Store } from '../store.ts'
import {
  type CertifiedKey,
  decodeIssuer,
  encodeIssuer,
  ISSUER,
  isNamedAfter,
  issueFrom,
  type KeptIssuer,
  openIntermediate,
} from './issuer-key.ts'
import { proveRequest, REQUEST_LIFE_MS } from './issuer-request.ts'

/** The intermediate that this manager issues from. */
export interface OwnIssuer {
  /**
   * What signs for workers now.
   *
   * @throws OrchestratorError `INTERMEDIATE_MISSING` while there is none below the root that issues now.
   */
  readonly authority: (parts: IssuingParts) => Promise<SigningAuthority>
  /** Changes the key: the one in use has lain open, or under a key that is to be worth nothing. */
  readonly renew: () => void
  /** Asks for an intermediate, and in time for the next one, until the signal fires. */
  readonly run: (signal: AbortSignal) => Promise<void>
}

export interface OwnIssuerOptions {
  readonly nodeId: string
  readonly store: Store
  readonly keys: Pick<ManagerKeys, 'identity' | 'saveSealed' | 'sealed'>
  readonly now: () => number
  readonly sleep?: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
  readonly announce: Announce
}

const STEP_MS = 250
/** While the log or the key file does not take what is to be written. */
const PAUSE_MS = 2_000
/** Long before it is too old, for clocks that differ. */
const ASK_AGAIN_MS = REQUEST_LIFE_MS / 2

const missing = (): OrchestratorError =>
  new OrchestratorError(
    'INTERMEDIATE_MISSING',
    'this manager has no intermediate to issue from yet; a manager that has the key of the root signs one for it',
  )

/** Half of its life: as much is left for whoever has the key of the root to be there. */
const renewAt = ({ notBefore, notAfter }: Certificate): number => (notBefore + notAfter) / 2

export function createOwnIssuer(options: OwnIssuerOptions): OwnIssuer {
  const { nodeId, store, keys, now, sleep = systemClock.sleep, announce } = options
  let kept: KeptIssuer = decodeIssuer(keys.sealed(ISSUER))
  let opened: { readonly of: CertifiedKey; readonly issuerId: string; readonly by: Promise<SigningAuthority> } | null =
    null
  let isExposed = false

  const keep = async (next: KeptIssuer): Promise<void> => {
    await keys.saveSealed(ISSUER, encodeIssuer(next))
    kept = next
  }
  const isRevoked = listedIssuers({ readView: () => viewOf(store.state().evictions), now })
  /** The one in use, if its leaves are accepted, and for an hour at the least. */
  const usable = ({ certificate: root }: IssuingParts): CertifiedKey | null => {
    const { current } = kept
    const certificate = current === null ? null : parseCertificate(current.certificate)
    return certificate !== null &&
      isNamedAfter(certificate, root) &&
      certificate.notAfter - now() > MIN_LIFETIME_MS &&
      !isRevoked(certificate)
      ? current
      : null
  }

  /** Takes over what was signed for the pending key. */
  const take = async (parts: IssuingParts): Promise<void> => {
    const { pending } = kept
    const answer = store
      .state()
      .issuers.get(nodeId)
      ?.issued.find(({ csr }) => csr === pending?.csr)
    if (pending === null || answer === undefined) return
    const current = { privateKey: pending.privateKey, certificate: answer.certificate }
    let certificate: Certificate
    try {
      certificate = parseCertificate(answer.certificate)
      await openIntermediate(current, parts)
    } catch (error) {
      // The root began to change while this one was signed, or somebody wrote into the log what is nothing to issue from: with another key, anew.
      await keep({ ...kept, pending: null })
      throw error
    }
    await keep({ current, pending: null })
    isExposed = false
    announce({ event: 'intermediate', serial: certificate.serial, notAfter: certificate.notAfter })
  }

  const ask = async (): Promise<void> => {
    const asked = store.state().issuers.get(nodeId)?.pending ?? null
    const isAsking = kept.pending !== null && asked?.csr === kept.pending.csr
    if (isAsking && now() - asked.at < ASK_AGAIN_MS) return
    // The key is durable before the request: what answers it is of use to nobody else.
    if (kept.pending === null) {
      const key = createNodeKey()
      await keep({ ...kept, pending: { privateKey: exportPrivateKey(key), csr: (await createCsr(key)).pem } })
    }
    const { csr } = kept.pending ?? { csr: '' }
    const at = now()
    await store.commit((state) => {
      // Demoted while it asked: nobody would ever answer, nor forget it.
      if (nodeOf(state.membership, nodeId)?.role !== 'manager') return []
      const { clusterId } = foundedCluster(state)
      const proof = proveRequest({ clusterId, nodeId, csr, at }, keys.identity())
      return [{ part: 'issuers', command: { type: 'request', managerId: nodeId, csr, proof, now: at } }]
    })
  }

  const isDue = (certificate: Certificate): boolean => {
    const { spiffe } = store.state()
    return now() >= renewAt(certificate) || (spiffe !== null && !mayGiveIdsOf(spiffe, certificate))
  }
  const step = async (): Promise<void> => {
    const parts = issuingPartsOf(foundedCluster(store.state()), now())
    await take(parts)
    const current = usable(parts)
    if (current === null || isExposed || isDue(parseCertificate(current.certificate))) await ask()
  }

  return {
    authority: async (parts) => {
      const current = usable(parts)
      if (current === null) throw missing()
      if (opened?.of !== current || opened.issuerId !== parts.issuerId)
        opened = { of: current, issuerId: parts.issuerId, by: openIntermediate(current, parts).then(issueFrom) }
      return await opened.by
    },
    renew: () => {
      isExposed = true
    },
    run: async (signal) => {
      while (!signal.aborted) {
        let pauseMs = STEP_MS
        try {
          await step()
        } catch (error) {
          pauseMs = PAUSE_MS
          announce({ event: 'intermediate-delayed', code: codeOf(error) ?? 'INTERNAL' })
        }
        await sleep(pauseMs, { signal }).catch(() => undefined)
      }
    },
  }
}
