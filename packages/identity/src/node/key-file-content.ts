/** What a node keeps between runs. The join token is not among it, and has no place here. */
export interface KeyFileContent {
  /** PKCS #8 DER. */
  readonly privateKey: Uint8Array
  /** PEM, leaf first; `null` while the node waits for its first certificate. */
  readonly certificateChain: string | null
  /** PEM of the roots that the node trusts, exactly as received. */
  readonly trustBundle: string
  /** Bytes that change together with the key, already wrapped by their owner: they are authenticated here, not encrypted. */
  readonly companion: Readonly<Record<string, Uint8Array>>
}

/** What a key file says before it is opened. */
export interface KeyFileFacts {
  /** False when the file opens without any key. */
  readonly locked: boolean
  /** {@link KeyWrapper.id} under which the file was saved. */
  readonly wrapperId: string
}

/** A key file holds a chain, a bundle and a few small companions; this stops a reader from taking in a disk image. */
export const MAX_KEY_FILE_BYTES = 1_048_576

/** Companions are a handful of key rings, not a store. */
export const MAX_COMPANIONS = 16

/** {@link KeyWrapper.id} which says that the file opens without a key. */
export const CLEAR_WRAPPER_ID = 'clear'
