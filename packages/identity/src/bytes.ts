/** True when both hold the same bytes. Not for secrets: it stops at the first difference. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false
  for (let index = 0; index < left.length; index += 1) if (left[index] !== right[index]) return false
  return true
}

const DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
const high = (byte: number): number => DIGITS[byte >> 4] ?? 0
const low = (byte: number): number => DIGITS[byte & 0x0f] ?? 0

/** The digits of four bytes: one text of eight letters is made in a fraction of the time of eight. */
function fourBytes(bytes: Uint8Array, at: number): string {
  const a = bytes[at] ?? 0
  const b = bytes[at + 1] ?? 0
  const c = bytes[at + 2] ?? 0
  const d = bytes[at + 3] ?? 0
  return String.fromCharCode(high(a), low(a), high(b), low(b), high(c), low(c), high(d), low(d))
}

/** Lower-case hexadecimal of the bytes from `start` to `end`; of all when not told. */
export function formatHex(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  let text = ''
  let at = start
  for (; at + 4 <= end; at += 4) text += fourBytes(bytes, at)
  for (; at < end; at += 1) text += String.fromCharCode(high(bytes[at] ?? 0), low(bytes[at] ?? 0))
  return text
}
