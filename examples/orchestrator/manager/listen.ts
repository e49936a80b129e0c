import { type AddressInfo, createServer, type Server } from 'node:net'
import { guardAddress } from '@leastwise/identity/node'
import type { Address } from '../address.ts'
import { asError, codeOf, OrchestratorError } from '../errors.ts'

/** The address behind the name, if a manager may listen on it. */
async function guarded(where: Address): Promise<string> {
  try {
    return await guardAddress(where)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ADDRESS_EXPOSED') {
      throw new OrchestratorError(
        'ADDRESS_REFUSED',
        'a manager does not listen where everybody can reach it; choose a loopback, private or link-local address, or say --dangerously-expose-manager-to-the-internet',
      )
    }
    if (code === 'ADDRESS_UNKNOWN')
      throw new OrchestratorError('ADDRESS_REFUSED', `${where.host} has no address; choose another one`)
    throw error
  }
}

/** Lets the server listen, or says in words why the machine does not allow it, or why a manager must not. */
export async function listen(server: Server, where: Address): Promise<AddressInfo> {
  const { port } = where
  const host = await guarded(where)
  return await new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const code = codeOf(error)
      if (code === 'EADDRINUSE')
        reject(
          new OrchestratorError(
            'ADDRESS_IN_USE',
            `port ${port} of ${host} is taken; stop what listens there, or choose another port`,
          ),
        )
      else if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'EAI_AGAIN' || code === 'ENOTFOUND') {
        reject(
          new OrchestratorError(
            'ADDRESS_REFUSED',
            `this machine does not let us listen on ${host}:${port} (${code}); choose another address`,
          ),
        )
      } else reject(asError(error))
    })
    server.listen(port, host, () => {
      resolve(server.address() as AddressInfo)
    })
  })
}

/** Proves that we may listen on all of them at once, before anything is made that a refusal would have to take back. */
export async function proveAddresses([address, ...others]: readonly Address[]): Promise<void> {
  if (address === undefined) return
  const server = createServer()
  await listen(server, address)
  try {
    await proveAddresses(others)
  } finally {
    await new Promise<void>((resolve) => {
      server.close(() => {
        resolve()
      })
    })
  }
}
