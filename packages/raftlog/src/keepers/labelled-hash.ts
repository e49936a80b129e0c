import { byteWriter } from '../format/byte-writer.ts'
import { hash512 } from '../keys/secretbox.ts'

const text = new TextEncoder()

/**
 * The first `length` bytes of SHA-512 of a label, a zero byte and the parts. The parts of one label always have the same
 * lengths, except for the last, so that no two lists of parts are hashed alike.
 */
export function labelledHash(label: string, parts: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const name = text.encode(label)
  const size = parts.reduce((sum, part) => sum + part.length, name.length + 1)
  const out = byteWriter(size).bytes(name).u8(0)
  for (const part of parts) out.bytes(part)
  const input = out.written()
  const full = hash512(input)
  input.fill(0)
  const hash = full.slice(0, length)
  full.fill(0)
  return hash
}
