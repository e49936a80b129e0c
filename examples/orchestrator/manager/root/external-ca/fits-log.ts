import { type FoundedAuthority, parseCertificate } from '@leastwise/identity'
import { OrchestratorError } from '../../../errors.ts'
import type { IssueFrom } from '../../issuing/issue-from.ts'
import type { SigningKeeper } from '../root-keeper.ts'
import type { ExternalCaSettings } from './settings.ts'

/**
 * Refuses a start whose settings do not go with what the log says about the key of the root.
 *
 * @throws OrchestratorError `EXTERNAL_CA_NEEDED` or `EXTERNAL_CA_DIFFERS`.
 */
export function checkFitsLog(
  { roots: [root] }: FoundedAuthority,
  {
    externalCa: settings,
    keeper,
    issueFrom,
  }: {
    readonly externalCa: ExternalCaSettings | null
    readonly keeper: SigningKeeper | null
    readonly issueFrom: IssueFrom
  },
): void {
  if (settings === null) {
    // A token may wait for the next root, and a manager that issues from an intermediate leaves the rest to whoever has the key.
    if (root.privateKey !== null || keeper !== null || issueFrom === 'intermediate') return
    throw new OrchestratorError(
      'EXTERNAL_CA_NEEDED',
      'the key of this cluster is elsewhere; start the manager with --external-ca, --hsm-library or --root-key-file and what goes with it, or with --issue-from intermediate',
    )
  }
  if (root.privateKey !== null && settings.forNextRoot) return
  if (root.privateKey !== null)
    throw new OrchestratorError(
      'EXTERNAL_CA_DIFFERS',
      'this cluster holds its key itself; start the manager without --external-ca, or with --external-ca-for-next-root to move there',
    )
  if (settings.root !== null && parseCertificate(settings.root).pem !== parseCertificate(root.certificate).pem)
    throw new OrchestratorError(
      'EXTERNAL_CA_DIFFERS',
      'this cluster was founded on another root than --external-ca-root names; name its own, or leave the option out',
    )
}
