import { join } from 'node:path'
import { OrchestratorError } from '../errors.ts'

/** The kernel's room for a socket's path (sun_path), less the closing zero. */
const MAX_SOCKET_PATH_BYTES = 107

/** The path of a socket inside a data directory, which only its owner may enter. */
function socketIn(dataDirectory: string, name: string): string {
  const path = join(dataDirectory, name)
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw new OrchestratorError(
      'SOCKET_PATH_TOO_LONG',
      `the path of the socket ${name} would have ${Buffer.byteLength(path)} bytes and the system allows ${MAX_SOCKET_PATH_BYTES}; use a data directory with a shorter path`,
    )
  }
  return path
}

/** Where a manager listens for its operator. */
export const operatorSocket = (dataDirectory: string): string => socketIn(dataDirectory, 'operator.sock')

/** Where a worker shows that its directory is taken; it answers nothing there. */
export const workerSocket = (dataDirectory: string): string => socketIn(dataDirectory, 'worker.sock')
