const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const PAD = 0x3d
const CODES = Uint8Array.from(ALPHABET, (letter) => letter.charCodeAt(0))
const VALUES = new Uint8Array(256).fill(0xff)
for (const [value, code] of CODES.entries()) VALUES[code] = value

/** Base64 letters (RFC 4648 section 4) as ASCII bytes, padded. */
export function encodeBase64(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(Math.ceil(data.length / 3) * 4).fill(PAD)
  let to = 0
  for (let from = 0; from < data.length; from += 3) {
    const left = data.length - from
    const word = ((data[from] ?? 0) << 16) | ((data[from + 1] ?? 0) << 8) | (data[from + 2] ?? 0)
    out[to] = CODES[word >> 18] ?? 0
    out[to + 1] = CODES[(word >> 12) & 63] ?? 0
    if (left > 1) out[to + 2] = CODES[(word >> 6) & 63] ?? 0
    if (left > 2) out[to + 3] = CODES[word & 63] ?? 0
    to += 4
  }
  return out
}

/**
 * The bytes behind ASCII base64, or `null` when it is not canonical: another alphabet, wrong length or padding,
 * or leftover bits that are not zero (RFC 4648 section 3.5), so that no data has two texts.
 */
export function decodeBase64(text: Uint8Array): Uint8Array<ArrayBuffer> | null {
  if (text.length % 4 !== 0) return null
  let padding = 0
  while (padding < 2 && text[text.length - 1 - padding] === PAD) padding += 1
  const out = new Uint8Array((text.length / 4) * 3 - padding)
  const letters = text.length - padding
  let word = 0
  let to = 0
  let bad = 0
  for (let at = 0; at < letters; at += 1) {
    const value = VALUES[text[at] ?? 0] ?? 0xff
    bad |= value & 0x80
    word = ((word << 6) | value) & 0xffffff
    if ((at & 3) === 3) {
      out[to] = word >> 16
      out[to + 1] = word >> 8
      out[to + 2] = word
      to += 3
    }
  }
  if (bad !== 0) return null
  if (padding === 1) {
    if ((word & 3) !== 0) return null
    out[to] = word >> 10
    out[to + 1] = word >> 2
  } else if (padding === 2) {
    if ((word & 15) !== 0) return null
    out[to] = word >> 4
  }
  return out
}
