import type { ClusterId } from '../membership/node-identity.ts'
import type { Clock, Digest, RandomSource } from '../ports.ts'
import { createPoke, type Poke } from '../renewal/poke.ts'
import { sleepOrWake } from '../renewal/sleep-or-wake.ts'
import type { Eviction } from './eviction.ts'
import { type EvictionBook, evictionsSince, packedIn, RESTORED_LEAP } from './eviction-book.ts'
import { encodeEviction } from './eviction-codec.ts'
import { MAX_EVICTION_LIST_LIFE_MS } from './list-codec.ts'
import { entriesOf } from './list-parts.ts'
import { signEvictionPieces } from './sign-pieces.ts'
import type { ListSigner } from './signed-list.ts'

/** How long a pushed list is good for unless told otherwise, in milliseconds: a day, so that managers may be away overnight. */
export const EVICTION_LIST_LIFE_MS = 86_400_000

/** The longest silence between two lists unless told otherwise, in milliseconds. */
export const EVICTION_BEAT_MS = 300_000

/** Signed news that are kept for peers which missed a few; a peer that missed more gets the whole list. */
const MAX_DELTAS = 64

const SECOND_MS = 1000

/** What a {@link EvictionPublisher} works with. */
export interface EvictionPublisherOptions {
  readonly clusterId: ClusterId
  /** What is durable: what is signed here is never taken back. */
  readonly readBook: () => EvictionBook
  /** Who signs: this manager, with the chain that it presents. The same object for as long as it is the same identity. */
  readonly signAs: () => ListSigner
  readonly clock: Clock
  /** Spreads the beats of the followers. */
  readonly random: RandomSource
  readonly digest: Digest
  /** Whole seconds, up to {@link MAX_EVICTION_LIST_LIFE_MS}; {@link EVICTION_LIST_LIFE_MS} unless given. */
  readonly lifeMs?: number
  /** At most half of the life; {@link EVICTION_BEAT_MS} unless given, or half of a shorter life. */
  readonly beatMs?: number
}

/** Gives every peer the lists that it lacks. Each is signed once, however many peers it goes to. */
export interface EvictionPublisher {
  /** Call it when the book or the signer has changed: all followers get what is new at once. */
  readonly changed: () => void
  /**
   * Lists for one peer, for as long as it asks: first what it lacks, or that it lacks nothing; then what is new, as soon as it is;
   * and a list that says nothing new whenever there was silence for the time of a beat, the first time for a share of it that is drawn for this peer. A list that is too large for one message comes in pieces, one after
   * the other: what names them all first. A peer takes them as they come ({@link HeldEvictions.intake}).
   *
   * A peer that knows a later number than this manager gets nothing until the manager has caught up: it would refuse it. A book from a backup catches up by the command `restored`.
   *
   * @param known - The number up to which the peer has everything; 0 for one that has nothing.
   * @throws the signal's reason, or what the signer throws.
   */
  readonly lists: (
    known: number,
    options: { readonly signal: AbortSignal },
  ) => AsyncGenerator<Uint8Array<ArrayBuffer>, void, void>
}

function* encoded(evictions: Iterable<Eviction>): Generator<Uint8Array, void, void> {
  for (const eviction of evictions) yield encodeEviction(eviction)
}

function* entriesIn(packed: Iterable<Uint8Array>): Generator<Uint8Array, void, void> {
  for (const bytes of packed) yield* entriesOf(bytes)
}

interface Made {
  readonly base: number
  readonly sequence: number
  readonly issuedAt: number
  readonly pieces: Promise<readonly Uint8Array<ArrayBuffer>[]>
}

/**
 * Signs what the book of evictions says, for all peers.
 *
 * @throws RangeError if the life is not in whole seconds up to {@link MAX_EVICTION_LIST_LIFE_MS}, or the beat is longer than half of it.
 */
