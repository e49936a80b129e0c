import type { Clock } from '@leastwise/raftlog'
import { EtcdLogError } from '../errors.ts'
import type { EtcdClient, KeyRange, TxnRequest, WatchAnswer } from './etcd.ts'
import { keyHistory } from './key-history.ts'

/** Largest request that etcd takes unless it is told otherwise. */
export const MAX_REQUEST_BYTES: number = 1536 * 1024
const MIN_LEASE_SECONDS = 2

/** One etcd in memory, for tests and simulation: all that this package uses of the real one, and no network. */
export interface MemoryEtcd {
  /** A client of its own; closing it leaves the others alone. */
  readonly connect: () => EtcdClient
  /** Ends the leases that are over by the clock; every call does so as well. */
  readonly tick: () => void
  /** Ends every watch that is open now, as a lost connection does. */
  readonly dropWatches: () => void
  readonly revision: () => bigint
}

/** Options of {@link memoryEtcd}. */
export interface MemoryEtcdOptions {
  readonly clock: Pick<Clock, 'now'>
  /** Bytes of values, history included, above which puts are refused; no limit unless given. */
  readonly quotaBytes?: number
}

interface Lease {
  readonly seconds: number
  readonly keys: Set<string>
  until: number
}

interface Watcher {
  readonly wake: () => void
  readonly drop: () => void
}

const unreachable = (what: string): EtcdLogError => new EtcdLogError('ETCD_UNREACHABLE', `${what}; try again`)
const refused = (what: string): EtcdLogError => new EtcdLogError('ETCD_REFUSED', `etcd refused the request: ${what}`)
const full = (): EtcdLogError =>
  new EtcdLogError('ETCD_FULL', 'quota of etcd is used up; compact it, and clear its alarm')
const compacted = (): EtcdLogError =>
  new EtcdLogError('ETCD_COMPACTED', 'etcd has forgotten this revision; read the newest one')

const within = ({ key, end }: KeyRange, at: string): boolean => (end === undefined ? at === key : at >= key && at < end)

function checkTxn({ success, failure = [] }: TxnRequest): void {
  let bytes = 0
  for (const branch of [success, failure]) {
    const written = new Set<string>()
    const cleared: KeyRange[] = []
    for (const operation of branch) {
      if (operation.kind === 'range') continue
      bytes += operation.key.length
      if (operation.kind === 'delete') cleared.push(operation)
      else if (written.has(operation.key)) throw refused('a key is written twice in one transaction')
      else {
        written.add(operation.key)
        bytes += operation.value.length
      }
    }
    if (cleared.some((range) => [...written].some((key) => within(range, key)))) {
      throw refused('a key is written and deleted in one transaction')
    }
  }
  if (bytes > MAX_REQUEST_BYTES) throw refused('it is too large')
}

