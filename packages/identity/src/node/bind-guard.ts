import { lookup } from 'node:dns/promises'
import type { AddressInfo, Server } from 'node:net'
import { classifyAddress, isClosedAddress } from '../address/classify.ts'
import { IdentityError } from '../errors.ts'

/**
 * **Danger**: lets a manager listen where everybody can reach it. Its TLS is then the only thing between the internet and the keys of the
 * cluster; without this, a private network is in between as well.
 */
export const dangerouslyExposeManagerToTheInternet: unique symbol = Symbol('dangerouslyExposeManagerToTheInternet')

/** Where {@link guardedListen} listens. */
export interface ListenAddress {
  /** An address, or a name that the system resolves to one; never left out, because that would mean all addresses. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** See the symbol. */
  readonly [dangerouslyExposeManagerToTheInternet]?: true
}

const isExposed = (address: string): boolean => {
  const kind = classifyAddress(address)
  // What cannot be read is not known to be closed.
  return kind === null || !isClosedAddress(kind)
}

async function addressOf(host: string): Promise<string> {
  // An empty host is every address to the system.
  if (host === '') return '::'
  if (classifyAddress(host) !== null) return host
  try {
    return (await lookup(host)).address
  } catch (cause) {
    throw new IdentityError('ADDRESS_UNKNOWN', 'the host name to listen on has no address; name an address', { cause })
  }
}

/**
 * Refuses an address that is public, unspecified, or not known to be neither.
 *
 * @param where - As for {@link guardedListen}.
 * @returns The address, which is what a name resolves to: listen on this one, for a second look might see another.
 * @throws {@link IdentityError} `ADDRESS_EXPOSED`, or `ADDRESS_UNKNOWN` for a name without an address.
 */
export async function guardAddress(where: ListenAddress): Promise<string> {
  const address = await addressOf(where.host)
  if (where[dangerouslyExposeManagerToTheInternet] !== true && isExposed(address)) {
    throw new IdentityError(
      'ADDRESS_EXPOSED',
      'a manager does not listen on a public address or on all addresses at once; name a private address, or say that it shall be exposed',
    )
  }
  return address
}

/**
 * Lets a server listen, but on no address that the world can reach: allowed are loopback, RFC 1918, RFC 4193, RFC 6598 and link-local ones.
 *
 * @param server - Of `node:net`, `node:tls` or `node:http2`, not listening yet.
 * @returns Where it listens.
 * @throws {@link IdentityError} `ADDRESS_EXPOSED` or `ADDRESS_UNKNOWN`, before anything listens; or what the system says.
 */
export async function guardedListen(server: Server, where: ListenAddress): Promise<AddressInfo> {
  const host = await guardAddress(where)
  return await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port: where.port }, () => {
      server.off('error', reject)
      resolve(server.address() as AddressInfo)
    })
  })
}

/**
 * True when a connection came in on an address which {@link guardedListen} would refuse: a second look for servers that the host lets listen
 * by its own means.
 *
 * @param localAddress - The server's side of the connection, as a socket gives it.
 */
export const isExposedConnection = (localAddress: string | undefined): boolean =>
  localAddress === undefined || isExposed(localAddress)
