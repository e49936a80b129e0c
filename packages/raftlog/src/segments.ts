import type { Commit } from './commit-loop.ts'
import type { Segment } from './directory-scan.ts'
import type { Position } from './entry.ts'
import { FILE_KIND, TAG_BYTES } from './file-header.ts'
import { segmentName } from './file-names.ts'
import { FRAME_TYPE } from './frame.ts'
import { formatHex } from './hex.ts'
import type { LogContext } from './log-context.ts'
import { createSealedFile, type SealedFile } from './sealed-file.ts'
import type { Anchor } from './snapshot-file.ts'

/** What a row of segments starts from. */
export interface SegmentsStart {
  readonly segments: readonly Segment[]
  readonly last: Position
  readonly lastTag: Uint8Array<ArrayBuffer>
}

/** Frames of one file key: far below what GCM allows, and far above what fits in a segment of the usual size. */
const MAX_FRAMES = 1 << 20

/** The row of segments of an open log. Its writing methods are called one at a time. */
export interface Segments {
  readonly list: () => readonly Segment[]
  /** Position of the last durable entry. */
  readonly last: () => Position
  /** Makes one frame durable, in a new segment if there is none of this opening or if it is full. */
  readonly commit: (commit: Commit) => Promise<void>
  /** Begins a new segment, unless the newest one is of this opening, under the write key, and empty. */
  readonly roll: () => Promise<Anchor>
  /** Forgets and removes segments. */
  readonly drop: (unwanted: (segment: Segment, next: Segment | undefined) => boolean) => Promise<void>
  /** Says in the newest segment that it ends here, so that its last frame cannot be taken for a torn one. */
  readonly end: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The row of a log without segments. */
export const noSegments: SegmentsStart = {
  segments: [],
  last: { index: 0n, term: 0n },
  lastTag: new Uint8Array(TAG_BYTES),
}

export function openSegments(log: LogContext, start: SegmentsStart, segmentBytes: number): Segments {
  let older = [...start.segments]
  let active: SealedFile | null = null
  let { last, lastTag } = start

  const described = (file: SealedFile): Segment => ({
    name: file.name,
    header: file.header,
    keyId: formatHex(file.header.keyId),
    sizeBytes: file.sizeBytes(),
  })
  const list = (): readonly Segment[] => (active === null ? older : [...older, described(active)])

  const begin = async (): Promise<SealedFile> => {
    const sequence = (list().at(-1)?.header.sequence ?? 0n) + 1n
    const file = await createSealedFile(log, segmentName(sequence), {
      kind: FILE_KIND.segment,
      sequence,
      index: last.index + 1n,
      term: last.term,
      previous: lastTag,
    })
    try {
      await file.publish()
    } catch (error) {
      await file.close().catch(() => undefined)
      throw error
    }
    await active?.close()
    older = [...list()]
    active = file
    lastTag = file.header.tag
    return file
  }

  return {
    list,
    last: () => last,
    commit: async ({ index, term, count, body }) => {
      const full = active === null || active.sizeBytes() >= segmentBytes || active.frames() >= MAX_FRAMES
      const file = full || active === null ? await begin() : active
      await file.write({ type: FRAME_TYPE.entries, count, index, term }, body)
      await file.sync()
      lastTag = file.tag()
      last = { index: index + BigInt(count) - 1n, term }
    },
    roll: async () => {
      const usable =
        active !== null && active.frames() === 0 && formatHex(active.header.keyId) === log.keys.writeKeyId()
      const { header } = usable && active !== null ? active : await begin()
      return { sequence: header.sequence, tag: header.tag }
    },
    drop: async (unwanted) => {
      const all = list()
      const gone = older.filter((segment, at) => unwanted(segment, all[at + 1]))
      if (gone.length === 0) return
      older = older.filter((segment) => !gone.includes(segment))
      for (const segment of gone) await log.files.remove(segment.name)
      await log.files.syncDirectory()
    },
    end: async () => {
      if (active === null) return
      await active.write({ type: FRAME_TYPE.end, count: 0, index: last.index + 1n, term: last.term }, new Uint8Array(0))
      await active.sync()
    },
    close: async () => {
      await active?.close()
    },
  }
}
