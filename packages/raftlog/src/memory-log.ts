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
import type { Entry, Snapshot } from './entry.ts'
import type { HardState } from './format/hard-state.ts'
import type { EntryRange, SealedLog } from './sealed-log.ts'

/**
 * A log in memory with the rules of the one on disk, for tests and simulation: nothing is sealed, nothing survives.
 */
export function memoryLog(): SealedLog {
  let entries: Entry[] = []
  let newest: Snapshot | null = null
  let state: HardState | null = null
  // Position of the last entry that is gone.
  let dropped = { index: 0n, term: 0n }
  let closed = false
  const check = (): void => {
    if (closed) throw closedLog()
  }
  const last = () => entries.at(-1) ?? dropped
  const close = (): Promise<void> => {
    closed = true
    return Promise.resolve()
  }
  const at = (index: bigint): Entry | undefined => entries[Number(index - dropped.index) - 1]
  const set = ({ index, term, data }: Snapshot): void => {
    newest = { index, term, data: new Uint8Array(data) }
  }
  const keep = (snapshot: Snapshot, least: bigint): void => {
    checkSnapshot(snapshot, least, last().index, last().term)
    set(snapshot)
  }
  const compact = (upTo: bigint): void => {
    checkCompaction(upTo, newest?.index ?? 0n)
    const end = at(upTo)
    if (end === undefined) return
    entries = entries.slice(Number(upTo - dropped.index))
    dropped = { index: end.index, term: end.term }
  }
  const rotate: SealedLog['rotateDek'] = async ({ snapshot, signal }) => {
    check()
    signal?.throwIfAborted()
    const end = last().index
    const atLeast = settledIndex(last(), state, newest)
    if (atLeast === 0n) return
    const made = await snapshot(atLeast)
    keep(made, atLeast)
    compact(made.index < end ? made.index : end)
  }
  async function* read(
    held: readonly Entry[],
    from: bigint,
    to: bigint,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly [Entry], void, void> {
    for (const entry of held) {
      if (entry.index < from || entry.index > to) continue
      signal?.throwIfAborted()
      yield await Promise.resolve([{ ...entry, data: new Uint8Array(entry.data) }] as const)
    }
  }
  const batches = ({ from, to, signal }: EntryRange = {}): AsyncGenerator<readonly [Entry], void, void> => {
    check()
    const first = dropped.index + 1n
    if (from !== undefined) checkFrom(from, first)
    return read([...entries], from ?? first, to ?? last().index, signal)
  }
  return {
    get firstIndex() {
      return dropped.index + 1n
    },
    get lastIndex() {
      return last().index
    },
    get lastTerm() {
      return last().term
    },
    get snapshotAt() {
      return newest === null ? null : { index: newest.index, term: newest.term }
    },
    get state() {
      return state
    },
    rotating: false,
    repair: null,
    append: async (added, { term, at: wanted, state: sent, signal } = {}) => {
      check()
      signal?.throwIfAborted()
      checkEntries(added)
      const { index, term: lastTerm } = last()
      const first = wanted ?? index + 1n
      checkAt(first, { snapshot: newest?.index ?? 0n, commit: state?.commit ?? 0n, last: index })
      const chosen = term ?? (lastTerm === 0n ? 1n : lastTerm)
      checkTerm(chosen, (at(first - 1n) ?? dropped).term)
      if (sent !== undefined) checkState(sent, state, first + BigInt(added.length) - 1n)
      state = sent ?? state
      entries = entries.slice(0, Number(first - dropped.index) - 1)
      for (const data of added) entries.push({ index: last().index + 1n, term: chosen, data: new Uint8Array(data) })
      return await Promise.resolve({ first, last: last().index })
    },
    saveState: async (next) => {
      check()
      checkState(next, state, last().index)
      state = next
      await Promise.resolve()
    },
    batches,
    entries: (range) => flat(batches(range)),
    entry: async (index) => {
      checkIndex(index)
      for await (const [entry] of batches({ from: index, to: index })) return entry
      return null
    },
    termAt: async (index) => {
      checkIndex(index)
      check()
      await Promise.resolve()
      if (index > last().index) return null
      if (index === newest?.index) return newest.term
      if (index === dropped.index) return dropped.term
      checkFrom(index, dropped.index + 1n)
      return at(index)?.term ?? null
    },
    saveSnapshot: async (snapshot) => {
      check()
      keep(snapshot, newest?.index ?? 1n)
      await Promise.resolve()
    },
    installSnapshot: async (snapshot) => {
      check()
      checkInstalled(snapshot, newest?.index ?? 0n, state?.commit ?? 0n)
      set(snapshot)
      entries = []
      dropped = { index: snapshot.index, term: snapshot.term }
      await Promise.resolve()
    },
    loadSnapshot: async () => {
      check()
      return await Promise.resolve(newest === null ? null : { ...newest, data: new Uint8Array(newest.data) })
    },
    compact: async (upTo) => {
      check()
      compact(upTo)
      await Promise.resolve()
    },
    rotateDek: rotate,
    rewrap: async () => {
      check()
      await Promise.resolve()
    },
    lock: async (_wrapper, options) => {
      await rotate(options)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function* flat(batches: AsyncIterable<readonly Entry[]>): AsyncGenerator<Entry, void, void> {
  for await (const batch of batches) yield* batch
}
