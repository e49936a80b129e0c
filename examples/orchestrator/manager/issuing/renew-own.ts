import { createCsr, nodeOf } from '@leastwise/identity'
import { createNodeKey, exportPrivateKey, systemDigest } from '@leastwise/identity/node'
import { hashPublicKey } from '@leastwise/tokens'
import { deadlineOf } from '../../deadline.ts'
import { codeOf, OrchestratorError } from '../../errors.ts'
import type { ManagerIdentity } from '../manager-keys.ts'
import { rootElsewhere } from '../root/root-at-hand.ts'
import type { Store } from '../store.ts'

export interface RenewOwnOptions {
  readonly nodeId: string
  readonly store: Store
  readonly issueNow: (nodeId: string) => Promise<void>
  readonly trustBundle: string
  /** Default {@link OWN_RENEWAL_WAIT_MS}. */
  readonly waitMs?: number
  readonly signal: AbortSignal
}

/** So long a manager without the key of the root waits for one that has it, before it asks anew. */
export const OWN_RENEWAL_WAIT_MS = 20_000

const superseded = (): OrchestratorError =>
  new OrchestratorError('INTERNAL', 'the certificate was superseded while it was made')

/** Waits until another manager has signed what this one asked for. */
async function signedElsewhere(
  csr: string,
  { nodeId, store, waitMs = OWN_RENEWAL_WAIT_MS, signal }: RenewOwnOptions,
): Promise<void> {
  using patience = deadlineOf(signal, waitMs)
  try {
    for await (const { membership } of store.watch(patience)) {
      const self = nodeOf(membership, nodeId)
      if (self?.csr !== csr) throw superseded()
      if (self.certificate !== null) return
    }
  } catch (error) {
    signal.throwIfAborted()
    if (patience.signal.aborted) throw rootElsewhere()
    throw error
  }
}

/** A new key and certificate for the manager itself, recorded but not saved yet. */
export async function renewOwn(options: RenewOwnOptions): Promise<ManagerIdentity> {
  const { nodeId, store, issueNow, trustBundle } = options
  const key = createNodeKey()
  const csr = await createCsr(key)
  const publicKeyHash = hashPublicKey(csr.publicKey, systemDigest)
  await store.commit((state) => {
    const self = nodeOf(state.membership, nodeId)
    if (self === null)
      throw new OrchestratorError(
        'JOURNAL_UNREADABLE',
        'the log does not know this manager; restore the data directory from a backup',
      )
    return [{ part: 'membership', command: { type: 'renew', nodeId: self.nodeId, csr: csr.pem, publicKeyHash } }]
  })
  try {
    await issueNow(nodeId)
  } catch (error) {
    if (codeOf(error) !== 'ROOT_KEY_OUTSIDE') throw error
    await signedElsewhere(csr.pem, options)
  }
  const certificate = nodeOf(store.state().membership, nodeId)?.certificate ?? null
  if (certificate === null) throw superseded()
  return { privateKey: exportPrivateKey(key), certificateChain: certificate, trustBundle }
}
