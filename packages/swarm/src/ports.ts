/** Time, as the host sees it. Instants are epoch milliseconds. */
export interface Clock {
  readonly now: () => number
  /** Resolves after `ms`; rejects with `signal.reason` as soon as the signal aborts. */
  readonly sleep: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
}

/** Bytes fit for keys. */
export interface RandomSource {
  readonly bytes: (length: number) => Uint8Array<ArrayBuffer>
}

/** SHA-256. */
export interface Digest {
  readonly sha256: (data: Uint8Array) => Uint8Array<ArrayBuffer>
}
