import { DEFAULT_LIFETIME_MS, parseClusterId, parseNodeId } from '@leastwise/identity'
import { createNodeKey, systemRandom } from '@leastwise/identity/node'
import { createId } from '@leastwise/tokens'
import type { RootKeeper } from '../root-keeper.ts'
import { type OutsideSigner, openExternalCa } from './open-external-ca.ts'

/** A cluster and a node that are nowhere, for trials. */
export const nobody = (lifetimeMs: number = DEFAULT_LIFETIME_MS) =>
  ({
    nodeId: parseNodeId(createId(systemRandom)),
    clusterId: parseClusterId(createId(systemRandom)),
    role: 'worker',
    lifetimeMs,
  }) as const

/** An external CA decides itself what it signs, and that is certificates. */
export const externalKeeper = (outside: OutsideSigner): RootKeeper => ({
  kind: 'external-ca',
  // What it signs is judged by the root itself. The bridge follows it for nodes that were away when the rotation began, and trust nothing but the root before.
  authority: async ({ certificate, intermediates }) =>
    await Promise.resolve({ ...openExternalCa(outside, certificate), intermediates }),
  issueOperator: async (root, csr, grant, options) =>
    await openExternalCa(outside, root).issueOperator(csr, grant, options),
  signer: null,
  createSigner: null,
  proves: async (root, { now, lifetimeMs, signal }) => {
    await openExternalCa(outside, root).dryRun(createNodeKey(), nobody(lifetimeMs), { now, signal })
  },
  crossSign: async (inForce, { root, signer, now, signal }) =>
    await openExternalCa(outside, inForce).crossSign(root, signer, { now, signal }),
})
