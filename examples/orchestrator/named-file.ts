import { readFileSync } from 'node:fs'
import { OrchestratorError } from './errors.ts'
import { type Given, textOf } from './operator/command.ts'

/** PEM files and keys are far smaller. */
const MAX_FILE_BYTES = 64 * 1024

/**
 * The content of the file that an option names, or null when the option was not given.
 *
 * @throws OrchestratorError `USAGE` if it cannot be read or is too large.
 */
export function namedFile(given: Given, option: string): string | null {
  const path = textOf(given, option)
  if (path === undefined) return null
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    throw new OrchestratorError('USAGE', `the file that --${option} names cannot be read; name another one`, { cause })
  }
  if (bytes.length > MAX_FILE_BYTES)
    throw new OrchestratorError('USAGE', `the file that --${option} names is too large to be meant`)
  return new TextDecoder().decode(bytes)
}
