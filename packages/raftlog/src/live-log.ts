import {
  checkAt,
  checkCompaction,
  checkEntries,
  checkFrom,
  checkIndex,
  checkInstalled,
  checkSnapshot,
  checkState,
  checkTerm,
  closedLog,
  settledIndex,
} from './append-rules.ts'
import { commitLoop, type Queued } from './commit-loop.ts'
import type { Entry, Position } from './entry.ts'
import type { LogContext } from './files/log-context.ts'
import type { SealedFile } from './files/sealed-file.ts'
import type { Segments } from './files/segments.ts'
import { publishSnapshot, readNewest, sealSnapshot, writeSnapshot } from './files/snapshot-file.ts'
import { flatten } from './flatten.ts'
import { snapshotName } from './format/file-names.ts'
import type { KeyWrapper } from './ports.ts'
import type { AppendOptions, EntryRange, Repair, RotationOptions, SealedLog } from './sealed-log.ts'
import { turns } from './turns.ts'

/** The newest snapshot, and the segment that it names: that one must stay. */
interface KeptSnapshot {
  readonly at: Position
  readonly anchor: bigint
}

/** What a log that is open consists of. */
export interface LiveLogParts {
  readonly log: LogContext
  readonly segments: Segments
  readonly snapshot: KeptSnapshot | null
  readonly repair: Repair | null
  readonly turn: () => Promise<void>
  readonly unlock: () => Promise<void>
}

