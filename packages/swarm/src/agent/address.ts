import { SwarmError } from '../errors.ts'

/** Where a manager listens. */
export interface ManagerAddress {
  /** Host name, IPv4 address, or IPv6 address without brackets. */
  readonly host: string
  readonly port: number
}

const SHAPE = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z](?:[0-9A-Za-z.-]{0,251}[0-9A-Za-z])?)):([1-9][0-9]{0,4})$/

/**
 * Reads `host:port` or `[ipv6]:port`.
 *
 * @throws {@link SwarmError} `ADDRESS_MALFORMED` for anything else.
 */
export function parseManagerAddress(text: string): ManagerAddress {
  const [, ipv6, name, digits] = SHAPE.exec(text) ?? []
  const host = ipv6 ?? name
  const port = Number(digits)
  if (host === undefined || port > 65_535)
    throw new SwarmError(
      'ADDRESS_MALFORMED',
      'manager address is not host:port, write it as 192.0.2.1:2377 or [2001:db8::1]:2377',
    )
  return { host, port }
}

/** The other way round. */
export function formatManagerAddress({ host, port }: ManagerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
