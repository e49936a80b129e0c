import type { KeyType, SignatureAlgorithm } from './algorithms.ts'

/** Time as this package needs it. `sleep` rejects with the signal's reason when the signal fires. */
export interface Clock {
  readonly now: () => number
  readonly sleep: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
}

/** Cryptographically strong bytes, a fresh array on each call. */
export interface RandomSource {
  readonly bytes: (length: number) => Uint8Array<ArrayBuffer>
}

/** Hash functions; the result is a fresh array. */
export interface Digest {
  readonly sha256: (data: Uint8Array) => Uint8Array<ArrayBuffer>
}

/** A key that wraps other keys: a file's password key, a KMS, an HSM. */
export interface KeyWrapper {
  /** Names the wrapping key without revealing it. */
  readonly id: string
  /** Seals `key`, so that only this wrapper gives it back. */
  readonly wrap: (key: Uint8Array) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
  /** Gives the key back, or `null` when `wrapped` was not made with this key. */
  readonly unwrap: (wrapped: Uint8Array) => Uint8Array<ArrayBuffer> | null | Promise<Uint8Array<ArrayBuffer> | null>
}

/** A private key that is used but never read: in memory, in an HSM, behind a service. */
export interface Signer {
  readonly keyType: KeyType
  /** The public half as a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). */
  readonly publicKey: Uint8Array
  /**
   * Signs `data` with the algorithm that goes with the key type: SHA-256, SHA-384 or SHA-512 for P-256, P-384 or P-521,
   * SHA-256 for RSA (PKCS #1 v1.5), Ed25519 as it is. ECDSA results are DER (RFC 3279 section 2.2.3).
   */
  readonly sign: (data: Uint8Array) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
}

/** A public key as the verifier takes it. */
export interface VerificationKey {
  readonly keyType: KeyType
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array
}

/** Checks signatures. Anything but `true` (a bad point, a bad encoding) means: not signed by that key; it never throws for bad input. */
export interface SignatureVerifier {
  readonly verify: (
    key: VerificationKey,
    algorithm: SignatureAlgorithm,
    data: Uint8Array,
    signature: Uint8Array,
  ) => boolean | Promise<boolean>
  /**
   * The same answers for a key that is seen for the first time and not expected again, such as that of a request, where importing it is half of
   * the work. Without it, `verify` is asked.
   */
  readonly verifyOnce?: (
    key: VerificationKey,
    algorithm: SignatureAlgorithm,
    data: Uint8Array,
    signature: Uint8Array,
  ) => boolean | Promise<boolean>
}

/** A {@link SignatureVerifier} that answers at once. */
export interface SyncSignatureVerifier extends SignatureVerifier {
  readonly verify: (
    key: VerificationKey,
    algorithm: SignatureAlgorithm,
    data: Uint8Array,
    signature: Uint8Array,
  ) => boolean
}

/**
 * Everything durable is one of these: no input or output, no clock, no randomness.
 *
 * `decide` throws the package's coded error and then has changed nothing; its events are plain data which the host keeps.
 * `evolve` never fails on an event that `decide` gave for that state.
 */
export interface Decider<State, Command, Event> {
  readonly initial: State
  readonly decide: (state: State, command: Command) => readonly Event[]
  readonly evolve: (state: State, event: Event) => State
}
