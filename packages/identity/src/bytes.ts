/** True when both hold the same bytes. Not for secrets: it stops at the first difference. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index += 1) if (left[index] !== right[index]) return false
  return true
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Lower-case hexadecimal of the bytes from `start` to `end`; of all when not told. */
export function formatHex(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  let text = ''
  for (let index = start; index < end; index += 1) text += HEX[bytes[index] ?? 0] ?? ''
  return text
}
