import { TextDecoder } from 'node:util'
import { createLeakScanner, type Leak } from '../leak-scanner.ts'

/** Finds leaks in bytes of any kind. */
export interface ByteScanner {
  readonly push: (chunk: Buffer) => readonly Leak[]
}

/**
 * Reads each byte as one character: tokens and keys are ASCII, so they are found in UTF-8, in any other superset of ASCII and in binary
 * formats. Bytes that begin with the byte order mark of UTF-16 (little endian, as shells on Windows write it) are read as that too.
 */
export function createByteScanner(): ByteScanner {
  const bytewise = createLeakScanner()
  const wide = createLeakScanner()
  let head: Buffer | null = Buffer.alloc(0)
  let decoder: TextDecoder | null = null

  const asUtf16 = (chunk: Buffer): readonly Leak[] => {
    let part = chunk
    if (head !== null) {
      head = part = Buffer.concat([head, chunk])
      if (head.length < 2) return []
      if (head.readUInt16LE() === 0xfeff) decoder = new TextDecoder('utf-16le')
      head = null
    }
    return decoder === null ? [] : wide.push(decoder.decode(part, { stream: true }))
  }
  return { push: (chunk) => [...bytewise.push(chunk.toString('latin1')), ...asUtf16(chunk)] }
}
