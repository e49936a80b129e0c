import type { Position } from '@leastwise/raftlog'
import { type ByteCursor, byteCursor, byteWriter, formatHex } from '../byte-fields.ts'
import { TAG_BYTES } from '../keys/sealed-value.ts'

/** A place in the chain of frames: an entry, the number of frames up to it, and the tag of the last of them. */
export interface ChainEnd extends Position {
  readonly frames: bigint
  readonly tag: Uint8Array<ArrayBuffer>
}

/** The newest snapshot: where its chunks lie, and what they must add up to. */
export interface SnapshotRecord extends Position {
  /** 32 lower-case hexadecimal digits. */
  readonly id: string
  readonly chunks: number
  readonly bytes: bigint
  readonly tag: Uint8Array<ArrayBuffer>
}

/** The one record that every change of the log replaces. */
export interface HeadRecord {
  /** Counts the changes; it never falls. */
  readonly change: bigint
  /** The last entry. */
  readonly last: ChainEnd
  /** The entry before the first one that is still there. */
  readonly base: ChainEnd
  readonly snapshot: SnapshotRecord | null
}

const END_BYTES: number = 8 + 8 + 8 + TAG_BYTES
const ID_BYTES = 16
const SNAPSHOT_BYTES: number = ID_BYTES + 8 + 8 + 4 + 8 + TAG_BYTES

const writeEnd = (out: ReturnType<typeof byteWriter>, end: ChainEnd): void => {
  out.u64(end.frames).u64(end.index).u64(end.term).bytes(end.tag)
}

const readEnd = (cursor: ByteCursor): ChainEnd => ({
  frames: cursor.u64(),
  index: cursor.u64(),
  term: cursor.u64(),
  tag: cursor.bytes(TAG_BYTES),
})

/** change(8) ‖ last(40) ‖ base(40) ‖ 0, or 1 ‖ snapshot: id(16) ‖ index(8) ‖ term(8) ‖ chunks(4) ‖ bytes(8) ‖ tag(16) */
export function encodeHead({ change, last, base, snapshot }: HeadRecord): Uint8Array<ArrayBuffer> {
  const out = byteWriter(8 + 2 * END_BYTES + 1 + (snapshot === null ? 0 : SNAPSHOT_BYTES)).u64(change)
  writeEnd(out, last)
  writeEnd(out, base)
  if (snapshot === null) return out.u8(0).written()
  const id = Uint8Array.from({ length: ID_BYTES }, (_, at) =>
    Number.parseInt(snapshot.id.slice(2 * at, 2 * at + 2), 16),
  )
  return out
    .u8(1)
    .bytes(id)
    .u64(snapshot.index)
    .u64(snapshot.term)
    .u32(snapshot.chunks)
    .u64(snapshot.bytes)
    .bytes(snapshot.tag)
    .written()
}

/** Reads what {@link encodeHead} wrote; null for anything else. */
export function decodeHead(bytes: Uint8Array): HeadRecord | null {
  const short = 8 + 2 * END_BYTES + 1
  if (bytes.length !== short && bytes.length !== short + SNAPSHOT_BYTES) return null
  const cursor = byteCursor(bytes, () => new RangeError('head is too short'))
  const change = cursor.u64()
  const last = readEnd(cursor)
  const base = readEnd(cursor)
  const flag = cursor.u8()
  if (flag !== (bytes.length === short ? 0 : 1)) return null
  if (base.index > last.index || base.frames > last.frames || base.term > last.term) return null
  if (flag === 0) return { change, last, base, snapshot: null }
  const id = formatHex(cursor.bytes(ID_BYTES))
  const snapshot = {
    id,
    index: cursor.u64(),
    term: cursor.u64(),
    chunks: cursor.u32(),
    bytes: cursor.u64(),
    tag: cursor.bytes(TAG_BYTES),
  }
  if (snapshot.chunks === 0 || snapshot.index > last.index) return null
  return { change, last, base, snapshot }
}
