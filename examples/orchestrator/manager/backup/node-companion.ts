import { OrchestratorError } from '../../errors.ts'
import { decodePlain, encodePlain } from '../../plain-data.ts'
import type { ManagerIdentity } from '../manager-keys.ts'

/** Name of this manager's identity among the companions of a backup. */
export const NODE_COMPANION = 'leastwise-orchestrator-node-v1'

export const encodeNode = ({ privateKey, certificateChain, trustBundle }: ManagerIdentity): Uint8Array =>
  encodePlain({ privateKey, certificateChain, trustBundle })

/** @throws {@link OrchestratorError} `JOURNAL_UNREADABLE` */
export function decodeNode(bytes: Uint8Array): ManagerIdentity {
  const value = decodePlain(bytes)
  const fields = typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
  const { privateKey, certificateChain, trustBundle } = fields
  if (
    privateKey instanceof Uint8Array &&
    (certificateChain === null || typeof certificateChain === 'string') &&
    typeof trustBundle === 'string'
  )
    return { privateKey, certificateChain, trustBundle }
  throw new OrchestratorError('JOURNAL_UNREADABLE', 'the backup holds no manager of this kind; use another backup')
}
