import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Server } from 'node:net'
import type { Namespace } from './netns.ts'

// A socket stays in the namespace in which it was made, whoever holds it: this one is made inside and then handed over.
const LISTEN = `
  const server = require('node:net').createServer()
  server.listen({ host: process.argv[1], port: Number(process.argv[2]) }, () => {
    // Two holders would share the arriving connections between them, so this one lets go.
    process.send('listening', server, () => server.close(() => process.disconnect()))
  })`

/** A listening socket in the namespace, for a server of this process: `server.listen(socket)`. */
export async function listenInside(namespace: Namespace, port: number): Promise<Server> {
  const [command, ...args] = namespace.enter([process.execPath, '-e', LISTEN, namespace.address, String(port)])
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const gone = once(child, 'exit')
  const [, server] = (await once(child, 'message')) as [unknown, unknown]
  await gone
  if (!(server instanceof Server)) throw new Error('the namespace handed over no socket')
  return server
}
