import { type Entry, GROUP_COMMIT_BYTES, MAX_FRAME_ENTRIES } from '../entry.ts'
import { ENTRY_OVERHEAD_BYTES } from '../format/frame.ts'

/** Entries of one term, as the body of a frame. */
export interface EntryFrame {
  readonly index: bigint
  readonly term: bigint
  readonly count: number
  readonly body: Uint8Array
}

const sizeOf = (entries: readonly Entry[]): number =>
  entries.reduce((sum, { data }) => sum + ENTRY_OVERHEAD_BYTES + data.length, 0)

/** count × (length(4) ‖ data) */
function encodeEntries(entries: readonly Entry[]): Uint8Array {
  const body = new Uint8Array(sizeOf(entries))
  const view = new DataView(body.buffer)
  let at = 0
  for (const { data } of entries) {
    view.setUint32(at, data.length)
    body.set(data, at + ENTRY_OVERHEAD_BYTES)
    at += ENTRY_OVERHEAD_BYTES + data.length
  }
  return body
}

function frameOf(entries: readonly Entry[]): EntryFrame | null {
  const [first] = entries
  if (first === undefined) return null
  return { index: first.index, term: first.term, count: entries.length, body: encodeEntries(entries) }
}

/** Puts entries that were read frame by frame into frames again, small ones of a term together. */
export async function* framesOf(batches: AsyncIterable<readonly Entry[]>): AsyncGenerator<EntryFrame, void, void> {
  let held: Entry[] = []
  for await (const batch of batches) {
    const joins =
      held[0]?.term === batch[0]?.term &&
      held.length + batch.length <= MAX_FRAME_ENTRIES &&
      sizeOf(held) + sizeOf(batch) <= GROUP_COMMIT_BYTES
    if (joins) {
      held.push(...batch)
      continue
    }
    const frame = frameOf(held)
    if (frame !== null) yield frame
    held = [...batch]
  }
  const frame = frameOf(held)
  if (frame !== null) yield frame
}
