import { isIPv6 } from 'node:net'
import type { ListenAddress } from '@leastwise/identity/node'
import { OrchestratorError } from './errors.ts'

export type Address = ListenAddress

/** `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`. Port 0 lets the system choose. */
export function parseAddress(text: string): Address {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9a-fA-F:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  if (host === undefined || port > 65_535 || (bracketed !== undefined && !isIPv6(bracketed))) {
    throw new OrchestratorError(
      'ADDRESS_INVALID',
      'an address is HOST:PORT with a port up to 65535, IPv6 hosts in square brackets',
    )
  }
  return { host, port }
}

export const formatAddress = ({ host, port }: Address): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
