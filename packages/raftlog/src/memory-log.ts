import { checkCompaction, checkEntries, checkFrom, checkSnapshot, checkTerm, closedLog } from './append-rules.ts'
import type { Entry, Snapshot } from './entry.ts'
import type { SealedLog } from './sealed-log.ts'

/**
 * A log in memory with the rules of the one on disk, for tests and simulation: nothing is sealed, nothing survives.
 */
export function memoryLog(): SealedLog {
  let entries: Entry[] = []
  let newest: Snapshot | null = null
  let dropped = 0n
  let lastTerm = 0n
  let closed = false
  const check = (): void => {
    if (closed) throw closedLog()
  }
  const lastIndex = (): bigint => dropped + BigInt(entries.length)
  const close = (): Promise<void> => {
    closed = true
    return Promise.resolve()
  }
  const keep = (snapshot: Snapshot, least: bigint): void => {
    checkSnapshot(snapshot, least, lastIndex(), lastTerm)
    newest = { index: snapshot.index, term: snapshot.term, data: new Uint8Array(snapshot.data) }
  }
  const compact = (upTo: bigint): void => {
    checkCompaction(upTo, newest?.index ?? 0n)
    if (upTo <= dropped) return
    entries = entries.slice(Number(upTo - dropped))
    dropped = upTo
  }
  const rotate: SealedLog['rotateDek'] = async ({ snapshot, signal }) => {
    check()
    signal?.throwIfAborted()
    const atLeast = lastIndex()
    if (atLeast === 0n) return
    keep(await snapshot(atLeast), atLeast)
    compact(atLeast)
  }
  async function* read(from: bigint, to: bigint, signal: AbortSignal | undefined): AsyncGenerator<Entry, void, void> {
    for (let index = from; index <= to; index += 1n) {
      signal?.throwIfAborted()
      const entry = entries[Number(index - dropped) - 1]
      if (entry === undefined) return
      yield await Promise.resolve({ ...entry, data: new Uint8Array(entry.data) })
    }
  }
  return {
    get firstIndex() {
      return dropped + 1n
    },
    get lastIndex() {
      return lastIndex()
    },
    get lastTerm() {
      return lastTerm
    },
    get snapshotAt() {
      return newest === null ? null : { index: newest.index, term: newest.term }
    },
    rotating: false,
    repair: null,
    append: async (added, { term, signal } = {}) => {
      check()
      signal?.throwIfAborted()
      checkEntries(added)
      const chosen = term ?? (lastTerm === 0n ? 1n : lastTerm)
      checkTerm(chosen, lastTerm)
      const first = lastIndex() + 1n
      for (const data of added) entries.push({ index: lastIndex() + 1n, term: chosen, data: new Uint8Array(data) })
      lastTerm = chosen
      return await Promise.resolve({ first, last: lastIndex() })
    },
    entries: ({ from, to, signal } = {}) => {
      check()
      if (from !== undefined) checkFrom(from, dropped + 1n)
      const last = lastIndex()
      return read(from ?? dropped + 1n, to !== undefined && to < last ? to : last, signal)
    },
    saveSnapshot: async (snapshot) => {
      check()
      keep(snapshot, newest?.index ?? 1n)
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
