import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { decodeHardState, encodeHardState, type HardState } from '../format/hard-state.ts'

/** What a backup holds beside entries, snapshot and companions. */
export interface BackupAbout {
  readonly state: HardState | null
  /** The key ring of the log as it was kept, wrapped; null if it was not locked, or not given. */
  readonly ring: Uint8Array<ArrayBuffer> | null
}

/** A file of the host that goes along, say the node's locked key file. */
export interface BackupCompanion {
  /** 1 to 64 visible ASCII characters; a label and not a path: whoever writes a companion to a disk chooses its place. */
  readonly name: string
  /** At most 1 MiB. It is sealed with everything else, but should need no more than the host's own lock already gives. */
  readonly bytes: Uint8Array
}

/** Most companions of one backup. */
export const MAX_COMPANIONS = 16
/** Largest companion. */
export const MAX_COMPANION_BYTES: number = 1024 * 1024

const NAME = /^[\x21-\x7e]{1,64}$/

/** Whether a text may name a companion. */
export const isCompanionName = (name: string): boolean => NAME.test(name)

/** length(1) hard state, of length 0 if there is none ‖ length(2) key ring, likewise */
export function encodeAbout({ state, ring }: BackupAbout): Uint8Array<ArrayBuffer> {
  const stateBytes = state === null ? new Uint8Array(0) : encodeHardState(state)
  const ringBytes = ring ?? new Uint8Array(0)
  return byteWriter(3 + stateBytes.length + ringBytes.length)
    .u8(stateBytes.length)
    .bytes(stateBytes)
    .u16(ringBytes.length)
    .bytes(ringBytes)
    .written()
}

/** Reads what {@link encodeAbout} wrote, or gives null. */
export function decodeAbout(bytes: Uint8Array): BackupAbout | null {
  const short = new RangeError('ends too early')
  const cursor = byteCursor(bytes, () => short)
  try {
    const stateBytes = cursor.bytes(cursor.u8())
    const ring = cursor.bytes(cursor.u16())
    const state = stateBytes.length === 0 ? null : decodeHardState(stateBytes)
    if (cursor.remaining() !== 0 || (state === null && stateBytes.length > 0)) return null
    return { state, ring: ring.length === 0 ? null : ring }
  } catch (error) {
    if (error === short) return null
    throw error
  }
}

/** length(1) name ‖ bytes */
export function encodeCompanion({ name, bytes }: BackupCompanion): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(name)
  return byteWriter(1 + text.length + bytes.length)
    .u8(text.length)
    .bytes(text)
    .bytes(bytes)
    .written()
}

/** Reads what {@link encodeCompanion} wrote, or gives null. */
export function decodeCompanion(body: Uint8Array): BackupCompanion | null {
  const length = body[0] ?? 0
  const name = Array.from(body.subarray(1, 1 + length), (byte) => String.fromCharCode(byte)).join('')
  if (body.length < 1 + length || !isCompanionName(name)) return null
  const bytes = new Uint8Array(body.subarray(1 + length))
  return bytes.length > MAX_COMPANION_BYTES ? null : { name, bytes }
}
