import { type Anchoring, acceptRolledBackLog } from '@leastwise/raftlog'
import { fileAnchor } from '@leastwise/raftlog/node'
import { OrchestratorError } from '../errors.ts'
import { type Given, textOf } from '../operator/command.ts'

/** The options of `manager` that are about the anchor. */
export const anchorOptions = ['anchor', 'accept-rolled-back-log'] as const

/**
 * What remembers how far the log had come; null when the command line names nothing.
 *
 * @throws {@link OrchestratorError} `USAGE`
 */
export function anchorSettings(given: Given): Anchoring | null {
  const path = textOf(given, 'anchor')
  const accepted = textOf(given, 'accept-rolled-back-log')
  if (path === undefined) {
    if (accepted === undefined) return null
    throw new OrchestratorError('USAGE', '--accept-rolled-back-log goes with --anchor FILE')
  }
  if (textOf(given, 'engine') === 'etcd')
    throw new OrchestratorError(
      'USAGE',
      '--anchor is for a log in the data directory; with etcd each manager remembers the head',
    )
  const anchor = fileAnchor(path)
  if (accepted === undefined) return { anchor }
  if (!/^[1-9]\d{0,8}$/.test(accepted))
    throw new OrchestratorError('USAGE', 'give --accept-rolled-back-log the epoch that the refusal names')
  return { anchor, [acceptRolledBackLog]: Number(accepted) }
}
