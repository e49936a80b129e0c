import { readFileSync } from 'node:fs'
import { OrchestratorError } from './errors.ts'
import { type Given, textOf } from './operator/command.ts'

const MAX_TOKEN_FILE_CHARS = 256

/** The join token that the command line gives, itself or in a file. */
export function tokenFrom(given: Given): string {
  const token = textOf(given, 'token')
  const file = textOf(given, 'token-file')
  if (token !== undefined && file !== undefined)
    throw new OrchestratorError('USAGE', 'give the join token with --token or with --token-file, not with both')
  if (token !== undefined) return token
  if (file === undefined) {
    throw new OrchestratorError(
      'TOKEN_NEEDED',
      'this node has not joined yet; give it a join token with --token-file FILE or --token TOKEN',
    )
  }
  try {
    return readFileSync(file, 'utf8').slice(0, MAX_TOKEN_FILE_CHARS).trim()
  } catch (cause) {
    throw new OrchestratorError(
      'TOKEN_NEEDED',
      'the file that --token-file names cannot be read; name a file that holds a join token',
      { cause },
    )
  }
}
