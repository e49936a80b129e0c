import type { Entry, EntryRange, SealedLog } from '@leastwise/raftlog'
import { campaign, LEADERSHIP_TTL_MS } from './etcd/campaign.ts'
import { appender } from './frames/appender.ts'
import { followLog } from './frames/follow.ts'
import { readFrames } from './frames/frame-reader.ts'
import type { HeadRecord } from './head/head-record.ts'
import { joinSignals } from './joined-signal.ts'
import { admit, type RotationWork, rotate } from './keys/cluster-keys.ts'
import { pinOf } from './keys/roster.ts'
import type { LogView } from './log-view.ts'
import type { FollowStep, KeyPin, LogHead, SharedLog } from './shared-log.ts'
import {
  checkCompaction,
  checkFrom,
  checkIndex,
  checkInstalled,
  checkSnapshot,
  closedLog,
  notShared,
} from './shared-rules.ts'
import { compactLog, loadSnapshot, overtaken, putSnapshot } from './snapshots/maintenance.ts'

function headOf({ last }: HeadRecord): LogHead {
  return { index: last.index, term: last.term, frames: last.frames, tag: new Uint8Array(last.tag) }
}

/** The log behind a view that is loaded. */
export function sharedLog(view: LogView): SharedLog {
  const { parts } = view
  const closing = new AbortController()
  const appends = appender(view, closing.signal)
  let maintenance: Promise<unknown> = Promise.resolve()
  let nextRotation: Promise<void> | null = null
  let closed = false
  let pin: KeyPin | null = null
  let close: Promise<void> | null = null

  const check = (): void => {
    if (closed) throw closedLog()
  }
  const record = (): HeadRecord => view.head().record
  const alone = async <T>(task: () => Promise<T>): Promise<T> => {
    const mine = maintenance.then(task)
    maintenance = mine.catch(() => undefined)
    return await mine
  }

  async function* batches(range: EntryRange, from: bigint): AsyncGenerator<readonly Entry[], void, void> {
    using joined = joinSignals(closing.signal, range.signal)
    const { signal } = joined
    const head = await view.refresh(signal)
    const { last } = head.record
    const to = range.to !== undefined && range.to < last.index ? range.to : last.index
    yield* readFrames(view, head, { from, to, signal })
  }
  const read = (range: EntryRange = {}): AsyncGenerator<readonly Entry[], void, void> => {
    check()
    const first = record().base.index + 1n
    if (range.from !== undefined) checkFrom(range.from, first)
    return batches(range, range.from ?? first)
  }
  async function* single(
    range: EntryRange | undefined,
    source: AsyncGenerator<readonly Entry[], void, void>,
  ): AsyncGenerator<Entry, void, void> {
    for await (const batch of source) {
      for (const entry of batch) {
        range?.signal?.throwIfAborted()
        yield entry
      }
    }
  }
  const entryAt = async (index: bigint): Promise<Entry | null> => {
    for await (const batch of read({ from: index, to: index })) for (const entry of batch) return entry
    return null
  }

  const work = (snapshot: RotationWork['snapshot'], without?: string): RotationWork => ({
    snapshot,
    ...(without === undefined ? {} : { without }),
  })
  const rotateFor: SealedLog['rotateDek'] = async ({ snapshot, signal }) => {
    using joined = joinSignals(closing.signal, signal)
    const ends = joined.signal
    await rotate(view, work(snapshot), ends)
  }

  async function* following(from: bigint | null, signal: AbortSignal): AsyncGenerator<FollowStep, void, void> {
    using joined = joinSignals(closing.signal, signal)
    yield* followLog(view, from, joined.signal)
  }

  const closeNow = async (): Promise<void> => {
    closed = true
    await appends.drained()
    closing.abort(closedLog())
    await maintenance
    // From here on nothing seals, so no value can come to lie under a key of zeros.
    pin = pinOf(view.roster(), parts.suite)
    view.forget()
  }
  const closeOnce = async (): Promise<void> => {
    await (close ??= closeNow())
  }

  return {
    get firstIndex() {
      return record().base.index + 1n
    },
    get lastIndex() {
      return record().last.index
    },
    get lastTerm() {
      return record().last.term
    },
    state: null,
    get snapshotAt() {
      const { snapshot } = record()
      return snapshot === null ? null : { index: snapshot.index, term: snapshot.term }
    },
    get rotating() {
      return view.roster().previous !== null
    },
    repair: null,
    get head() {
      return headOf(record())
    },
    membership: {
      get members() {
        return view.roster().members.map(({ id, publicKey }) => ({ id, publicKey: new Uint8Array(publicKey) }))
      },
      get pin() {
        return pin ?? pinOf(view.roster(), parts.suite)
      },
      admit: async (member) => {
        check()
        await alone(async () => {
          await admit(view, member, closing.signal)
        })
      },
      become: async (member, { signal } = {}) => {
        check()
        signal?.throwIfAborted()
        using joined = joinSignals(closing.signal, signal)
        const ends = joined.signal
        await alone(async () => {
          await view.become(member, ends)
        })
      },
      remove: async (id, { snapshot, signal }) => {
        check()
        signal?.throwIfAborted()
        using joined = joinSignals(closing.signal, signal)
        const ends = joined.signal
        await alone(async () => {
          await rotate(view, work(snapshot, id), ends)
        })
      },
    },
    refresh: async ({ signal } = {}) => {
      check()
      signal?.throwIfAborted()
      using joined = joinSignals(closing.signal, signal)
      const ends = joined.signal
      await view.learnRoster(ends)
      return headOf((await view.refresh(ends)).record)
    },
    append: async (entries, options = {}) => {
      check()
      options.signal?.throwIfAborted()
      if ('state' in options && options.state !== undefined) throw notShared()
      return await appends.append(entries, options)
    },
    saveState: async () => {
      await Promise.resolve()
      check()
      throw notShared()
    },
    batches: (range) => read(range),
    entries: (range) => single(range, read(range)),
    entry: async (index) => {
      checkIndex(index)
      return await entryAt(index)
    },
    termAt: async (index) => {
      checkIndex(index)
      check()
      const { last, base, snapshot } = (await view.refresh(closing.signal)).record
      if (index > last.index) return null
      if (index === snapshot?.index) return snapshot.term
      if (index === base.index) return base.term
      checkFrom(index, base.index + 1n)
      return (await entryAt(index))?.term ?? null
    },
    saveSnapshot: async (snapshot) => {
      check()
      const least = (now: HeadRecord): bigint => now.snapshot?.index ?? 1n
      checkSnapshot(snapshot, least(record()), record().last)
      await alone(async () => {
        const rule = (now: HeadRecord): void => {
          // It was new enough when it was handed over.
          if (snapshot.index < least(now)) throw overtaken()
          checkSnapshot(snapshot, least(now), now.last)
        }
        await putSnapshot(view, snapshot, { check: rule, restart: false }, closing.signal)
      })
    },
    installSnapshot: async (snapshot) => {
      check()
      await alone(async () => {
        const rule = ({ snapshot: newest, last }: HeadRecord): void => {
          checkInstalled(snapshot, newest?.index ?? 0n, last)
        }
        await putSnapshot(view, snapshot, { check: rule, restart: true }, closing.signal)
      })
    },
    loadSnapshot: async () => {
      check()
      return await loadSnapshot(view, closing.signal)
    },
    compact: async (upTo) => {
      check()
      await alone(async () => {
        await view.refresh(closing.signal)
        checkCompaction(upTo, record().snapshot?.index ?? 0n)
        await compactLog(view, upTo, closing.signal)
      })
    },
    rotateDek: async (options) => {
      check()
      // The one that is still waiting serves this caller as well; the one that runs may be past its snapshot.
      nextRotation ??= alone(async () => {
        nextRotation = null
        await rotateFor(options)
      })
      await nextRotation
    },
    rewrap: async () => {
      await Promise.resolve()
      check()
      throw notShared()
    },
    lock: async () => {
      await Promise.resolve()
      check()
      throw notShared()
    },
    follow: ({ from, signal }) => {
      check()
      if (from !== undefined) checkIndex(from)
      return following(from ?? null, signal)
    },
    campaign: async ({ name, ttlMs = LEADERSHIP_TTL_MS, signal }) => {
      check()
      const { etcd, clock, places, member } = parts
      const key = places.leader(name)
      return await campaign({ etcd, clock, key, name, memberId: member.id, ttlMs }, signal, closing.signal)
    },
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  }
}
