import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { OrchestratorError } from '../errors.ts'
import { listenAlone } from '../listen-alone.ts'
import { workerSocket } from '../operator/socket.ts'

/**
 * Keeps a second worker out of a data directory, who would use the same identity and sweep the first one's files away.
 *
 * @returns what gives the directory back.
 */
export async function takeDirectory(dataDirectory: string): Promise<() => void> {
  const path = workerSocket(dataDirectory)
  const server = createServer((caller) => {
    caller.destroy()
  })
  if (!(await listenAlone(server, path))) {
    throw new OrchestratorError('ALREADY_RUNNING', `another worker runs in ${dataDirectory}; stop it first`)
  }
  server.unref()
  return () => {
    server.close()
    rmSync(path, { force: true })
  }
}