export function createEvictionPublisher(options: EvictionPublisherOptions): EvictionPublisher {
  const { clusterId, readBook, signAs, clock, random, digest, lifeMs = EVICTION_LIST_LIFE_MS } = options
  const { beatMs = Math.min(EVICTION_BEAT_MS, lifeMs / 2) } = options
  if (!Number.isSafeInteger(lifeMs / SECOND_MS) || lifeMs <= 0 || lifeMs > MAX_EVICTION_LIST_LIFE_MS)
    throw new RangeError(`lifeMs must be whole seconds up to ${MAX_EVICTION_LIST_LIFE_MS} ms`)
  if (!(beatMs > 0 && beatMs <= lifeMs / 2))
    throw new RangeError('beatMs must be more than 0 and at most half of lifeMs')
  const followers = new Set<Poke>()
  const drawSilence = (): number => {
    const [high = 0, low = 0] = random.bytes(2)
    return beatMs * (1 - (high * 256 + low) / 65_536)
  }
  let book = readBook()
  let signer: ListSigner | null = null
  let deltas: readonly Made[] = []
  let whole: Made | null = null
  let beat: Made | null = null

  const forget = (): void => {
    deltas = []
    whole = null
    beat = null
  }
  const make = (by: ListSigner, base: number, entries: Iterable<Uint8Array>): Made => {
    const { sequence } = book
    const issuedAt = Math.floor(clock.now() / SECOND_MS) * SECOND_MS
    const list = { clusterId, sequence, base, issuedAt, validUntil: issuedAt + lifeMs }
    const pieces = signEvictionPieces(list, entries, by, digest)
    // A key that is elsewhere may be out of reach now; the next follower finds nothing kept and tries again.
    pieces.catch(forget)
    return { base, sequence, issuedAt, pieces }
  }
  const isFresh = (made: Made | null, longestMs: number): made is Made => {
    const age = made === null ? Infinity : clock.now() - made.issuedAt
    return age >= 0 && age < longestMs
  }

  const catchUp = (): ListSigner => {
    const by = signAs()
    if (by !== signer) forget()
    signer = by
    const before = book
    book = readBook()
    if (book.sequence < before.sequence) forget()
    if (book.sequence !== before.sequence) {
      whole = null
      beat = null
    }
    // A peer may have heard of other evictions under the numbers that a restored book has given again: it gets all of them.
    if (book.sequence - before.sequence >= RESTORED_LEAP) deltas = []
    else if (book.sequence > before.sequence)
      deltas = [...deltas, make(by, before.sequence, encoded(evictionsSince(before, book)))].slice(-MAX_DELTAS)
    return by
  }

  /** What a peer lacks that has everything up to `known`, or a sign of life. */
  const owed = (known: number): readonly Made[] => {
    const by = catchUp()
    const { sequence } = book
    if (known > sequence) return []
    if (known === sequence) {
      if (!isFresh(beat, beatMs / 2)) beat = make(by, sequence, [])
      return [beat]
    }
    const from = deltas.findIndex((delta) => delta.base <= known && known < delta.sequence)
    const missed = from < 0 ? [] : deltas.slice(from)
    if (missed.length > 0 && missed.every((delta) => isFresh(delta, lifeMs / 2))) return missed
    if (!isFresh(whole, beatMs)) whole = make(by, 0, entriesIn(packedIn(book)))
    return [whole]
  }

  return {
    changed: () => {
      for (const follower of followers) follower.poke()
    },
    lists: async function* (known, { signal }) {
      const news = createPoke()
      followers.add(news)
      let silenceMs = drawSilence()
      try {
        for (let at = known; ; ) {
          signal.throwIfAborted()
          for (const made of owed(at)) {
            yield* await made.pieces
            at = made.sequence
          }
          const woken = await sleepOrWake(silenceMs, { clock, signal, wake: news.wake })
          // Who sleeps at the same time as all others, since they all came or were all told something, sleeps another while.
          silenceMs = woken === 'woken' ? drawSilence() : beatMs
        }
      } finally {
        followers.delete(news)
      }
    },
  }
}
