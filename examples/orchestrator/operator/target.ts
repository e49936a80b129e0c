import { parseAddress } from '../address.ts'
import { OrchestratorError } from '../errors.ts'
import { type Given, textOf } from './command.ts'
import type { RemoteManager } from './remote/remote-manager.ts'

/** The options that say which manager is meant. */
export const targetOptions = {
  data: { type: 'string' },
  manager: { type: 'string' },
  identity: { type: 'string' },
} as const

/**
 * The data directory of a manager on this machine, or a manager somewhere else.
 *
 * @throws OrchestratorError `USAGE`, `ADDRESS_INVALID`, `OPERATOR_IDENTITY_UNFIT`
 */
export async function targetOf(given: Given): Promise<string | RemoteManager> {
  const [manager, identity] = [textOf(given, 'manager'), textOf(given, 'identity')]
  if ((manager === undefined) !== (identity === undefined))
    throw new OrchestratorError('USAGE', '--manager HOST:PORT and --identity FILE go together')
  if (manager !== undefined && identity !== undefined) {
    if (textOf(given, 'data') !== undefined)
      throw new OrchestratorError('USAGE', 'a manager is named by --data or by --manager, not by both')
    const address = parseAddress(manager)
    // For local commands, which are most of them, the time of loading it would be longer than the command.
    const { readIdentityFile } = await import('./remote/identity-file.ts')
    return { address, identity: readIdentityFile(identity, Date.now()) }
  }
  const data = textOf(given, 'data') ?? process.env['LEASTWISE_DATA'] ?? ''
  if (data === '')
    throw new OrchestratorError('USAGE', 'name the data directory of the manager with --data DIR or in LEASTWISE_DATA')
  return data
}
