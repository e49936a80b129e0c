import { parseTrustBundle, verifyTrustBundleRoots } from '@leastwise/identity'
import { createNodeKey, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../../../errors.ts'
import type { FoundingAuthority } from '../../founding/genesis.ts'
import { nobody } from './external-keeper.ts'
import { openExternalCa } from './open-external-ca.ts'
import type { ExternalCaSettings } from './settings.ts'

/**
 * The authority of a new cluster whose key somebody else holds. Every address has signed a throw-away request by then, and what came
 * back was what was asked for: for a cluster and a node that are nowhere.
 *
 * @throws OrchestratorError `USAGE` without a root; the codes of the root's reading and of the dry run.
 */
export async function foundOutside(
  settings: ExternalCaSettings,
  { now, signal }: { readonly now: number; readonly signal: AbortSignal },
): Promise<FoundingAuthority> {
  if (settings.root === null)
    throw new OrchestratorError(
      'USAGE',
      'a cluster whose key is with an external ca is founded on its root: --external-ca-root FILE',
    )
  const bundle = parseTrustBundle(settings.root)
  await verifyTrustBundleRoots(bundle, { verifier: systemVerifier, now })
  const [root, ...others] = bundle.roots
  if (root === undefined || others.length > 0)
    throw new OrchestratorError('USAGE', '--external-ca-root names a file with one root certificate and no other')
  const signing = openExternalCa({ settings, identity: () => null }, root)
  await signing.dryRun(createNodeKey(), nobody(), { now, signal })
  return {
    root,
    privateKey: null,
    intermediates: [],
    signing,
    discard: async () => {
      await Promise.resolve()
    },
  }
}
