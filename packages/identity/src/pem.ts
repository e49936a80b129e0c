import { decodeBase64, encodeBase64 } from './base64.ts'
import type { Refusal } from './der/reader.ts'
import { IdentityError } from './errors.ts'

/** What a block holds, as its boundary lines say. */
export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const LINE = 64
const NEWLINE = 0x0a
const DASH = 0x2d

const joined = (bytes: Uint8Array): string => {
  const lines: string[] = []
  const text = decoder.decode(bytes)
  for (let at = 0; at < text.length; at += LINE) lines.push(text.slice(at, at + LINE))
  return lines.join('\n')
}

/** One block in the canonical form of RFC 7468 section 3: lines of 64 letters, LF, a final LF. */
export function formatPem(label: PemLabel, der: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${joined(encodeBase64(der))}\n-----END ${label}-----\n`
}

/** True when `input` is PEM: DER of a structure never begins with a dash. */
export const isPem = (input: string | Uint8Array): boolean => typeof input === 'string' || input[0] === DASH

/** Text as bytes; letters outside ASCII become several bytes, which no base64 line or boundary has. */
export const pemBytes = (input: string | Uint8Array): Uint8Array =>
  typeof input === 'string' ? encoder.encode(input) : input

const boundaries = (label: PemLabel): { readonly begin: Uint8Array; readonly end: Uint8Array } => ({
  begin: encoder.encode(`-----BEGIN ${label}-----\n`),
  end: encoder.encode(`-----END ${label}-----\n`),
})
const BOUNDARIES = {
  CERTIFICATE: boundaries('CERTIFICATE'),
  'CERTIFICATE REQUEST': boundaries('CERTIFICATE REQUEST'),
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
    const letters = new Uint8Array(text.length - at)
    let count = 0
    for (let lineEnd = LINE; !startsWith(text, at, end); ) {
      // A shorter line is the last one, so the boundary must follow it.
      if (lineEnd !== LINE) throw refused('has a line of another width')
      lineEnd = text.indexOf(NEWLINE, at) - at
      if (lineEnd < 1 || lineEnd > LINE) throw refused('has a line of another width, or is cut off')
      letters.set(text.subarray(at, at + lineEnd), count)
      count += lineEnd
      at += lineEnd + 1
    }
    const block = decodeBase64(letters.subarray(0, count))
    if (block === null || block.length === 0) throw refused('has content that is not canonical base64')
    blocks.push(block)
    at += end.length
  } while (at < text.length)
  return blocks
}
