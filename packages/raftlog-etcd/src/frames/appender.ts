import type { Appended } from '@leastwise/raftlog'
import { EtcdLogError } from '../errors.ts'
import { joinSignals } from '../joined-signal.ts'
import type { LogView } from '../log-view.ts'
import type { SharedAppendOptions } from '../shared-log.ts'
import { checkEntries, checkIndex, checkTerm, closedLog } from '../shared-rules.ts'
import { appendGroup, conflict, copied, type Job, takeGroup } from './append-queue.ts'

/** The appends of one handle, in their order. */
export interface Appender {
  readonly append: (entries: readonly Uint8Array[], options: SharedAppendOptions) => Promise<Appended>
  /** Resolves once nothing waits any more. */
  readonly drained: () => Promise<void>
}

export function appender(view: LogView, closing: AbortSignal): Appender {
  const queue: Job[] = []
  let writing: Promise<void> | null = null
  let queuedEnd = { index: 0n, term: 0n }
  const end = (): { readonly index: bigint; readonly term: bigint } =>
    writing === null ? view.head().record.last : queuedEnd

  const write = async (): Promise<void> => {
    // What is appended in the same turn shares a transaction.
    await Promise.resolve()
    for (let group = takeGroup(queue); group.length > 0; group = takeGroup(queue)) {
      if (await appendGroup(view, group, closing)) continue
      // What waits was promised places behind entries that are not there.
      for (const job of queue.splice(0)) job.reject(conflict())
      queuedEnd = view.head().record.last
    }
    writing = null
  }

  const checkPlace = (at: bigint): void => {
    const next = end().index + 1n
    if (at < 1n || at > next)
      throw new RangeError(`an append must begin at ${String(next)}, right behind the last entry`)
    if (at < next) throw conflict()
  }

  return {
    append: async (entries, { at, term: wanted, fence, signal }) => {
      checkEntries(entries)
      if (fence?.signal.aborted === true) {
        throw new EtcdLogError('LEADERSHIP_LOST', 'this manager leads no longer; stop the work')
      }
      const copies = copied(entries)
      if (at !== undefined) {
        checkIndex(at)
        // The host may know of entries that another handle has seen.
        if (at > end().index + 1n) {
          using joined = joinSignals(closing, signal)
          await view.refresh(joined.signal)
        }
        if (closing.aborted) throw closedLog()
        checkPlace(at)
      }
      const { index, term: lastTerm } = end()
      const term = wanted ?? (lastTerm === 0n ? 1n : lastTerm)
      checkTerm(term, lastTerm)
      queuedEnd = { index: index + BigInt(entries.length), term }
      return await new Promise<Appended>((resolve, reject) => {
        const guard = fence === undefined ? null : { key: view.parts.places.leader(fence.name), leadership: fence }
        queue.push({ first: index + 1n, term, ...copies, fence: guard, resolve, reject })
        writing ??= write()
      })
    },
    drained: async () => {
      while (writing !== null) await writing
    },
  }
}
