import type { RequestOptions } from 'node:https'
import { clientContextOptions, type TlsIdentity } from '@leastwise/identity/node'
import { type Address, formatAddress } from '../../address.ts'
import { codeOf, OrchestratorError } from '../../errors.ts'

/** A manager somewhere else, and whom to appear as. */
export interface RemoteManager {
  readonly address: Address
  readonly identity: TlsIdentity
}

/** How a request reaches it: the certificate of a manager under the roots that the operator was given, or nobody. */
export const remoteOptions = ({ address, identity }: RemoteManager): RequestOptions & { ALPNProtocols: string[] } => ({
  ...clientContextOptions(identity),
  ALPNProtocols: ['http/1.1'],
  host: address.host,
  port: address.port,
  agent: false,
})

const GONE: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'ETIMEDOUT'])

/** What a broken exchange means. */
export function remoteFailure(error: unknown, { address }: RemoteManager): unknown {
  const code = codeOf(error)
  if (code === null || error instanceof OrchestratorError) return error
  const where = formatAddress(address)
  if (GONE.has(code))
    return new OrchestratorError('MANAGER_NOT_RUNNING', `no manager answers operators at ${where}; check the address`)
  if (code === 'ECONNRESET' || code === 'EPIPE' || code.includes('ALERT'))
    return new OrchestratorError(
      'OPERATOR_REFUSED',
      `the manager at ${where} does not take this identity; get a new one, or check that it is of the same cluster`,
    )
  return new OrchestratorError(
    'MANAGER_UNTRUSTED',
    `what answers at ${where} does not prove to be a manager of this cluster (${code}); check the address, and suspect the network`,
  )
}
