import { type DerReader, descend, fault } from '../der/reader.ts'
import { BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE } from '../der/tags.ts'
import { formatOid, readDefaultFalse, skipOid } from '../der/values.ts'

/** The seven bits of an arc in one byte; the eighth is free to say that an extension is critical. */
export const ARC = 0x7f

/**
 * What {@link enterExtension} and {@link enterValue} do, for an extension as nearly all are: shorter than 128 bytes, and one of the standard's own. All of its
 * head is compared at once then.
 *
 * Exported for its own test.
 *
 * @returns The last arc of the type, more by 0x80 for a critical one; -1, and the reader stays where it was, for any other extension.
 */
export function enterShortExtension(reader: DerReader): number {
  const { bytes, at, end } = reader
  const length = bytes[at + 1] ?? 0
  const extensionEnd = at + 2 + length
  const arc = bytes[at + 6] ?? 0x80
  const critical = bytes[at + 7] === BOOLEAN
  const octetsAt = critical ? at + 10 : at + 7
  if (
    length >= 0x80 ||
    extensionEnd > end ||
    bytes[at] !== SEQUENCE ||
    bytes[at + 2] !== OBJECT_IDENTIFIER ||
    bytes[at + 3] !== 3 ||
    bytes[at + 4] !== 0x55 ||
    bytes[at + 5] !== 0x1d ||
    arc > ARC ||
    (critical && (bytes[at + 8] !== 1 || bytes[at + 9] !== 0xff)) ||
    bytes[octetsAt] !== OCTET_STRING ||
    bytes[octetsAt + 1] !== extensionEnd - octetsAt - 2
  )
    return -1
  reader.at = octetsAt + 2
  reader.end = extensionEnd
  return critical ? arc | 0x80 : arc
}

/** Goes into an extension and gives its type. */
export function enterExtension(reader: DerReader): number | string {
  descend(reader, SEQUENCE)
  return readType(reader)
}

/** Goes into the value of an extension, which ends where the extension does, and says whether it is critical. */
export function enterValue(reader: DerReader): boolean {
  const critical = readDefaultFalse(reader)
  if (descend(reader, OCTET_STRING) !== reader.end) throw fault(reader, 'has more elements than its structure allows')
  return critical
}

/** The last arc of one of the standard's own extensions, or else the whole identifier in dotted form. */
function readType(reader: DerReader): number | string {
  const start = skipOid(reader)
  const { bytes, at } = reader
  const standard = at - start === 3 && bytes[start] === 0x55 && bytes[start + 1] === 0x1d
  return standard ? (bytes[start + 2] ?? 0) : formatOid(bytes, start, at)
}
