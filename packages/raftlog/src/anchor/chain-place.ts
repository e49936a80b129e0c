import type { RollbackPlace } from '../errors.ts'
import { TAG_BYTES } from '../format/file-header.ts'

/** A place in the chain of a log, all of it durable up to there. */
export interface ChainPlace extends RollbackPlace {
  /** Tag of the last frame, or of the segment's header. */
  readonly tag: Uint8Array
}

/** Told of a log's chain while the log is proven. */
export interface ChainWatch {
  readonly seen: (sequence: bigint, tag: Uint8Array) => void
  /** The end of the chain, before anything in the directory is changed; throws if the log is refused. */
  readonly ends: (at: ChainPlace) => void
}

/** Where every log begins, before its first segment. */
export const GENESIS: ChainPlace = { sequence: 0n, offset: 0, index: 0n, term: 0n, tag: new Uint8Array(TAG_BYTES) }
