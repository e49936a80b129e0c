/** Entropy. */
export interface RandomSource {
  /** Fresh bytes, unpredictable to anyone; a new array for each call, owned by the caller. */
  readonly bytes: (length: number) => Uint8Array<ArrayBuffer>
}

/** Hashing. */
export interface Digest {
  /** SHA-256 (FIPS 180-4) of exactly these bytes: 32 bytes, a new array for each call. */
  readonly sha256: (data: Uint8Array) => Uint8Array<ArrayBuffer>
}

/**
 * A piece of durable state as three plain values, without clock, randomness or I/O.
 *
 * The host journals what `decide` returns and then feeds it to `evolve`; replaying the journal gives the same state again.
 */
export interface Decider<State, Command, Event> {
  /** The state before the first event. */
  readonly initial: State
  /** What follows from a command, or the package's coded error. Changes nothing; an empty list means that nothing is to be done. */
  readonly decide: (state: State, command: Command) => readonly Event[]
  /** The state after an event. Never changes the state it was given. */
  readonly evolve: (state: State, event: Event) => State
}
