import { createHash, randomFillSync } from 'node:crypto'
import type { Digest, RandomSource } from '../ports.ts'

/** The operating system's random source, through node:crypto. */
export const systemRandom: RandomSource = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
}

/** SHA-256 of node:crypto. */
export const systemDigest: Digest = {
  // Copied: a Buffer may be a window into memory that it shares with others.
  sha256: (data) => Uint8Array.from(createHash('sha256').update(data).digest()),
}
