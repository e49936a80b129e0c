import { IdentityError, type IdentityErrorCode } from '../errors.ts'

/** How a document is refused: the code, and its name in messages. */
export interface Refusal {
  readonly code: IdentityErrorCode
  readonly document: string
}

/**
 * A cursor over one constructed value. It takes DER alone (X.690 section 10): definite lengths in the fewest bytes,
 * low tag numbers, and {@link finish} refuses what is left over, so that no value has two encodings.
 */
export interface DerReader {
  readonly bytes: Uint8Array<ArrayBuffer>
  at: number
  end: number
  readonly refusal: Refusal
}

/** Nesting beyond this is no certificate: real ones need eight levels. */
const MAX_DEPTH = 16

/** Makes the coded error for a document that breaks the rule `problem`. */
export function fault(reader: DerReader, problem: string): IdentityError {
  return new IdentityError(
    reader.refusal.code,
    `${reader.refusal.document} ${problem}; send strict DER of that structure`,
  )
}

/** A reader over the whole of `bytes`. */
export function openDer(bytes: Uint8Array<ArrayBuffer>, refusal: Refusal): DerReader {
  return { bytes, at: 0, end: bytes.length, refusal }
}

/** The next tag byte, or -1 at the end. */
export function peekTag(reader: DerReader): number {
  return reader.at < reader.end ? (reader.bytes[reader.at] ?? -1) : -1
}

/** Reads tag and length, leaves the cursor on the first content byte and gives the end of the content. */
function readHeader(reader: DerReader, tag: number): number {
  const { bytes, at, end } = reader
  if (at >= end || bytes[at] !== tag) throw wrongTag(reader)
  const length = at + 1 < end ? (bytes[at + 1] ?? 0) : 0xff
  // Two bytes of header are nearly all that there are: the rest has a place of its own, so that this one stays small.
  if (length >= 0x80) return readLongHeader(reader)
  reader.at = at + 2
  if (at + 2 + length > end) throw fault(reader, 'is cut off inside an element')
  return at + 2 + length
}

const wrongTag = (reader: DerReader): IdentityError =>
  fault(reader, reader.at < reader.end ? 'holds an element of another type than its place asks for' : 'ends too early')

function readLongHeader(reader: DerReader): number {
  const { bytes, end } = reader
  let at = reader.at + 2
  if (at > end) throw fault(reader, 'is cut off inside an element header')
  const count = (bytes[at - 1] ?? 0) & 0x7f
  // 0x80 would be the indefinite form; three bytes cover every size limit of this package.
  if (count === 0 || count > 3) throw fault(reader, 'has an indefinite or oversized length')
  if (at + count > end) throw fault(reader, 'is cut off inside an element header')
  let length = 0
  for (const stop = at + count; at < stop; at += 1) length = length * 256 + (bytes[at] ?? 0)
  if (length < 0x80 || (count > 1 && length >>> (8 * (count - 1)) === 0))
    throw fault(reader, 'has a length that is not minimal')
  if (at + length > end) throw fault(reader, 'is cut off inside an element')
  reader.at = at
  return at + length
}

/** Steps over the next element, which must have `tag`, and gives a reader over its content. */
export function enter(reader: DerReader, tag: number): DerReader {
  const end = readHeader(reader, tag)
  const inner: DerReader = { bytes: reader.bytes, at: reader.at, end, refusal: reader.refusal }
  reader.at = end
  return inner
}

/** The content of the next element, as a view. */
export function readContent(reader: DerReader, tag: number): Uint8Array<ArrayBuffer> {
  const end = readHeader(reader, tag)
  const content = reader.bytes.subarray(reader.at, end)
  reader.at = end
  return content
}

/**
 * Narrows the reader itself to the content of the next element, which must have `tag`, and gives what {@link ascend} takes
 * to come back. The same as {@link enter} and {@link finish}, without an object for each level.
 */
export function descend(reader: DerReader, tag: number): number {
  const end = readHeader(reader, tag)
  const outer = reader.end
  reader.end = end
  return outer
}

/** Leaves the element that {@link descend} went into, of which nothing may be left over. */
export function ascend(reader: DerReader, outer: number): void {
  finish(reader)
  reader.end = outer
}

/** Steps over the content of the next element, which must have `tag`, and gives where the content begins; it ends where the reader stands. */
export function skipContent(reader: DerReader, tag: number): number {
  const end = readHeader(reader, tag)
  const start = reader.at
  reader.at = end
  return start
}

/** Refuses bytes after the last expected element. */
export function finish(reader: DerReader): void {
  if (reader.at !== reader.end) throw fault(reader, 'has more elements than its structure allows')
}

/** Steps over one element of any kind; constructed ones are checked to be well-formed all the way down. */
export function skipAny(reader: DerReader, depth: number = MAX_DEPTH): void {
  const tag = peekTag(reader)
  if (tag === -1) throw fault(reader, 'ends too early')
  if ((tag & 0x1f) === 0x1f || tag === 0) throw fault(reader, 'has a tag number that is not allowed')
  if ((tag & 0x20) === 0) {
    reader.at = readHeader(reader, tag)
    return
  }
  if (depth === 0) throw fault(reader, 'is nested too deeply')
  const inner = enter(reader, tag)
  while (inner.at < inner.end) skipAny(inner, depth - 1)
}
