const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const PAD = 0x3d
const CODES = Uint8Array.from(ALPHABET, (letter) => letter.charCodeAt(0))
// No letter, and too large to be hidden by the bits beside it.
const NO_LETTER = 0x80
const VALUES = new Uint8Array(256).fill(NO_LETTER)
for (const [value, code] of CODES.entries()) VALUES[code] = value

/** How many letters `length` bytes take. */
export const base64Length = (length: number): number => Math.ceil(length / 3) * 4

/** Writes the letters of `data` from `start` to `end` into `out` at `to`, padded at the end. */
export function writeBase64(data: Uint8Array, start: number, end: number, out: Uint8Array, to: number): void {
  let at = to
  let from = start
  for (; from + 2 < end; from += 3) {
    const word = ((data[from] ?? 0) << 16) | ((data[from + 1] ?? 0) << 8) | (data[from + 2] ?? 0)
    out[at] = CODES[word >> 18] ?? 0
    out[at + 1] = CODES[(word >> 12) & 63] ?? 0
    out[at + 2] = CODES[(word >> 6) & 63] ?? 0
    out[at + 3] = CODES[word & 63] ?? 0
    at += 4
  }
  if (from === end) return
  const two = from + 1 < end
  const word = ((data[from] ?? 0) << 16) | (two ? (data[from + 1] ?? 0) << 8 : 0)
  out[at] = CODES[word >> 18] ?? 0
  out[at + 1] = CODES[(word >> 12) & 63] ?? 0
  out[at + 2] = two ? (CODES[(word >> 6) & 63] ?? 0) : PAD
  out[at + 3] = PAD
}

/** Base64 letters (RFC 4648 section 4) as ASCII bytes, padded. */
export function encodeBase64(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(base64Length(data.length))
  writeBase64(data, 0, data.length, out, 0)
  return out
}

/**
 * Reads whole groups of four letters without padding from `start` to `end` into `out` at `to`.
 *
 * @returns False if one of them is no letter; `out` then holds nonsense.
 */
export function readBase64Groups(text: Uint8Array, start: number, end: number, out: Uint8Array, to: number): boolean {
  let at = to
  let all = 0
  for (let from = start; from < end; from += 4) {
    const first = VALUES[text[from] ?? 0] ?? NO_LETTER
    const second = VALUES[text[from + 1] ?? 0] ?? NO_LETTER
    const third = VALUES[text[from + 2] ?? 0] ?? NO_LETTER
    const fourth = VALUES[text[from + 3] ?? 0] ?? NO_LETTER
    all |= first | second | third | fourth
    out[at] = (first << 2) | (second >> 4)
    out[at + 1] = (second << 4) | (third >> 2)
    out[at + 2] = (third << 6) | fourth
    at += 3
  }
  return all < NO_LETTER
}

/** How many bytes stand behind `text`, which must be whole groups of four letters. */
export function decodedLength(text: Uint8Array, start: number, end: number): number {
  if (end === start) return 0
  const padding = text[end - 1] !== PAD ? 0 : text[end - 2] !== PAD ? 1 : 2
  return ((end - start) / 4) * 3 - padding
}

/**
 * Reads a last group of four letters, padded or not, into `out` at `to`.
 *
 * @returns False if it is not canonical, leftover bits that are not zero included.
 */
export function readLastGroup(text: Uint8Array, start: number, out: Uint8Array, to: number): boolean {
  if (text[start + 3] !== PAD) return readBase64Groups(text, start, start + 4, out, to)
  const first = VALUES[text[start] ?? 0] ?? NO_LETTER
  const second = VALUES[text[start + 1] ?? 0] ?? NO_LETTER
  if ((first | second) >= NO_LETTER) return false
  out[to] = (first << 2) | (second >> 4)
  if (text[start + 2] === PAD) return (second & 15) === 0
  const third = VALUES[text[start + 2] ?? 0] ?? NO_LETTER
  out[to + 1] = (second << 4) | (third >> 2)
  return third < NO_LETTER && (third & 3) === 0
}

/**
 * The bytes behind ASCII base64, or `null` when it is not canonical: another alphabet, wrong length or padding,
 * or leftover bits that are not zero (RFC 4648 section 3.5), so that no data has two texts.
 */
export function decodeBase64(text: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const { length } = text
  if (length % 4 !== 0) return null
  const out = new Uint8Array(decodedLength(text, 0, length))
  if (length === 0) return out
  const last = length - 4
  const canonical = readBase64Groups(text, 0, last, out, 0) && readLastGroup(text, last, out, (last / 4) * 3)
  return canonical ? out : null
}
