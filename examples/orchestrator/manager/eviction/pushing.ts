import { type ClusterId, createEvictionPublisher, type ListSigner, parseCertificateChain } from '@leastwise/identity'
import { openSigner, systemClock, systemDigest, systemRandom } from '@leastwise/identity/node'
import type { EvictionsPort } from '@leastwise/swarm'
import type { ManagerIdentity } from '../manager-keys.ts'
import type { Store } from '../store.ts'

/** Pushes what the log says of evictions to every node that asks. */
export interface Pushing extends EvictionsPort {
  /** This manager has another certificate from now on. */
  readonly adopted: () => void
  /** Tells the nodes of each change, whichever manager made it, until the signal fires. */
  readonly run: (signal: AbortSignal) => Promise<void>
}

/**
 * The manager signs with its own key and chain, and not with the root's: that needs no key of the root, so that it works with an external CA, too, and
 * while the root rotates the chain verifies for nodes that trust the old root or the new one.
 */
export function createPushing({
  clusterId,
  store,
  identity,
}: {
  readonly clusterId: ClusterId
  readonly store: Store
  readonly identity: () => ManagerIdentity
}): Pushing {
  let by: { readonly chain: string; readonly signer: ListSigner } | null = null
  const publisher = createEvictionPublisher({
    clusterId,
    clock: systemClock,
    random: systemRandom,
    digest: systemDigest,
    readBook: () => store.state().evictions,
    signAs: () => {
      const { privateKey, certificateChain } = identity()
      const chain = certificateChain ?? ''
      if (by?.chain !== chain)
        by = { chain, signer: { signer: openSigner(privateKey), chain: parseCertificateChain(chain) } }
      return by.signer
    },
  })
  return {
    lists: publisher.lists,
    adopted: publisher.changed,
    run: async (signal) => {
      let seen: unknown = null
      for await (const { evictions } of store.watch({ signal })) {
        if (evictions !== seen) publisher.changed()
        seen = evictions
      }
    },
  }
}
