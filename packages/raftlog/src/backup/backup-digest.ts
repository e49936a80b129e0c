import { byteWriter } from '../format/byte-writer.ts'
import type { Digest } from '../ports.ts'

/** Bytes of a backup's digest. */
export const BACKUP_DIGEST_BYTES = 32
/** Bytes behind the last part: mark, digest. */
export const TRAILER_BYTES: number = 4 + BACKUP_DIGEST_BYTES

const MARK = 0x4c574245 // "LWBE"

/** Digests a backup piece by piece: a piece is the header, or a part. */
export interface RunningDigest {
  readonly add: (piece: Uint8Array) => void
  readonly value: () => Uint8Array<ArrayBuffer>
}

/** zeros(32), then for each piece SHA-256 of the digest so far ‖ SHA-256 of the piece */
export function runningDigest({ sha256 }: Digest): RunningDigest {
  let value = new Uint8Array(BACKUP_DIGEST_BYTES)
  return {
    add: (piece) => {
      value = sha256(
        byteWriter(2 * BACKUP_DIGEST_BYTES)
          .bytes(value)
          .bytes(sha256(piece))
          .written(),
      )
    },
    value: () => new Uint8Array(value),
  }
}

/** "LWBE" ‖ digest(32) */
export const encodeTrailer = (digest: Uint8Array): Uint8Array<ArrayBuffer> =>
  byteWriter(TRAILER_BYTES).u32(MARK).bytes(digest).written()
