import { base64Length, decodedLength, readBase64Groups, readLastGroup, writeBase64 } from './base64.ts'
import { allocate } from './certificate/page.ts'
import type { Refusal } from './der/reader.ts'
import { IdentityError } from './errors.ts'

/** What a block holds, as its boundary lines say. */
export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST' | 'X509 CRL'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const LINE = 64
const LINE_BYTES = 48
const NEWLINE = 0x0a
const DASH = 0x2d

// Text that is read or written at once, and all of it public, needs no buffer of its own; a longer one than this is no node's.
const SCRATCH_BYTES = 8 * 1024
const scratch = new Uint8Array(SCRATCH_BYTES)
// What UTF-8 takes for a unit of a string at most.
const MAX_UNIT_BYTES = 3

/** One block in the canonical form of RFC 7468 section 3: lines of 64 letters, LF, a final LF. */
export function formatPem(label: PemLabel, der: Uint8Array): string {
  const { begin, end } = BOUNDARIES[label]
  const letters = base64Length(der.length)
  const length = begin.length + letters + Math.ceil(letters / LINE) + end.length
  const out = length > SCRATCH_BYTES ? new Uint8Array(length) : scratch
  out.set(begin)
  let to = begin.length
  for (let from = 0; from < der.length; from += LINE_BYTES) {
    const stop = Math.min(from + LINE_BYTES, der.length)
    writeBase64(der, from, stop, out, to)
    to += base64Length(stop - from)
    out[to] = NEWLINE
    to += 1
  }
  out.set(end, to)
  return decoder.decode(out.subarray(0, length))
}

/** True when `input` is PEM: DER of a structure never begins with a dash. */
export const isPem = (input: string | Uint8Array): boolean => typeof input === 'string' || input[0] === DASH

/** Text as bytes, until this is called again or a block is formatted; letters outside ASCII become several bytes, which no base64 line or boundary has. */
export function pemBytes(input: string | Uint8Array): Uint8Array {
  if (typeof input !== 'string') return input
  if (input.length * MAX_UNIT_BYTES > SCRATCH_BYTES) return encoder.encode(input)
  return scratch.subarray(0, encoder.encodeInto(input, scratch).written)
}

const boundaries = (label: PemLabel): { readonly begin: Uint8Array; readonly end: Uint8Array } => ({
  begin: encoder.encode(`-----BEGIN ${label}-----\n`),
  end: encoder.encode(`-----END ${label}-----\n`),
})
const BOUNDARIES = {
  CERTIFICATE: boundaries('CERTIFICATE'),
  'CERTIFICATE REQUEST': boundaries('CERTIFICATE REQUEST'),
  'X509 CRL': boundaries('X509 CRL'),
} as const

const startsWith = (bytes: Uint8Array, at: number, expected: Uint8Array): boolean => {
  if (at + expected.length > bytes.length) return false
  for (let index = 0; index < expected.length; index += 1) if (bytes[at + index] !== expected[index]) return false
  return true
}

/**
 * The contents of all blocks, in order. Only the canonical form is taken (no headers, no text around, no CRLF, no
 * other line width), so that formatting the result gives the same bytes again.
 *
 * @throws {@link IdentityError} with the refusal's code for anything else, and for no block at all.
 */
export function parsePem(label: PemLabel, text: Uint8Array, refusal: Refusal): readonly Uint8Array<ArrayBuffer>[] {
  const { begin, end } = BOUNDARIES[label]
  const refused = (problem: string): IdentityError =>
    new IdentityError(
      refusal.code,
      `${refusal.document} ${problem}; send PEM blocks of that kind alone, in lines of ${LINE} letters`,
    )
  const blocks: Uint8Array<ArrayBuffer>[] = []
  let at = 0
  do {
    if (!startsWith(text, at, begin)) throw refused(`does not begin with the boundary line of a ${label.toLowerCase()}`)
    at += begin.length
    const block = readBlock(text, at, end, refused)
    blocks.push(block)
    const letters = base64Length(block.length)
    at += letters + Math.ceil(letters / LINE) + end.length
  } while (at < text.length)
  return blocks
}

/** The content of the block whose lines begin at `start` and end at the boundary `end`. */
function readBlock(
  text: Uint8Array,
  start: number,
  end: Uint8Array,
  refused: (problem: string) => IdentityError,
): Uint8Array<ArrayBuffer> {
  const notBase64 = (): IdentityError => refused('has content that is not canonical base64')
  const stop = text.indexOf(DASH, start)
  const lines = stop - start
  // Every line but the last has 64 letters, and each ends with LF.
  const letters = lines - Math.ceil(lines / (LINE + 1))
  if (stop === -1 || !startsWith(text, stop, end)) throw refused('has a line of another width, or is cut off')
  // One letter more than whole lines is the LF of an empty one.
  if (lines % (LINE + 1) === 1) throw refused('has an empty line')
  if (letters < 4 || letters % 4 !== 0) throw notBase64()
  for (let lineEnd = start + LINE; lineEnd < stop; lineEnd += LINE + 1)
    if (text[lineEnd] !== NEWLINE) throw refused('has a line of another width')
  if (text[stop - 1] !== NEWLINE) throw refused('has a line of another width')

  // The padding is at the very end, before the last LF.
  const out = allocate(decodedLength(text, stop - 5, stop - 1) + ((letters - 4) / 4) * 3)
  let to = 0
  let line = start
  for (; line + LINE + 1 < stop; line += LINE + 1) {
    if (!readBase64Groups(text, line, line + LINE, out, to)) throw notBase64()
    to += LINE_BYTES
  }
  const last = stop - 5
  if (!readBase64Groups(text, line, last, out, to)) throw notBase64()
  if (!readLastGroup(text, last, out, to + ((last - line) / 4) * 3)) throw notBase64()
  return out
}
