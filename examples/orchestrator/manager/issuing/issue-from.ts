import { OrchestratorError } from '../../errors.ts'
import { type Given, textOf } from '../../operator/command.ts'

/** What this manager signs the certificates of workers with. */
export type IssueFrom = 'intermediate' | 'root'

/** The option of `manager` that says so. */
export const ISSUE_FROM = 'issue-from'

/** @throws OrchestratorError `USAGE` */
export function issueFromIn(given: Given): IssueFrom {
  const from = textOf(given, ISSUE_FROM) ?? 'root'
  if (from === 'intermediate' || from === 'root') return from
  throw new OrchestratorError('USAGE', `--${ISSUE_FROM} is root or intermediate`)
}
