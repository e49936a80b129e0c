import { createRecoveryChallenges, parseClusterId, planRecovery, proveRecovery } from '@leastwise/identity'
import { systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import type { RecoveryPort } from '@leastwise/swarm'
import { hashPublicKey } from '@leastwise/tokens'
import type { ClusterCommand } from '../cluster-state.ts'
import { foundedCluster, type Issuing } from '../issuing/issuing.ts'
import type { Store } from '../store.ts'

export interface RecoveringOptions {
  readonly store: Store
  readonly issuing: Issuing
  readonly now: () => number
}

/** Gives nodes whose certificate has expired their identity again, or lets them wait for the operator. */
export function createRecovering({ store, issuing, now }: RecoveringOptions): RecoveryPort {
  const challenges = createRecoveryChallenges({ random: systemRandom, digest: systemDigest })
  return {
    challenge: () => challenges.create(now()),
    recover: async (request) => {
      const asked = { ...request, csr: new TextDecoder('utf-8').decode(request.csr) }
      const state = store.state()
      const clusterId = parseClusterId(foundedCluster(state).clusterId)
      const world = { challenges, verifier: systemVerifier, digest: systemDigest, now: now() }
      const proven = await proveRecovery(asked, { ...world, ...state, clusterId })
      const publicKeyHash = hashPublicKey(proven.publicKey, systemDigest)
      const outcome: { refusal: Error | null } = { refusal: null }
      await store.commit((latest): readonly ClusterCommand[] => {
        const plan = planRecovery(proven, { ...latest, publicKeyHash, now: now() })
        outcome.refusal = plan.refusal
        return [
          ...plan.membership.map((command) => ({ part: 'membership', command }) as const),
          ...plan.recoveries.map((command) => ({ part: 'recoveries', command }) as const),
        ]
      })
      if (outcome.refusal !== null) throw outcome.refusal
      await issuing.issueFor(proven.nodeId)
      return { nodeId: proven.nodeId }
    },
  }
}
