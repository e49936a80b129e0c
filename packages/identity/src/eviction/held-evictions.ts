import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { Digest, SignatureVerifier } from '../ports.ts'
import { MAX_EVICTIONS } from './eviction-book.ts'
import { malformed } from './eviction-codec.ts'
import { type OpenList, takeList, takePart } from './eviction-intake.ts'
import { withoutEnded } from './eviction-set.ts'
import { type EvictionView, noEvictions } from './eviction-view.ts'
import type { ListHead } from './list-codec.ts'

/** Something that judges its peers anew when it is told to, such as a `ConnectionRegistry`. */
export interface EvictionFollower {
  readonly recheck: () => unknown
}

/** Against what a list is proven. */
export interface EvictionTrust {
  readonly roots: readonly Certificate[]
  /** The present, epoch milliseconds. */
  readonly now: number
}

/** Takes lists that come in one piece or in several. What was begun and does not come to its end is forgotten with it, and changes nothing. */
export interface EvictionIntake {
  /**
   * Takes the next piece. Each is checked when it comes, against what the manager signed; only with the last one of a list the view changes, as with {@link HeldEvictions.take},
   * which says how this rejects. After a rejection the stream is of no use any more: ask for another.
   *
   * @returns The view; `null` while more of the list is to come.
   */
  readonly take: (piece: Uint8Array, trust: EvictionTrust) => Promise<EvictionView | null>
}

/** What a node has heard of evictions, and everything on that node which goes by it. */
export interface HeldEvictions {
  readonly clusterId: ClusterId
  /** For {@link notEvicted} and {@link listedIssuers}: `readView: () => held.view`. */
  readonly view: EvictionView
  /** When the youngest list was made that was taken since the start, epoch milliseconds; `null` if none was. */
  readonly heardAt: number | null
  /**
   * Proves a list of one piece and acts on it: first the view changes and all followers judge their peers anew, then the view is kept. Lists are
   * taken one after the other. A list that is refused changes nothing.
   *
   * Rejects with the codes of {@link verifyEvictionList} and {@link withEvictionList}, with `EVICTIONS_FULL`, or with what keeping the view
   * rejects with; in this last case the list counts all the same, until the process ends.
   */
  readonly take: (bytes: Uint8Array, trust: EvictionTrust) => Promise<EvictionView>
  /** For one stream of lists, as {@link EvictionPublisher.lists} gives them. */
  readonly intake: () => EvictionIntake
  /** From now on `follower` is told of each change. Returns what ends that. */
  readonly follow: (follower: EvictionFollower) => () => void
  /** Tells all followers to judge their peers anew, because time has passed: a view that has ended may refuse everybody. */
  readonly recheck: () => void
}

/** What {@link holdEvictions} works with. */
export interface HoldEvictionsOptions {
  readonly clusterId: ClusterId
  readonly verifier: SignatureVerifier
  readonly digest: Digest
  /** What was kept before; nothing unless given. */
  readonly view?: EvictionView
  /** Keeps the view, so that a restart forgets nothing; durable when the promise resolves. */
  readonly save?: (view: EvictionView) => Promise<void>
}

/** What has ended is looked for that often: it costs a look at every entry. */
const FORGET_EVERY_MS = 3_600_000

/** Twice the book, since a list may arrive before what it replaces has ended; a manager that signs more wants our memory. */
const MAX_HELD = 2 * MAX_EVICTIONS

/** Holds what a node hears of evictions: one for all the servers and clients of its process. */
export function holdEvictions(options: HoldEvictionsOptions): HeldEvictions {
  const { clusterId, verifier, digest, save } = options
  const followers = new Set<EvictionFollower>()
  let view = options.view ?? noEvictions
  let heardAt: number | null = null
  let forgottenAt = 0
  let last: Promise<unknown> = Promise.resolve()

  const recheck = (): void => {
    for (const follower of [...followers]) follower.recheck()
  }
  const accept = async (wanted: EvictionView, { issuedAt }: ListHead, now: number): Promise<EvictionView> => {
    const before = view
    let next = wanted
    if (Math.abs(now - forgottenAt) >= FORGET_EVERY_MS || next.set.size > MAX_HELD) {
      next = { ...next, set: withoutEnded(next.set, now) }
      forgottenAt = now
    }
    if (next.set.size > MAX_HELD)
      throw new IdentityError(
        'EVICTIONS_FULL',
        `a peer keeps ${MAX_HELD} evictions; look for the manager that signs more`,
      )
    view = next
    heardAt = Math.max(heardAt ?? 0, issuedAt)
    // A list without news changes nobody's standing, unless the view had ended.
    if (next.set !== before.set || before.validUntil < now) recheck()
    await save?.(next)
    return next
  }
  const intake = (): EvictionIntake => {
    let open: OpenList | null = null
    const takeNow = async (piece: Uint8Array, { roots, now }: EvictionTrust): Promise<EvictionView | null> => {
      const begun = open
      // What is refused ends what was begun.
      open = null
      const against = { roots, clusterId, now, verifier, view, digest }
      const taken = begun === null ? await takeList(piece, against) : await takePart(begun, piece, against)
      if (taken.view !== null) return await accept(taken.view, taken.head, now)
      open = taken.open
      return null
    }
    return {
      take: async (piece, trust) => {
        const mine = last.then(async () => await takeNow(piece, trust))
        last = mine.catch(() => undefined)
        return await mine
      },
    }
  }
  return {
    clusterId,
    get view() {
      return view
    },
    get heardAt() {
      return heardAt
    },
    take: async (bytes, trust) => {
      const taken = await intake().take(bytes, trust)
      if (taken === null) throw malformed('comes in several parts, of which this is the head')
      return taken
    },
    intake,
    follow: (follower) => {
      followers.add(follower)
      return () => {
        followers.delete(follower)
      }
    },
    recheck,
  }
}
