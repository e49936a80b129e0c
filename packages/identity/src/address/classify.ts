import { parseIpAddress } from './parse.ts'

/** From where an address can be reached, in the words of the registries that RFC 6890 sets up. */
export type AddressClass =
  /** This machine alone: 127.0.0.0/8, ::1. */
  | 'loopback'
  /** RFC 1918. */
  | 'private'
  /** RFC 4193. */
  | 'unique-local'
  /** RFC 6598, behind a provider's translation. */
  | 'shared'
  /** RFC 3927 and RFC 4291 section 2.5.6. */
  | 'link-local'
  /** All addresses of the machine at once: 0.0.0.0, ::. */
  | 'unspecified'
  | 'multicast'
  /** Everybody, as far as routes go; and everything that no other class holds. */
  | 'public'

const IPV4_MAPPED = [0, 0, 0, 0, 0, 0xffff] as const

/**
 * Says what kind of address a text is. An IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) is what it maps to, because that is who is
 * reached. A zone (`fe80::1%eth0`) changes nothing.
 *
 * @param text - An IPv4 address as four decimal numbers without leading zeros, or an IPv6 address (RFC 4291 section 2.2), without brackets.
 * @returns `null` when it is no address, such as a host name.
 */
export function classifyAddress(text: string): AddressClass | null {
  const address = parseIpAddress(text)
  if (address === null) return null
  if (address.version === 4) return classOfIpv4(address.groups)
  const { groups } = address
  if (IPV4_MAPPED.every((group, at) => groups[at] === group)) {
    const [high = 0, low = 0] = groups.slice(6)
    return classOfIpv4([high >> 8, high & 0xff, low >> 8, low & 0xff])
  }
  return classOfIpv6(groups)
}

function classOfIpv4([a = 0, b = 0, c = 0, d = 0]: readonly number[]): AddressClass {
  if (a === 127) return 'loopback'
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return 'private'
  if (a === 100 && b >= 64 && b < 128) return 'shared'
  if (a === 169 && b === 254) return 'link-local'
  if (a === 0 && b === 0 && c === 0 && d === 0) return 'unspecified'
  return a >= 224 && a < 240 ? 'multicast' : 'public'
}

function classOfIpv6(groups: readonly number[]): AddressClass {
  const first = groups[0] ?? 0
  if (groups.slice(0, 7).every((group) => group === 0)) {
    if (groups[7] === 0) return 'unspecified'
    if (groups[7] === 1) return 'loopback'
  }
  if ((first & 0xfe00) === 0xfc00) return 'unique-local'
  if ((first & 0xffc0) === 0xfe80) return 'link-local'
  return first >> 8 === 0xff ? 'multicast' : 'public'
}

const CLOSED: ReadonlySet<AddressClass> = new Set(['loopback', 'private', 'unique-local', 'shared', 'link-local'])

/** True when nobody outside the machine or the private network that it stands in can reach the address. */
export const isClosedAddress = (kind: AddressClass): boolean => CLOSED.has(kind)
