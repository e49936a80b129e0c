import { byteWriter } from '../format/byte-writer.ts'

// As much of the protobuf wire format as messages of texts and bytes need (protobuf.dev, "Encoding"): fields of type 2
// are written and read, those of types 0, 1 and 5 are skipped, groups are refused.

/** One length-delimited field. */
export interface Field {
  readonly number: number
  readonly value: Uint8Array
}

const DELIMITED = 2
const text = new TextEncoder()

function varint(value: number): Uint8Array<ArrayBuffer> {
  const out: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80)
  return new Uint8Array([...out, rest])
}

/** Fields one after the other. Empty values are left out, as proto3 has it. */
export function encodeFields(fields: readonly (readonly [number, Uint8Array | string])[]): Uint8Array<ArrayBuffer> {
  const parts = fields.flatMap(([number, value]) => {
    const bytes = typeof value === 'string' ? text.encode(value) : value
    return bytes.length === 0 ? [] : [varint(number * 8 + DELIMITED), varint(bytes.length), bytes]
  })
  const out = byteWriter(parts.reduce((sum, part) => sum + part.length, 0))
  for (const part of parts) out.bytes(part)
  return out.written()
}

/**
 * The length-delimited fields of a message, in their order, as views; null if it is not a message.
 *
 * Numbers that do not fit 32 bits are refused for tags and lengths: nothing that is read here comes near.
 */
export function decodeFields(message: Uint8Array): readonly Field[] | null {
  let at = 0
  const readVarint = (): number | null => {
    let value = 0
    for (let count = 0; count < 10; count += 1) {
      const byte = message[at]
      if (byte === undefined) return null
      at += 1
      value += (byte & 0x7f) * 2 ** (7 * count)
      if (byte < 0x80) return value
    }
    return null
  }
  const fields: Field[] = []
  while (at < message.length) {
    const tag = readVarint()
    if (tag === null || tag < 8 || tag > 0xffffffff) return null
    const size = sizeOf(tag % 8, readVarint)
    if (size === null || size > message.length - at) return null
    if (tag % 8 === DELIMITED) fields.push({ number: Math.floor(tag / 8), value: message.subarray(at, at + size) })
    at += size
  }
  return fields
}

/** The bytes of a field's value that are still to be read, or null for a type that is not known. */
function sizeOf(type: number, readVarint: () => number | null): number | null {
  switch (type) {
    case 0:
      return readVarint() === null ? null : 0
    case 1:
      return 8
    case DELIMITED:
      return readVarint()
    case 5:
      return 4
    default:
      return null
  }
}

/** UTF-8, strictly; null for anything else. */
export function decodeText(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}
