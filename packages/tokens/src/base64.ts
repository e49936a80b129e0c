// RFC 4648 section 4 (the standard alphabet) without padding, strict: no white space, no url-safe letters, and the unused
// low bits of the last letter must be zero, so that each byte string has exactly one text.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

export function encodeBase64(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let count = 0
  for (const byte of bytes) {
    bits = ((bits << 8) | byte) & 0xffff
    for (count += 8; count >= 6; count -= 6) text += ALPHABET.charAt((bits >> (count - 6)) & 63)
  }
  return count === 0 ? text : text + ALPHABET.charAt((bits << (6 - count)) & 63)
}

/** The bytes, or `null` if the text is not the one text that {@link encodeBase64} gives for them. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8))
  let at = 0
  let bits = 0
  let count = 0
  for (const letter of text) {
    const worth = ALPHABET.indexOf(letter)
    if (worth < 0) return null
    bits = ((bits << 6) | worth) & 0xffff
    count += 6
    if (count >= 8) {
      count -= 8
      bytes[at] = (bits >> count) & 0xff
      at += 1
    }
  }
  const leftover = bits & ((1 << count) - 1)
  return count < 6 && leftover === 0 ? bytes : null
}
