import { FRAME_TYPE, MAX_SNAPSHOT_BYTES, RaftLogError, type Snapshot } from '@leastwise/raftlog'
import { formatHex, sameBytes } from './byte-fields.ts'
import { EtcdLogError } from './errors.ts'
import type { Compare, Operation, RangeAnswer } from './etcd.ts'
import type { SnapshotRecord } from './head-record.ts'
import type { KnownHead, LogView } from './log-view.ts'
import type { Places } from './places.ts'
import { NO_TAG, VALUE_KIND } from './sealed-value.ts'

/** Bytes of a snapshot in one value of etcd, which takes 1.5 MiB in a request. */
export const CHUNK_BYTES: number = 1024 * 1024
const CHUNKS_AT_ONCE = 4
const ID_BYTES = 16

/** Writes a snapshot's chunks under a fresh id. Until a head names it, it is nobody's. */
export async function writeChunks(view: LogView, snapshot: Snapshot, signal: AbortSignal): Promise<SnapshotRecord> {
  const { etcd, places, random } = view.parts
  const { index, term, data } = snapshot
  const id = formatHex(random.bytes(ID_BYTES))
  const chunks = Math.max(1, Math.ceil(data.length / CHUNK_BYTES))
  let tag: Uint8Array<ArrayBuffer> = NO_TAG
  for (let number = 0; number < chunks; number += 1) {
    const body = data.subarray(number * CHUNK_BYTES, (number + 1) * CHUNK_BYTES)
    const type = number === chunks - 1 ? FRAME_TYPE.lastChunk : FRAME_TYPE.chunk
    const place = { kind: VALUE_KIND.chunk, sequence: BigInt(number), previous: tag }
    const sealed = view.seal(place, { type, count: number, index, term }, body)
    tag = sealed.tag
    await putChunk({ kind: 'put', key: places.chunk(id, number), value: sealed.value })
  }
  return { id, index, term, chunks, bytes: BigInt(data.length), tag }

  /** The key is fresh and the bytes are the same, so sending them again does no harm. */
  async function putChunk(operation: Operation): Promise<void> {
    const until = view.parts.clock.now() + view.parts.patienceMs
    for (;;) {
      try {
        await etcd.txn({ compare: [], success: [operation] }, { signal })
        return
      } catch (error) {
        const again = error instanceof EtcdLogError && error.code === 'ETCD_UNREACHABLE'
        if (!again || view.parts.clock.now() >= until) throw error
        await view.parts.clock.sleep(200, { signal })
      }
    }
  }
}

/** That nobody has cleared the chunks of this id away: who clears takes all of them. */
export const chunksStand = (places: Places, { id }: SnapshotRecord): Compare => ({
  key: places.chunk(id, 0),
  target: 'version',
  is: '>',
  value: 0n,
})

/** Removes every chunk but those of one snapshot, also what a writer that died has left. */
export function clearOthers({ snapshots, snapshot }: Places, keep: SnapshotRecord): readonly Operation[] {
  const kept = snapshot(keep.id)
  return [
    { kind: 'delete', key: snapshots.key, end: kept.key },
    { kind: 'delete', key: kept.end, end: snapshots.end },
  ]
}

const damaged = (): RaftLogError =>
  new RaftLogError(
    'RECORD_NOT_AUTHENTIC',
    'snapshot is not authentic; find out who can write to etcd, and restore it from a backup',
  )

/** Reads the snapshot that a head names; null if it is gone by now, and a later head names another. */
export async function readChunks(view: LogView, head: KnownHead, signal: AbortSignal): Promise<Snapshot | null> {
  const { record } = head
  if (record.snapshot === null) return null
  const { id, index, term, chunks, bytes, tag } = record.snapshot
  if (bytes > BigInt(MAX_SNAPSHOT_BYTES)) throw damaged()
  const data = new Uint8Array(Number(bytes))
  let previous: Uint8Array = NO_TAG
  let at = 0
  for (let number = 0; number < chunks; ) {
    signal.throwIfAborted()
    const page = await readPage(view, head, id, number, signal)
    if (page === null) return null
    if (page.kvs.length === 0) throw damaged()
    for (const kv of page.kvs) {
      if (kv.key !== view.parts.places.chunk(id, number)) throw damaged()
      const { clear, body } = await view.open(VALUE_KIND.chunk, kv.value, 'snapshot', signal)
      const type = number === chunks - 1 ? FRAME_TYPE.lastChunk : FRAME_TYPE.chunk
      const fits = clear.sequence === BigInt(number) && sameBytes(clear.previous, previous) && clear.head.type === type
      if (!fits || clear.head.index !== index || clear.head.term !== term || at + body.length > data.length)
        throw damaged()
      data.set(body, at)
      at += body.length
      previous = clear.tag
      number += 1
    }
  }
  if (at !== data.length || !sameBytes(previous, tag)) throw damaged()
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
