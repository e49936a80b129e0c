// Big-endian unsigned integers in base 36, lower case, padded with zeros to a fixed number of digits: the number format of
// Docker Swarm's tokens and ids. Fixed width makes it canonical, so two texts never mean the same bytes.

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz'

/** The bytes as one big-endian integer in exactly `digits` digits; the caller chose `digits` wide enough. */
export function encodeBase36(bytes: Uint8Array, digits: number): string {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value.toString(36).padStart(digits, '0')
}

/** The `length` bytes that the digits stand for; `null` for a character outside `0-9 a-z` or a value too large. */
export function decodeBase36(digits: string, length: number): Uint8Array<ArrayBuffer> | null {
  let value = 0n
  for (const digit of digits) {
    const worth = ALPHABET.indexOf(digit)
    if (worth < 0) return null
    value = value * 36n + BigInt(worth)
  }
  const bytes = new Uint8Array(length)
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(value & 0xffn)
    value >>= 8n
  }
  return value === 0n ? bytes : null
}
