import { OrchestratorError } from '../../errors.ts'
import { print } from '../../print.ts'
import { type Given, textOf } from '../command.ts'
import { createIdentityFile } from './identity-file.ts'

/** Makes the key of an operator on the operator's own machine, and prints what a manager has to sign. */
export async function requestIdentity(given: Given): Promise<number> {
  const path = textOf(given, 'identity')
  if (path === undefined || given.positionals.length > 0 || given.rest.length > 0)
    throw new OrchestratorError('USAGE', 'usage: leastwise-orchestrator operator request --identity FILE')
  const csr = await createIdentityFile(path)
  await print(given.options['json'] === true ? JSON.stringify({ csr }) : csr.trimEnd())
  return 0
}
