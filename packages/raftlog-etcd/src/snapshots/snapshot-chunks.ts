import { FRAME_TYPE, MAX_SNAPSHOT_BYTES, type Snapshot } from '@leastwise/raftlog'
import { formatHex, sameBytes } from '../byte-fields.ts'
import { EtcdLogError } from '../errors.ts'
import type { Compare, Operation, RangeAnswer, TxnRequest } from '../etcd/etcd.ts'
import type { SnapshotRecord } from '../head/head-record.ts'
import type { Places } from '../head/places.ts'
import { NO_TAG, VALUE_KIND } from '../keys/sealed-value.ts'
import { damaged } from '../log-refusals.ts'
import type { KnownHead, LogView } from '../log-view.ts'

/** Bytes of a snapshot in one value of etcd, which takes 1.5 MiB in a request. */
export const CHUNK_BYTES: number = 1024 * 1024
const CHUNKS_AT_ONCE = 4
const ID_BYTES = 16
const RESEND_MS = 200

/** A snapshot that lies in etcd, and is nobody's until a head names it. */
export interface Upload {
  readonly record: SnapshotRecord
  /** When its first chunk came into being. */
  readonly since: bigint
}

/** Writes a snapshot's chunks under a fresh id; null if the roster changed on the way, and the data key perhaps with it. */
export async function writeChunks(view: LogView, snapshot: Snapshot, signal: AbortSignal): Promise<Upload | null> {
  const { places, random } = view.parts
  const { index, term, data } = snapshot
  const id = formatHex(random.bytes(ID_BYTES))
  const chunks = Math.max(1, Math.ceil(data.length / CHUNK_BYTES))
  const roster = view.rosterRevision()
  let tag: Uint8Array<ArrayBuffer> = NO_TAG
  let since: bigint | null = null
  for (let number = 0; number < chunks; number += 1) {
    const body = data.subarray(number * CHUNK_BYTES, (number + 1) * CHUNK_BYTES)
    const type = number === chunks - 1 ? FRAME_TYPE.lastChunk : FRAME_TYPE.chunk
    const place = { kind: VALUE_KIND.chunk, sequence: BigInt(number), previous: tag }
    const sealed = view.seal(place, { type, count: number, index, term }, body)
    tag = sealed.tag
    const written = await putChunk(view, { key: places.chunk(id, number), value: sealed.value, roster }, signal)
    if (written === null) return null
    since ??= written
  }
  return since === null ? null : { record: { id, index, term, chunks, bytes: BigInt(data.length), tag }, since }
}

/**
 * Writes one chunk under this roster, never over one that is there. What is sent again after silence, or arrives when nobody waits
 * for it any more, so adds nothing under a data key that is no longer used.
 *
 * @returns when the chunk came into being; null if there is another roster.
 */
async function putChunk(
  view: LogView,
  { key, value, roster }: { readonly key: string; readonly value: Uint8Array; readonly roster: bigint },
  signal: AbortSignal,
): Promise<bigint | null> {
  const { etcd, places, clock, patienceMs } = view.parts
  const request: TxnRequest = {
    compare: [
      { key: places.roster, target: 'modRevision', is: '=', value: roster },
      { key, target: 'version', is: '=', value: 0n },
    ],
    success: [{ kind: 'put', key, value }],
    failure: [{ kind: 'range', range: { key } }],
  }
  const until = clock.now() + patienceMs
  for (;;) {
    try {
      const { succeeded, revision, ranges } = await etcd.txn(request, { signal })
      return succeeded ? revision : (ranges[0]?.kvs[0]?.createRevision ?? null)
    } catch (error) {
      const again = error instanceof EtcdLogError && error.code === 'ETCD_UNREACHABLE'
      if (!again || clock.now() >= until) throw error
      await clock.sleep(RESEND_MS, { signal })
    }
  }
}

/**
 * That nobody has cleared the chunks away: who clears takes all of them. That the first one is there would not do, for what was
 * sent before the clearing may have arrived after it.
 */
export const chunksStand = (places: Places, { record, since }: Upload): Compare => ({
  key: places.chunk(record.id, 0),
  target: 'createRevision',
  is: '=',
  value: since,
})

/** Removes every chunk but those of one snapshot, also what a writer that died has left. */
export function clearOthers({ snapshots, snapshot }: Places, keep: SnapshotRecord): readonly Operation[] {
  const kept = snapshot(keep.id)
  return [
    { kind: 'delete', key: snapshots.key, end: kept.key },
    { kind: 'delete', key: kept.end, end: snapshots.end },
  ]
}

/** Reads the snapshot that a head names; null if it is gone by now, and a later head names another. */
export async function readChunks(view: LogView, head: KnownHead, signal: AbortSignal): Promise<Snapshot | null> {
  const { record } = head
  if (record.snapshot === null) return null
  const { id, index, term, chunks, bytes, tag } = record.snapshot
  if (bytes > BigInt(MAX_SNAPSHOT_BYTES)) throw damaged('snapshot')
  const data = new Uint8Array(Number(bytes))
  let previous: Uint8Array = NO_TAG
  let at = 0
  for (let number = 0; number < chunks; ) {
    signal.throwIfAborted()
    const page = await readPage(view, head, id, number, signal)
    if (page === null) return null
    if (page.kvs.length === 0) throw damaged('snapshot')
    for (const kv of page.kvs) {
      if (kv.key !== view.parts.places.chunk(id, number)) throw damaged('snapshot')
      const { clear, body } = await view.open(VALUE_KIND.chunk, kv.value, 'snapshot', signal)
      const type = number === chunks - 1 ? FRAME_TYPE.lastChunk : FRAME_TYPE.chunk
      const fits = clear.sequence === BigInt(number) && sameBytes(clear.previous, previous) && clear.head.type === type
      if (!fits || clear.head.index !== index || clear.head.term !== term || at + body.length > data.length)
        throw damaged('snapshot')
      data.set(body, at)
      at += body.length
      previous = clear.tag
      number += 1
    }
  }
  if (at !== data.length || !sameBytes(previous, tag)) throw damaged('snapshot')
  return { index, term, data }
}

async function readPage(
  view: LogView,
  head: KnownHead,
  id: string,
  number: number,
  signal: AbortSignal,
): Promise<RangeAnswer | null> {
  const { etcd, places } = view.parts
  const range = {
    key: places.chunk(id, number),
    end: places.snapshot(id).end,
    limit: CHUNKS_AT_ONCE,
    revision: head.seenAt,
  }
  try {
    return await etcd.range(range, { signal })
  } catch (error) {
    if (error instanceof EtcdLogError && error.code === 'ETCD_COMPACTED') return null
    throw error
  }
}
