import { ascend, type DerReader, descend, enter, peekTag, readContent } from '../der/reader.ts'
import { explicit, SEQUENCE } from '../der/tags.ts'
import { DIRECTORY_NAME, DNS_NAME, EMAIL, IP_ADDRESS, URI } from './alt-names.ts'
import { isDnsName, isMailbox } from './certified-names.ts'
import { type DistinguishedName, formatText, readName, skipText } from './name.ts'

/** One subtree of names (RFC 5280 section 4.2.1.10). */
export type NameSubtree =
  /** This name and all below it. */
  | { readonly kind: 'dns'; readonly value: string }
  /** One mailbox, all of one host, or with a dot before it all of the hosts below. */
  | { readonly kind: 'email'; readonly value: string }
  /** One host, or with a dot before it the hosts below. */
  | { readonly kind: 'uri'; readonly value: string }
  /** A network: 4 or 16 bytes each, the mask a prefix. */
  | { readonly kind: 'ip'; readonly address: Uint8Array<ArrayBuffer>; readonly mask: Uint8Array<ArrayBuffer> }
  /** The names that begin with these attributes. */
  | { readonly kind: 'directory'; readonly value: DistinguishedName }

/** What the certificates below a CA may be called: of each kind that is permitted at all nothing else, and nothing that is excluded. */
export interface NameConstraints {
  readonly permitted: readonly NameSubtree[]
  readonly excluded: readonly NameSubtree[]
}

/** Each name of each certificate below is compared with each subtree; no CA of a cluster needs as many. */
export const MAX_NAME_SUBTREES = 64

const PERMITTED = explicit(0)
const EXCLUDED = explicit(1)

/**
 * Reads name constraints. `null` when they cannot be applied: they are malformed, of a kind that is not understood, limited to a depth (which RFC 5280
 * forbids), empty, or more than {@link MAX_NAME_SUBTREES}. The reader then stands at the end of the extension.
 */
export function readNameConstraints(reader: DerReader): NameConstraints | null {
  const { at, end } = reader
  try {
    const outer = descend(reader, SEQUENCE)
    const permitted = peekTag(reader) === PERMITTED ? readSubtrees(reader, PERMITTED) : []
    const excluded = peekTag(reader) === EXCLUDED ? readSubtrees(reader, EXCLUDED) : []
    ascend(reader, outer)
    const count = permitted === null || excluded === null ? 0 : permitted.length + excluded.length
    if (permitted !== null && excluded !== null && count > 0 && count <= MAX_NAME_SUBTREES && reader.at === end)
      return { permitted, excluded }
  } catch {
    // What cannot be read cannot be applied, and whoever verifies hears of it.
  }
  reader.at = at
  reader.end = end
  reader.at = end
  return null
}

function readSubtrees(reader: DerReader, tag: number): readonly NameSubtree[] | null {
  const list = enter(reader, tag)
  const subtrees: NameSubtree[] = []
  do {
    // A minimum that is not zero and any maximum are forbidden, and a zero is not written (RFC 5280 section 4.2.1.10).
    const entry = enter(list, SEQUENCE)
    const subtree = readBase(entry)
    if (subtree === null || entry.at !== entry.end) return null
    subtrees.push(subtree)
  } while (list.at < list.end)
  return subtrees
}

function readBase(reader: DerReader): NameSubtree | null {
  const tag = peekTag(reader)
  if (tag === DIRECTORY_NAME) {
    const value = readName(enter(reader, tag))
    return { kind: 'directory', value }
  }
  if (tag === IP_ADDRESS) return networkOf(readContent(reader, tag))
  if (tag !== DNS_NAME && tag !== EMAIL && tag !== URI) return null
  const start = skipText(reader, tag)
  const value = formatText(reader.bytes, start, reader.at)
  if (tag === DNS_NAME) return isDnsName(value) ? { kind: 'dns', value } : null
  const host = value.startsWith('.') ? value.slice(1) : value
  if (tag === URI) return isDnsName(host) ? { kind: 'uri', value } : null
  return isDnsName(host) || isMailbox(value) ? { kind: 'email', value } : null
}

function networkOf(content: Uint8Array<ArrayBuffer>): NameSubtree | null {
  const size = content.length / 2
  if (size !== 4 && size !== 16) return null
  const address = content.subarray(0, size)
  const mask = content.subarray(size)
  let ended = false
  for (const byte of mask) {
    if (ended ? byte !== 0 : (byte | (byte - 1)) !== 0xff && byte !== 0) return null
    ended ||= byte !== 0xff
  }
  return { kind: 'ip', address, mask }
}