/** One etcd; see {@link MemoryEtcd}. */
export function memoryEtcd({ clock, quotaBytes = Number.POSITIVE_INFINITY }: MemoryEtcdOptions): MemoryEtcd {
  const history = keyHistory()
  const leases = new Map<bigint, Lease>()
  const watchers = new Set<Watcher>()
  let nextLease = 1n
  let sizeBytes = 0

  const wakeAll = (): void => {
    for (const watcher of [...watchers]) watcher.wake()
  }
  const end = (id: bigint): void => {
    const lease = leases.get(id)
    if (lease === undefined) return
    leases.delete(id)
    history.write((step) => {
      for (const key of lease.keys) step.remove({ key })
    })
    wakeAll()
  }
  const tick = (): void => {
    for (const [id, lease] of [...leases]) if (clock.now() >= lease.until) end(id)
  }
  const begin = async (signal: AbortSignal, isClosed: () => boolean): Promise<void> => {
    // As if it went over a network: nothing happens in the turn of the call.
    await Promise.resolve()
    signal.throwIfAborted()
    if (isClosed()) throw unreachable('client is closed')
    tick()
  }

  const txn = (request: TxnRequest): Awaited<ReturnType<EtcdClient['txn']>> => {
    checkTxn(request)
    const holds = request.compare.every(({ key, target, is, value }) => {
      const actual = history.latest(key)?.[target] ?? 0n
      return is === '='
        ? actual === value
        : is === '!='
          ? actual !== value
          : is === '<'
            ? actual < value
            : actual > value
    })
    const branch = holds ? request.success : (request.failure ?? [])
    const cost = branch.reduce((sum, each) => sum + (each.kind === 'put' ? each.value.length : 0), 0)
    if (cost > 0 && sizeBytes + cost > quotaBytes) throw full()
    for (const each of branch) {
      if (each.kind === 'put' && each.lease !== undefined && !leases.has(each.lease)) throw refused('lease not found')
      if (each.kind === 'range') checkRevision(each.range.revision)
    }
    const ranges: Awaited<ReturnType<EtcdClient['range']>>[] = []
    history.write((step) => {
      for (const each of branch) {
        if (each.kind === 'range') ranges.push(history.range(each.range))
        else if (each.kind === 'delete')
          for (const gone of step.remove(each)) leases.get(gone.lease)?.keys.delete(gone.key)
        else {
          const before = step.put(each.key, each.value, each.lease ?? 0n)
          if (before !== 0n) leases.get(before)?.keys.delete(each.key)
          leases.get(each.lease ?? 0n)?.keys.add(each.key)
          sizeBytes += each.value.length
        }
      }
    })
    wakeAll()
    return { revision: history.revision(), succeeded: holds, ranges }
  }
  const checkRevision = (revision: bigint | undefined): void => {
    if (revision === undefined) return
    if (revision < history.compacted()) throw compacted()
    if (revision > history.revision()) throw refused('the revision lies in the future')
  }

  async function* watch(
    range: KeyRange,
    from: bigint,
    signal: AbortSignal,
    isClosed: () => boolean,
  ): AsyncGenerator<WatchAnswer, void, void> {
    await begin(signal, isClosed)
    let next = from
    const cut = { off: false }
    let wake = (): void => undefined
    const watcher: Watcher = {
      wake: () => {
        wake()
      },
      drop: () => {
        cut.off = true
        wake()
      },
    }
    const onAbort = (): void => {
      wake()
    }
    watchers.add(watcher)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        if (cut.off || isClosed()) throw unreachable('watch was cut off')
        if (next < history.compacted()) throw compacted()
        const seen = history.revision()
        for (const { revision, events } of history.changes(next)) {
          const matching = events.filter(({ key }) => within(range, key))
          if (matching.length > 0) yield { revision, events: matching }
        }
        next = seen + 1n
        if (history.revision() > seen) continue
        await new Promise<void>((resolve) => {
          wake = resolve
          if (signal.aborted || cut.off) resolve()
        })
      }
    } finally {
      watchers.delete(watcher)
      signal.removeEventListener('abort', onAbort)
    }
  }

  const connect = (): EtcdClient => {
    let closed = false
    const isClosed = (): boolean => closed
    const close = async (): Promise<void> => {
      closed = true
      wakeAll()
      await Promise.resolve()
    }
    return {
      range: async (request, { signal }) => {
        await begin(signal, isClosed)
        checkRevision(request.revision)
        return history.range(request)
      },
      txn: async (request, { signal }) => {
        await begin(signal, isClosed)
        return txn(request)
      },
      compact: async (revision, { signal }) => {
        await begin(signal, isClosed)
        if (revision > history.revision()) throw refused('the revision lies in the future')
        sizeBytes -= history.compact(revision)
        wakeAll()
      },
      watch: (range, revision, { signal }) => watch(range, revision, signal, isClosed),
      grantLease: async (ttlMs, { signal }) => {
        await begin(signal, isClosed)
        if (sizeBytes > quotaBytes) throw full()
        const seconds = Math.max(Math.ceil(ttlMs / 1000), MIN_LEASE_SECONDS)
        const lease = nextLease
        nextLease += 1n
        leases.set(lease, { seconds, keys: new Set(), until: clock.now() + seconds * 1000 })
        return { lease, ttlMs: seconds * 1000 }
      },
      keepLease: async (id, { signal }) => {
        await begin(signal, isClosed)
        const lease = leases.get(id)
        if (lease === undefined) return 0
        lease.until = clock.now() + lease.seconds * 1000
        return lease.seconds * 1000
      },
      revokeLease: async (id, { signal }) => {
        await begin(signal, isClosed)
        end(id)
      },
      close,
      [Symbol.asyncDispose]: close,
    }
  }

  return {
    connect,
    tick,
    revision: history.revision,
    dropWatches: () => {
      for (const watcher of [...watchers]) watcher.drop()
    },
  }
}
