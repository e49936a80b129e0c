import { type Appended, FRAME_TYPE, MAX_FRAME_ENTRIES } from '@leastwise/raftlog'
import { sameBytes } from '../byte-fields.ts'
import { EtcdLogError } from '../errors.ts'
import type { Compare } from '../etcd/etcd.ts'
import { changeHead, type HeadChange } from '../head/head-changes.ts'
import { decodeValue, VALUE_KIND } from '../keys/sealed-value.ts'
import type { KnownHead, LogView } from '../log-view.ts'
import type { Leadership } from '../shared-log.ts'
import { MAX_SHARED_APPEND_BYTES } from '../shared-rules.ts'
import { ENTRY_OVERHEAD_BYTES, encodeEntries } from './frame-body.ts'

/** An append that waits. */
export interface Job {
  /** Index that its first entry must get. */
  readonly first: bigint
  readonly term: bigint
  readonly entries: readonly Uint8Array[]
  readonly bytes: number
  readonly fence: { readonly key: string; readonly leadership: Leadership } | null
  readonly resolve: (appended: Appended) => void
  readonly reject: (reason: unknown) => void
}

/** Copies the entries, so that the caller may do with its bytes what it likes. */
export function copied(entries: readonly Uint8Array[]): Pick<Job, 'entries' | 'bytes'> {
  return {
    entries: entries.map((data) => new Uint8Array(data)),
    bytes: entries.reduce((sum, { length }) => sum + ENTRY_OVERHEAD_BYTES + length, 0),
  }
}

/** Takes the jobs that go into one frame with the first of them. */
export function takeGroup(queue: Job[]): readonly Job[] {
  const group: Job[] = []
  let bytes = 0
  let count = 0
  for (const job of queue) {
    const leader = group[0] ?? job
    const follows = job.first === leader.first + BigInt(count)
    const alike = job.term === leader.term && job.fence?.leadership === leader.fence?.leadership
    const fits = bytes + job.bytes <= MAX_SHARED_APPEND_BYTES && count + job.entries.length <= MAX_FRAME_ENTRIES
    if (group.length > 0 && !(follows && alike && fits)) break
    group.push(job)
    bytes += job.bytes
    count += job.entries.length
  }
  queue.splice(0, group.length)
  return group
}

/** The refusal of an append for whose place somebody else was first. */
export const conflict = (): EtcdLogError =>
  new EtcdLogError('LOG_CONFLICT', 'the log has gone on meanwhile and nothing was appended; read it and decide again')

const leadershipLost = (): EtcdLogError =>
  new EtcdLogError('LEADERSHIP_LOST', 'another one leads now and nothing was appended; stop the work')

/** Appends a group as one frame, or refuses it whole; says which. */
export async function appendGroup(view: LogView, group: readonly Job[], signal: AbortSignal): Promise<boolean> {
  const leader = group[0]
  if (leader === undefined) return true
  const { places } = view.parts
  const { first, term, fence } = leader
  const entries = group.flatMap((job) => job.entries)
  const last = first + BigInt(entries.length) - 1n
  const body = encodeEntries(entries)
  let sealedTag: Uint8Array | null = null

  const plan = ({ record }: KnownHead): HeadChange => {
    if (record.last.index + 1n !== first || term < record.last.term) throw conflict()
    const frames = record.last.frames + 1n
    const place = { kind: VALUE_KIND.frame, sequence: frames, previous: record.last.tag }
    const { value, tag } = view.seal(
      place,
      { type: FRAME_TYPE.entries, count: entries.length, index: first, term },
      body,
    )
    sealedTag = tag
    const compare: Compare[] =
      fence === null ? [] : [{ key: fence.key, target: 'createRevision', is: '=', value: fence.leadership.revision }]
    return {
      record: { ...record, last: { frames, index: last, term, tag } },
      operations: [{ kind: 'put', key: places.frame(last), value }],
      compare,
      refused: leadershipLost,
    }
  }

  /** Whether the frame that was sealed last is in the log: its tag is like no other. */
  const happened = async ({ record }: KnownHead, ends: AbortSignal): Promise<boolean | null> => {
    if (sealedTag === null || record.last.index < last) return false
    if (sameBytes(record.last.tag, sealedTag)) return true
    if (record.base.index >= last) return null
    const { kvs } = await view.parts.etcd.range({ key: places.frame(last) }, { signal: ends })
    const found = kvs[0] === undefined ? null : decodeValue(kvs[0].value, view.parts.suite)
    if (found !== null) return sameBytes(found.tag, sealedTag)
    // Nothing ends there: either others stand there, or it was compacted away just now.
    return (await view.refresh(ends)).record.base.index >= last ? null : false
  }

  try {
    await changeHead(view, { plan, happened }, signal)
    for (const job of group) job.resolve({ first: job.first, last: job.first + BigInt(job.entries.length) - 1n })
    return true
  } catch (error) {
    for (const job of group) job.reject(error)
    return false
  } finally {
    body.fill(0)
    for (const data of entries) data.fill(0)
  }
}
