import type { Certificate } from '../certificate.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../node-identity.ts'
import type { SignatureVerifier } from '../ports.ts'
import { MAX_EVICTIONS } from './eviction-book.ts'
import { withoutEnded } from './eviction-set.ts'
import { type EvictionView, noEvictions, withEvictionList } from './eviction-view.ts'
import { verifyEvictionList } from './signed-list.ts'

/** Something that judges its peers anew when it is told to, such as a `ConnectionRegistry`. */
export interface EvictionFollower {
  readonly recheck: () => unknown
}

/** What a node has heard of evictions, and everything on that node which goes by it. */
export interface HeldEvictions {
  readonly clusterId: ClusterId
  /** For {@link notEvicted} and {@link listedIssuers}: `readView: () => held.view`. */
  readonly view: EvictionView
  /** When the youngest list was made that was taken since the start, epoch milliseconds; `null` if none was. */
  readonly heardAt: number | null
  /**
   * Proves a list and acts on it: first the view changes and all followers judge their peers anew, then the view is kept. Lists are
   * taken one after the other. A list that is refused changes nothing.
   *
   * Rejects with the codes of {@link verifyEvictionList} and {@link withEvictionList}, with `EVICTIONS_FULL`, or with what keeping the view
   * rejects with; in this last case the list counts all the same, until the process ends.
   */
  readonly take: (
    bytes: Uint8Array,
    trust: { readonly roots: readonly Certificate[]; readonly now: number },
  ) => Promise<EvictionView>
  /** From now on `follower` is told of each change. Returns what ends that. */
  readonly follow: (follower: EvictionFollower) => () => void
  /** Tells all followers to judge their peers anew, because time has passed: a view that has ended may refuse everybody. */
  readonly recheck: () => void
}

/** What {@link holdEvictions} works with. */
export interface HoldEvictionsOptions {
  readonly clusterId: ClusterId
  readonly verifier: SignatureVerifier
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
  const { clusterId, verifier, save } = options
  const followers = new Set<EvictionFollower>()
  let view = options.view ?? noEvictions
  let heardAt: number | null = null
  let forgottenAt = 0
  let last: Promise<unknown> = Promise.resolve()

  const recheck = (): void => {
    for (const follower of [...followers]) follower.recheck()
  }
  const takeNow = async (
    bytes: Uint8Array,
    { roots, now }: { readonly roots: readonly Certificate[]; readonly now: number },
  ): Promise<EvictionView> => {
    const list = await verifyEvictionList(bytes, { roots, clusterId, now, verifier, view })
    const before = view
    let next = withEvictionList(before, list)
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
    heardAt = Math.max(heardAt ?? 0, list.issuedAt)
    // A list without news changes nobody's standing, unless the view had ended.
    if (next.set !== before.set || before.validUntil < now) recheck()
    await save?.(next)
    return next
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
      const mine = last.then(async () => await takeNow(bytes, trust))
      last = mine.catch(() => undefined)
      return await mine
    },
    follow: (follower) => {
      followers.add(follower)
      return () => {
        followers.delete(follower)
      }
    },
    recheck,
  }
}
