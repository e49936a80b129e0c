import { RaftLogError } from '../errors.ts'
import { type LogContext, proveHeader } from '../files/log-context.ts'
import { type DecodedHeader, decodeHeader, MAX_HEADER_BYTES, TAG_BYTES } from '../format/file-header.ts'
import type { ReadHandle } from '../ports.ts'
import { oneByteChanges } from './one-byte.ts'

// Where docs/log-format.md puts them; the ids in version 1 and in version 2.
const LENGTH_AT = 6
const IDS_AT = [96, 100] as const
const MIN_BYTES: number = IDS_AT[0] + 2 + TAG_BYTES + 4

/** The lengths that a header may have: what it says, and what its ids add up to. */
function lengths(bytes: Uint8Array): readonly number[] {
  const stated = ((bytes[LENGTH_AT] ?? 0) << 8) | (bytes[LENGTH_AT + 1] ?? 0)
  const summed = IDS_AT.map((at) => {
    const cluster = bytes[at] ?? 0
    return at - IDS_AT[0] + MIN_BYTES + cluster + (bytes[at + 1 + cluster] ?? 0)
  })
  return [...new Set([stated, ...summed])].filter((length) => length >= MIN_BYTES && length <= bytes.length)
}

/** A file whose first bytes read as these. */
export const withHeader = (handle: ReadHandle, header: Uint8Array): ReadHandle => ({
  sizeBytes: handle.sizeBytes,
  read: async (offset, length) => {
    const bytes = await handle.read(offset, length)
    if (offset >= header.length) return bytes
    const patched = new Uint8Array(bytes)
    patched.set(header.subarray(offset, offset + patched.length))
    return patched
  },
  close: handle.close,
})

/**
 * Mends a header of which one byte changed: its checksum says what it may have been, and its tag what it was. Null if
 * more is damaged. Whose file it is, the caller looks at.
 */
export async function mendHeader(
  log: LogContext,
  handle: ReadHandle,
  file: string,
): Promise<{ readonly header: DecodedHeader; readonly bytes: Uint8Array } | null> {
  const found = new Uint8Array(await handle.read(0, MAX_HEADER_BYTES))
  for (const length of lengths(found)) {
    for (const bytes of oneByteChanges(found.subarray(0, length), log.suite)) {
      try {
        const { clusterId, logId } = decodeHeader(bytes, file, log.suite)
        const { header } = await proveHeader({ ...log, clusterId, logId }, withHeader(handle, bytes), file)
        return { header, bytes }
      } catch (error) {
        if (!(error instanceof RaftLogError)) throw error
      }
    }
  }
  return null
}
