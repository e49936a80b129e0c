import type { CipherSuite } from '../ports.ts'

const CHECKSUM_BYTES = 4

/** Checksums of a single bit set at `at`, without what the length alone adds: these add up as bits do. */
function effects(bytes: Uint8Array<ArrayBuffer>, at: number, zero: number, suite: CipherSuite): readonly number[] {
  const all = Array.from({ length: 8 }, (_, bit) => {
    bytes[at] = 1 << bit
    return (suite.crc32(bytes) ^ zero) >>> 0
  })
  bytes[at] = 0
  return all
}

/**
 * What bytes with their CRC-32 behind them may have been before one byte of them changed: every change of one byte that
 * makes the checksum right. It is a guess that something with a key must confirm.
 */
export function* oneByteChanges(
  damaged: Uint8Array,
  suite: CipherSuite,
): Generator<Uint8Array<ArrayBuffer>, void, void> {
  const length = damaged.length - CHECKSUM_BYTES
  if (length <= 0) return
  const view = new DataView(damaged.buffer, damaged.byteOffset, damaged.byteLength)
  const computed = suite.crc32(damaged.subarray(0, length))
  const wanted = (computed ^ view.getUint32(length)) >>> 0
  if (wanted === 0) return
  // The checksum itself may be what changed.
  const checked = new Uint8Array(damaged)
  new DataView(checked.buffer).setUint32(length, computed)
  yield checked
  const blank = new Uint8Array(length)
  const zero = suite.crc32(blank)
  for (let at = 0; at < length; at += 1) {
    const bits = effects(blank, at, zero, suite)
    for (let change = 1; change < 256; change += 1) {
      const effect = bits.reduce((sum, one, bit) => ((change >> bit) & 1 ? sum ^ one : sum), 0)
      if (effect >>> 0 !== wanted) continue
      const mended = new Uint8Array(damaged)
      mended[at] = (mended[at] ?? 0) ^ change
      yield mended
    }
  }
}