/** The log over its proven segments: orders what is asked of it, and checks it. */
export function liveLog({ log, segments, snapshot: found, repair, turn, unlock }: LiveLogParts): SealedLog {
  const maintenance = turns()
  const loop = commitLoop({ nextIndex: segments.last().index + 1n, turn, commit: segments.commit })
  let kept = found
  // What the log will be once everything that is queued is durable.
  const queued = segments.terms.copy()
  let queuedState = segments.state()
  // A snapshot that is being written covers its entries already.
  let covered = found?.at.index ?? 0n
  let installing: Promise<unknown> | null = null
  let closing: Promise<void> | null = null
  let nextRotation: Promise<void> | null = null

  const check = (): void => {
    if (closing !== null) throw closedLog()
  }
  const checkWritable = (): void => {
    check()
    const failure = loop.failure()
    if (failure !== null) throw failure
  }
  // What is queued while a snapshot is being installed would bear an index of before.
  const installed = async (): Promise<void> => {
    while (installing !== null) await installing
    checkWritable()
  }
  const keepSnapshot: SealedLog['saveSnapshot'] = async (snapshot) => {
    const checkIt = (): void => {
      const last = segments.last()
      checkSnapshot(snapshot, kept?.at.index ?? 1n, last.index, last.term)
    }
    checkIt()
    covered = snapshot.index
    const anchor = await loop.exclusive(segments.roll)
    let file: SealedFile
    try {
      // What was queued before may have replaced entries.
      checkIt()
      file = await sealSnapshot(log, snapshot, anchor)
    } catch (error) {
      // Nothing bears its name yet, so the log goes on as if it had not been asked.
      covered = kept?.at.index ?? 0n
      throw error
    }
    const publish = async (): Promise<void> => {
      await publishSnapshot(file)
      const older = kept
      kept = { at: { index: snapshot.index, term: snapshot.term }, anchor: anchor.sequence }
      // Not synced: if a crash brings it back, an opening removes it.
      if (older !== null && older.at.index !== snapshot.index) await log.files.remove(snapshotName(older.at.index))
    }
    // Between two frames, so that a failure stops the log: nobody knows then which snapshots the directory names.
    await loop.exclusive(publish).catch(async (error: unknown) => {
      await file.discard().catch(() => undefined)
      throw error
    })
  }

  const install: SealedLog['installSnapshot'] = async (snapshot) => {
    checkInstalled(snapshot, kept?.at.index ?? 0n, queuedState?.commit ?? 0n)
    const { index, term } = snapshot
    const older = kept
    await loop.exclusive(async () => {
      const gone = await segments.restart({ index, term }, async (anchor) => {
        await writeSnapshot(log, snapshot, anchor)
        kept = { at: { index, term }, anchor: anchor.sequence }
      })
      for (const segment of gone) await log.files.remove(segment.name)
      if (older !== null) await log.files.remove(snapshotName(older.at.index))
      await log.files.syncDirectory()
    })
    covered = index
    queued.reset({ index, term })
    loop.skipTo(index + 1n)
  }

  const rotate = async ({ snapshot, signal }: RotationOptions, wrapper?: KeyWrapper): Promise<void> => {
    checkWritable()
    signal?.throwIfAborted()
    await log.keys.beginRotation(wrapper)
    const { begun, atLeast } = await loop.exclusive(async () => ({
      begun: await segments.roll(),
      // What a Raft host has not committed may still be replaced, so no snapshot may hold it.
      atLeast: settledIndex(segments.last(), segments.state(), kept?.at ?? null),
    }))
    signal?.throwIfAborted()
    if (atLeast > 0n) {
      const made = await snapshot(atLeast)
      signal?.throwIfAborted()
      const last = segments.last()
      // One that reaches less far would leave the entries between to be sealed anew, however many they are.
      checkSnapshot(made, atLeast, last.index, last.term)
      await keepSnapshot(made)
    }
    await loop.exclusive(async () => {
      await segments.reseal(begun.sequence, kept?.at.index ?? 0n)
      await segments.drop((segment) => segment.header.sequence < begun.sequence)
      // What the old key opens is gone for good before the rotation is done: older snapshots, too.
      await log.files.syncDirectory()
    })
    await log.keys.finishRotation()
  }

  const close = async (): Promise<void> => {
    try {
      await maintenance.take(loop.drained)
      if (loop.failure() === null) await segments.end()
    } finally {
      log.keys.close()
      await segments.close().finally(unlock)
    }
  }

  const read = ({ from, to, signal }: EntryRange = {}): AsyncGenerator<readonly Entry[], void, void> => {
    check()
    const first = segments.firstIndex()
    const last = segments.last().index
    if (from !== undefined) checkFrom(from, first)
    const until = to !== undefined && to < last ? to : last
    return segments.read({ from: from ?? first, to: until, signal })
  }

  const add = (entries: readonly Uint8Array[], { term, at, state }: Omit<AppendOptions, 'signal'>): Queued => {
    const { index: last, term: lastTerm } = queued.last()
    const first = at ?? last + 1n
    if (at !== undefined) checkAt(at, { snapshot: covered, commit: queuedState?.commit ?? 0n, last })
    const chosen = term ?? (lastTerm === 0n ? 1n : lastTerm)
    checkTerm(chosen, at === undefined ? lastTerm : (queued.at(at - 1n) ?? 0n))
    const count = BigInt(entries.length)
    if (state !== undefined) checkState(state, queuedState, first + count - 1n)
    queuedState = state ?? queuedState
    queued.put(first, chosen, count)
    return loop.append(entries, chosen, { at, state })
  }

  const result: SealedLog = {
    get firstIndex() {
      return segments.firstIndex()
    },
    get lastIndex() {
      return segments.last().index
    },
    get lastTerm() {
      return segments.last().term
    },
    get state() {
      return segments.state()
    },
    get snapshotAt() {
      return kept?.at ?? null
    },
    get rotating() {
      return log.keys.state().phase === 'rotating'
    },
    repair,
    append: async (entries, options = {}) => {
      checkWritable()
      options.signal?.throwIfAborted()
      checkEntries(entries)
      let own = entries
      if (installing !== null) {
        own = entries.map((data) => new Uint8Array(data))
        await installed()
      }
      const { first, last, durable } = add(own, options)
      await durable
      return { first, last }
    },
    saveState: async (state) => {
      checkWritable()
      if (installing !== null) await installed()
      checkState(state, queuedState, queued.last().index)
      queuedState = state
      await loop.append([], queued.last().term, { state }).durable
    },
    entry: async (index) => {
      checkIndex(index)
      for await (const entry of flatten(read({ from: index, to: index }))) return entry
      return null
    },
    termAt: async (index) => {
      checkIndex(index)
      check()
      if (index > segments.last().index) return null
      if (index === kept?.at.index) return kept.at.term
      const first = segments.firstIndex()
      checkFrom(index, first - 1n)
      const known = segments.terms.at(index)
      if (known !== null) return known
      const before = segments.list().find(({ header }) => header.index === first)
      if (index === first - 1n && before !== undefined) return before.header.term
      return (await result.entry(index))?.term ?? null
    },
    installSnapshot: async (snapshot) => {
      checkWritable()
      await maintenance.take(async () => {
        const running = install(snapshot).finally(() => {
          installing = null
        })
        installing = running.catch(() => undefined)
        await running
      })
    },
    entries: (range) => flatten(read(range)),
    batches: (range) => read(range),
    saveSnapshot: async (snapshot) => {
      checkWritable()
      await maintenance.take(async () => {
        await keepSnapshot(snapshot)
      })
    },
    loadSnapshot: async () => {
      check()
      // Not in a turn of its own: the host may load it to make the snapshot that a rotation waits for.
      return await readNewest(log, () => kept?.at ?? null)
    },
    compact: async (upTo) => {
      checkWritable()
      await maintenance.take(async () => {
        checkCompaction(upTo, kept?.at.index ?? 0n)
        const anchor = kept?.anchor ?? 0n
        await loop.exclusive(async () => {
          await segments.drop((segment, reach) => reach <= upTo + 1n && segment.header.sequence < anchor)
        })
      })
    },
    rotateDek: async (options) => {
      checkWritable()
      // The one that is still waiting serves this caller as well; the one that runs may be past its snapshot.
      nextRotation ??= maintenance.take(async () => {
        nextRotation = null
        await rotate(options)
      })
      await nextRotation
    },
    rewrap: async (wrapper) => {
      checkWritable()
      await maintenance.take(async () => {
        await log.keys.rewrap(wrapper)
      })
    },
    lock: async (wrapper, options) => {
      checkWritable()
      await maintenance.take(async () => {
        // A key that an unfinished rotation had chosen may have lain on the disk in the clear as well.
        if (log.keys.state().phase === 'rotating') await rotate(options)
        await rotate(options, wrapper)
      })
    },
    close: async () => {
      await (closing ??= close())
    },
    [Symbol.asyncDispose]: async () => {
      await (closing ??= close())
    },
  }
  return result
}
