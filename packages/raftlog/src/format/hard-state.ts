import { MAX_INDEX } from '../entry.ts'
import { byteWriter } from './byte-writer.ts'
import { isLogId, MAX_ID_LENGTH } from './file-header.ts'

/** What a Raft node must never forget beside its entries (Raft, figure 2, "persistent state"; and how far it committed). */
export interface HardState {
  /** Latest term that the node has seen. */
  readonly term: bigint
  /** Whom it voted for in that term: 1 to 64 visible ASCII characters, or null. */
  readonly vote: string | null
  /** Last index known to be committed; entries up to it are never replaced. */
  readonly commit: bigint
}

const FIXED_BYTES = 17
/** Longest encoding of a hard state. */
export const MAX_STATE_BYTES: number = FIXED_BYTES + MAX_ID_LENGTH

/** term(8) ‖ commit(8) ‖ length(1) ‖ vote, of length 0 if there is none */
export function encodeHardState({ term, vote, commit }: HardState): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(vote ?? '')
  return byteWriter(FIXED_BYTES + name.length)
    .u64(term)
    .u64(commit)
    .u8(name.length)
    .bytes(name)
    .written()
}

/** Reads a hard state that fills these bytes exactly, or gives null. */
export function decodeHardState(bytes: Uint8Array): HardState | null {
  if (bytes.length < FIXED_BYTES || bytes.length !== FIXED_BYTES + (bytes[FIXED_BYTES - 1] ?? 0)) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const term = view.getBigUint64(0)
  const commit = view.getBigUint64(8)
  const vote = Array.from(bytes.subarray(FIXED_BYTES), (byte) => String.fromCharCode(byte)).join('')
  if (term > MAX_INDEX || commit > MAX_INDEX || (vote !== '' && !isLogId(vote))) return null
  return { term, vote: vote === '' ? null : vote, commit }
}
