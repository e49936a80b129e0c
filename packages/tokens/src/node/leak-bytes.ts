import { createLeakScanner, type Leak } from '../leaks/leak-scanner.ts'
import { createWideScanner } from './leak-wide.ts'

/** Finds leaks in bytes of any kind. */
export interface ByteScanner {
  readonly push: (chunk: Buffer) => readonly Leak[]
}

/**
 * Reads each byte as one character: tokens and keys are ASCII, so they are found in UTF-8, in any other superset of ASCII and in binary
 * formats. Beside that it looks for them in letters of two and four bytes, as UTF-16 and UTF-32 have them.
 */
export function createByteScanner(): ByteScanner {
  const bytewise = createLeakScanner()
  const wide = createWideScanner()
  return {
    push: (chunk) => {
      const text = chunk.toString('latin1')
      return [...bytewise.push(text), ...wide.push(text)]
    },
  }
}
