import { join } from 'node:path'
import { OrchestratorError } from '../errors.ts'

/** The kernel's room for a socket's path (sun_path), less the closing zero. */
const MAX_SOCKET_PATH_BYTES = 107

/** Where a manager listens for its operator: inside the data directory, which only its owner may enter. */
export function operatorSocket(dataDirectory: string): string {
  const path = join(dataDirectory, 'operator.sock')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new OrchestratorError(
      'SOCKET_PATH_TOO_LONG',
      `the operator socket's path would have ${Buffer.byteLength(path)} bytes and the system allows ${MAX_SOCKET_PATH_BYTES}; use a data directory with a shorter path`,
    )
  }
  return path
}
