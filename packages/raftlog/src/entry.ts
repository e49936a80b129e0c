/** A place in the log. Indices count from 1 without holes, terms never fall. */
export interface Position {
  readonly index: bigint
  readonly term: bigint
}

/** One record of the log. `data` is a view on a whole frame: copy it to keep a small entry without its neighbours. */
export interface Entry extends Position {
  readonly data: Uint8Array<ArrayBuffer>
}

/** A state of the host's machine after all entries up to and including `index`. */
export interface Snapshot extends Position {
  readonly data: Uint8Array
}

/** Largest entry, and largest sum of one append: one append is one frame, and a frame is held in memory whole. */
export const MAX_ENTRY_BYTES: number = 16 * 1024 * 1024

/** Most entries of one frame and so of one append: bounds what one group commit can make others wait for. */
export const MAX_FRAME_ENTRIES = 1024

/** A group commit takes in no further append beyond this many bytes; larger costs latency and gains no speed. */
export const GROUP_COMMIT_BYTES: number = 1024 * 1024

/** Largest snapshot: it is passed as one array. */
export const MAX_SNAPSHOT_BYTES: number = 1024 * 1024 * 1024

/** Largest index and term that fit the format. */
export const MAX_INDEX: bigint = (1n << 63n) - 1n
