// One big-endian unsigned integer in base 36, lower case, padded with zeros to a fixed number of digits: the number
// format of Docker Swarm's tokens. Digits are easy to read aloud, and fixed width leaves one text for each value.

/** The bytes in exactly `digits` digits; the caller chose `digits` wide enough. */
export function formatBase36(bytes: Uint8Array, digits: number): string {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value.toString(36).padStart(digits, '0')
}

/** The `length` bytes that the digits (`0-9 a-z`, checked by the caller) stand for; null for a value too large. */
export function parseBase36(digits: string, length: number): Uint8Array<ArrayBuffer> | null {
  let value = 0n
  for (const digit of digits) value = value * 36n + BigInt(Number.parseInt(digit, 36))
  const bytes = new Uint8Array(length)
  for (let at = length - 1; at >= 0; at -= 1) {
    bytes[at] = Number(value & 0xffn)
    value >>= 8n
  }
  return value === 0n ? bytes : null
}
