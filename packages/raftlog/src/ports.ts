/** The instant, and waiting for a later one. */
export interface Clock {
  readonly now: () => number
  readonly sleep: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
}

/** Cryptographically strong random bytes. */
export interface RandomSource {
  readonly bytes: (length: number) => Uint8Array<ArrayBuffer>
}

/** A hash function. */
export interface Digest {
  readonly sha256: (data: Uint8Array) => Uint8Array<ArrayBuffer>
}

/**
 * One AES-256-GCM key, ready for use. The caller never repeats a nonce. What is passed in holds during the call alone:
 * nonce and associated data of the next frame lie in the same memory.
 */
export interface Aead {
  /** Seals `plain`; the body is as long as `plain`, the tag has 16 bytes. */
  readonly seal: (
    nonce: Uint8Array,
    associated: Uint8Array,
    plain: Uint8Array,
  ) => { readonly body: Uint8Array; readonly tag: Uint8Array }
  /**
   * Takes back the memory of a body that `seal` gave, which nobody looks at any more. Left out where there is nothing to
   * gain by it.
   */
  readonly release?: (body: Uint8Array) => void
  /** Gives the plain bytes in a fresh array, or null if anything does not fit together. */
  readonly open: (
    nonce: Uint8Array,
    associated: Uint8Array,
    body: Uint8Array,
    tag: Uint8Array,
  ) => Uint8Array<ArrayBuffer> | null
}

/** The four primitives that the format stands on; synchronous, because each call covers a whole frame. */
export interface CipherSuite extends Digest {
  /** AES-256-GCM under a key of 32 bytes, which is taken over: the caller may wipe its array. */
  readonly aead: (key: Uint8Array) => Aead
  /** HKDF-SHA256 (RFC 5869). */
  readonly hkdf: (key: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number) => Uint8Array<ArrayBuffer>
  /** CRC-32 (IEEE 802.3); `seed` continues an earlier one. */
  readonly crc32: (data: Uint8Array, seed?: number) => number
}

/**
 * Wraps data keys. `unwrap` gives null for "not wrapped by me" and throws only if the key holder itself is broken or
 * cannot be reached. The `id` is stored in the clear beside the wrapped key and must not tell anything about the key.
 */
export interface KeyWrapper {
  readonly id: string
  readonly wrap: (key: Uint8Array) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
  readonly unwrap: (wrapped: Uint8Array) => Uint8Array<ArrayBuffer> | null | Promise<Uint8Array<ArrayBuffer> | null>
}

/**
 * Keeps the encoded key ring. `save` replaces it atomically and durably before it resolves; whatever else the host
 * keeps in the same place (its node key) it re-wraps under the same `wrapper` in the same write.
 */
export interface KeyStore {
  /** The bytes of the last `save`, or null if there never was one. */
  readonly load: () => Promise<Uint8Array | null>
  readonly save: (keys: Uint8Array, wrapper: KeyWrapper) => Promise<void>
}

/** Unwrapped data keys by id, bounded in number and age. The cache owns the bytes put into it and wipes what it drops. */
export interface DataKeyCache {
  readonly get: (id: string) => Uint8Array | undefined
  readonly set: (id: string, key: Uint8Array) => void
  readonly delete: (id: string) => void
  readonly clear: () => void
}

/** A file that is only ever appended to. */
export interface AppendHandle {
  /**
   * Writes all parts, in order, as one write where the system allows it, and behind them `zeros` zeros (at most 8 KiB), over
   * which the next append goes. It keeps none of the parts once it resolves.
   */
  readonly append: (parts: readonly Uint8Array[], zeros?: number) => Promise<void>
  /** Resolves once everything appended so far is on stable storage. */
  readonly sync: () => Promise<void>
  readonly close: () => Promise<void>
  /**
   * For media on which a flush costs more when the file has grown: zeros written ahead, which later appends overwrite.
   * Left out where nothing is gained by it.
   */
  readonly ahead?: WriteAhead
}

/** Bytes of a file that lie behind what was appended, for further appends to go over. */
export interface WriteAhead {
  /** How many zeros one `fill` leaves behind what was appended; at most 1 MiB. */
  readonly stepBytes: number
  /** What the medium writes at least; at most 4 KiB. Of a block that is written in part it must read the rest. */
  readonly blockBytes: number
  /** Writes the zeros; durable with the next `sync`. A failure leaves what was appended as it is. */
  readonly fill: () => Promise<void>
  /** Ends the file behind what was appended, which is durable with it before it resolves. */
  readonly cut: () => Promise<void>
}

/** A file that is read at offsets. */
export interface ReadHandle {
  readonly sizeBytes: number
  /** Up to `length` bytes from `offset`; fewer only at the end of the file. The result holds until the next `read`. */
  readonly read: (offset: number, length: number) => Promise<Uint8Array>
  readonly close: () => Promise<void>
}

/**
 * One directory, all that a log does to a disk. Names are plain file names. Every failure is a {@link RaftLogError}
 * (`DISK_FULL`, `DIRECTORY_UNWRITABLE`, else `LOG_FAILED`).
 */
export interface LogFiles {
  /** Makes sure that the directory is there and safe; gives false if it is absent and `create` is false. */
  readonly enter: (options: { readonly create: boolean }) => Promise<boolean>
  /** Takes the directory for this process alone; `LOG_BUSY` if another holds it. The result gives it back. */
  readonly lock: () => Promise<() => Promise<void>>
  readonly list: () => Promise<readonly string[]>
  /** Creates a new file, emptying one of the same name. */
  readonly create: (name: string) => Promise<AppendHandle>
  /**
   * Opens an existing file to write over it from its beginning on; what it held stays there until then. Left out where it
   * gains nothing over a new file.
   */
  readonly reuse?: (name: string) => Promise<AppendHandle & { readonly ahead: WriteAhead }>
  /** Opens an existing file, or gives null if there is none. */
  readonly open: (name: string) => Promise<ReadHandle | null>
  /** Cuts the file to `sizeBytes`; durable before it resolves, also when nothing had to be cut. */
  readonly truncate: (name: string, sizeBytes: number) => Promise<void>
  /** Renames, replacing; durable after {@link LogFiles.syncDirectory}. */
  readonly rename: (from: string, to: string) => Promise<void>
  /** Removes a file; one that is absent is no failure. */
  readonly remove: (name: string) => Promise<void>
  readonly syncDirectory: () => Promise<void>
}
