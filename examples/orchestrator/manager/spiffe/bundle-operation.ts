import { formatSpiffeBundle, parseTrustBundle, trustBundleOf } from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import type { BundleAnswer } from '../../operator/answers.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { OperationContext } from '../operations.ts'
import type { Operation } from '../operator-server.ts'

/** What the SPIFFE standard takes where nothing is said. */
const REFRESH_HINT_MS = 300_000

/** The trust bundle, for those who are to believe the cluster's workloads. */
export function bundleOperations({ store }: OperationContext): Record<string, Operation> {
  return {
    'ca/bundle': (): BundleAnswer => {
      const { spiffe } = store.state()
      if (spiffe === null)
        throw new OrchestratorError(
          'NOT_FOUND',
          'this cluster is no trust domain; start its managers with --spiffe-trust-domain DOMAIN',
        )
      const authority = foundedCluster(store.state())
      const { roots } = parseTrustBundle(trustBundleOf(authority))
      // Within one aim of a rotation the roots are two and then one, and each aim is a higher number: no number stands for two contents.
      const sequence = 2 * authority.aims + (authority.rotation?.target ? 0 : 1)
      const bundle = formatSpiffeBundle({ sequence: BigInt(sequence), refreshHintMs: REFRESH_HINT_MS, roots })
      return { trustDomain: spiffe, sequence, bundle }
    },
  }
}
