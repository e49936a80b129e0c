import type { KeyRange, KeyValue, RangeAnswer, RangeRequest, WatchAnswer, WatchEvent } from './etcd.ts'

/** What one key held from a revision on; null where it was deleted. */
interface Version {
  readonly revision: bigint
  readonly kv: KeyValue | null
}

/** The writes of one step, which all get the same revision. */
export interface HistoryStep {
  /** Gives the lease that the key had before, 0 for none. */
  readonly put: (key: string, value: Uint8Array, lease: bigint) => bigint
  readonly remove: (range: KeyRange) => readonly KeyValue[]
}

/** Keys with everything that they held since the last compaction. */
export interface KeyHistory {
  readonly revision: () => bigint
  /** Reading before this revision is no longer possible. */
  readonly compacted: () => bigint
  readonly latest: (key: string) => KeyValue | null
  readonly range: (request: RangeRequest) => RangeAnswer
  /** The revision grows by one if anything was written. */
  readonly write: (step: (step: HistoryStep) => void) => void
  /** What changed, from a revision on. */
  readonly changes: (from: bigint) => readonly WatchAnswer[]
  /** Forgets; gives the bytes that this freed. */
  readonly compact: (revision: bigint) => number
}

export function keyHistory(): KeyHistory {
  const versions = new Map<string, Version[]>()
  let keys: string[] = []
  let changes: WatchAnswer[] = []
  let revision = 1n
  let compacted = 0n

  /** Place of the first key that is not less. */
  const placeOf = (key: string): number => {
    let low = 0
    let high = keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((keys[middle] ?? '') < key) low = middle + 1
      else high = middle
    }
    return low
  }
  const at = (key: string, asOf: bigint): KeyValue | null =>
    versions.get(key)?.findLast((version) => version.revision <= asOf)?.kv ?? null
  const inRange = ({ key, end }: KeyRange, asOf: bigint): KeyValue[] => {
    const from = placeOf(key)
    const to = end === undefined ? (keys[from] === key ? from + 1 : from) : Math.max(from, placeOf(end))
    return keys.slice(from, to).flatMap((each) => at(each, asOf) ?? [])
  }
  const record = (key: string, version: Version): void => {
    const known = versions.get(key)
    if (known === undefined) {
      versions.set(key, [version])
      keys.splice(placeOf(key), 0, key)
    } else if (known.at(-1)?.revision === version.revision) known[known.length - 1] = version
    else known.push(version)
  }

  return {
    revision: () => revision,
    compacted: () => compacted,
    latest: (key) => at(key, revision),
    range: (request) => {
      const found = inRange(request, request.revision ?? revision)
      if (request.order === 'descending') found.reverse()
      const limit = request.limit ?? found.length
      const kvs = found.slice(0, limit).map((kv) => ({ ...kv, value: new Uint8Array(kv.value) }))
      return { revision, kvs, more: found.length > limit }
    },
    write: (run) => {
      const before = revision
      const next = before + 1n
      const events: WatchEvent[] = []
      const begin = (): void => {
        revision = next
      }
      run({
        put: (key, value, lease) => {
          const old = at(key, revision)
          begin()
          const kv: KeyValue = {
            key,
            value: new Uint8Array(value),
            createRevision: old?.createRevision ?? next,
            modRevision: next,
            version: (old?.version ?? 0n) + 1n,
            lease,
          }
          record(key, { revision: next, kv })
          events.push({ kind: 'put', key, value: kv.value, modRevision: next })
          return old?.lease ?? 0n
        },
        remove: (range) => {
          const gone = inRange(range, revision)
          if (gone.length > 0) begin()
          for (const { key } of gone) {
            record(key, { revision: next, kv: null })
            events.push({ kind: 'delete', key, value: new Uint8Array(0), modRevision: next })
          }
          return gone
        },
      })
      if (revision > before) changes.push({ revision, events })
    },
    changes: (from) => changes.filter((change) => change.revision >= from),
    compact: (upTo) => {
      if (upTo <= compacted) return 0
      compacted = upTo
      changes = changes.filter((change) => change.revision >= upTo)
      let freed = 0
      for (const [key, all] of versions) {
        const newest = all.findLast((version) => version.revision <= upTo)
        const kept = all.filter((version) => version.revision > upTo || (version === newest && version.kv !== null))
        for (const version of all) if (!kept.includes(version)) freed += version.kv?.value.length ?? 0
        if (kept.length > 0) versions.set(key, kept)
        else versions.delete(key)
      }
      keys = keys.filter((key) => versions.has(key))
      return freed
    },
  }
}
