import type { RandomSource } from './ports.ts'

/** Entropy from the port, refused if the port gave less or more than was asked for: a short draw would make weak secrets. */
export function draw(random: RandomSource, length: number): Uint8Array<ArrayBuffer> {
  const bytes = random.bytes(length)
  if (bytes.length !== length) {
    throw new RangeError(`the random source gave ${bytes.length} bytes where ${length} were asked for`)
  }
  return bytes
}
