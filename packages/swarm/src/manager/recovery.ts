import type { ServiceImpl } from '@connectrpc/connect'
import { SwarmError } from '../errors.ts'
import type { Recovery } from '../gen/leastwise/v1/recovery_pb.ts'
import { idField, malformed } from '../wire/fields.ts'
import { MAX_CHALLENGE_BYTES, MAX_CSR_BYTES, MAX_SIGNATURE_BYTES } from '../wire/limits.ts'
import type { RecoveryPort } from './port.ts'

/** A copy of bytes that must be there, up to a limit. */
function bytesField(bytes: Uint8Array, maxBytes: number, what: string): Uint8Array {
  if (bytes.length === 0) throw malformed('caller', what)
  if (bytes.length > maxBytes)
    throw new SwarmError('REQUEST_TOO_LARGE', `${what} has more than ${maxBytes} bytes, send a plain one`)
  return bytes.slice()
}

/** Identities for nodes that hold nothing but an expired certificate and its key. */
export function recoveryService(recovery: RecoveryPort): ServiceImpl<typeof Recovery> {
  return {
    challenge: () => ({ challenge: recovery.challenge() }),
    recover: async ({ nodeId, serial, csr, challenge, signature }, context) =>
      await recovery.recover(
        {
          nodeId: idField(nodeId, 'caller', 'node id'),
          serial: idField(serial, 'caller', 'serial'),
          csr: bytesField(csr, MAX_CSR_BYTES, 'certificate request'),
          challenge: bytesField(challenge, MAX_CHALLENGE_BYTES, 'challenge'),
          signature: bytesField(signature, MAX_SIGNATURE_BYTES, 'signature'),
        },
        { signal: context.signal },
      ),
  }
}
