import type { Entry } from '@leastwise/raftlog'

/** Bytes that each entry adds to its data. */
export const ENTRY_OVERHEAD_BYTES = 4

/** length(4) ‖ data, entry after entry: the body of the log format. */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(entries.reduce((sum, { length }) => sum + ENTRY_OVERHEAD_BYTES + length, 0))
  const view = new DataView(out.buffer)
  let at = 0
  for (const data of entries) {
    view.setUint32(at, data.length)
    out.set(data, at + ENTRY_OVERHEAD_BYTES)
    at += ENTRY_OVERHEAD_BYTES + data.length
  }
  return out
}

/** Reads a body that holds exactly `count` entries; null for any other. The entries are views on it. */
export function decodeEntries(
  body: Uint8Array<ArrayBuffer>,
  first: { readonly index: bigint; readonly term: bigint; readonly count: number },
): readonly Entry[] | null {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const entries: Entry[] = []
  let at = 0
  for (let nth = 0; nth < first.count; nth += 1) {
    if (body.length - at < ENTRY_OVERHEAD_BYTES) return null
    const length = view.getUint32(at)
    at += ENTRY_OVERHEAD_BYTES
    if (body.length - at < length) return null
    entries.push({ index: first.index + BigInt(nth), term: first.term, data: body.subarray(at, at + length) })
    at += length
  }
  return at === body.length && entries.length > 0 ? entries : null
}
