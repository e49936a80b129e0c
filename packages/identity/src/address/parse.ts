/** An address in numbers: four bytes, or eight groups of 16 bits. */
export interface IpAddress {
  readonly version: 4 | 6
  readonly groups: readonly number[]
}

/** Eight groups with an IPv4 tail have 45 letters; a zone has up to 32. */
const MAX_LETTERS = 80
const DECIMAL = /^(?:0|[1-9]\d{0,2})$/
const GROUP = /^[0-9A-Fa-f]{1,4}$/
const ZONE = /^[0-9A-Za-z._~-]{1,32}$/
const GROUPS = 8

/** Reads an address strictly, or gives `null`. Numbers with leading zeros, which some read as octal, are none. */
export function parseIpAddress(text: string): IpAddress | null {
  if (text.length > MAX_LETTERS) return null
  if (!text.includes(':')) {
    const groups = parseIpv4(text)
    return groups === null ? null : { version: 4, groups }
  }
  const [address = '', zone, ...more] = text.split('%')
  if (more.length > 0 || (zone !== undefined && !ZONE.test(zone))) return null
  const groups = parseIpv6(address)
  return groups === null ? null : { version: 6, groups }
}

function parseIpv4(text: string): readonly number[] | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => DECIMAL.test(part) && Number(part) < 256)) return null
  return parts.map(Number)
}

function parseIpv6(text: string): readonly number[] | null {
  const [before = '', after, ...more] = text.split('::')
  if (more.length > 0) return null
  if (after === undefined) {
    const groups = parseGroups(before, true)
    return groups?.length === GROUPS ? groups : null
  }
  const head = before === '' ? [] : parseGroups(before, false)
  const tail = after === '' ? [] : parseGroups(after, true)
  if (head === null || tail === null) return null
  const missing = GROUPS - head.length - tail.length
  // "::" stands for at least one group.
  return missing < 1 ? null : [...head, ...new Array<number>(missing).fill(0), ...tail]
}

/** Groups between colons; the last one may be an IPv4 address if nothing follows. */
function parseGroups(text: string, last: boolean): readonly number[] | null {
  const parts = text.split(':')
  const groups: number[] = []
  for (const [at, part] of parts.entries()) {
    const ipv4 = last && at === parts.length - 1 ? parseIpv4(part) : null
    if (ipv4 !== null) {
      const [a = 0, b = 0, c = 0, d = 0] = ipv4
      groups.push(a * 256 + b, c * 256 + d)
    } else if (GROUP.test(part)) groups.push(Number.parseInt(part, 16))
    else return null
  }
  return groups
}
