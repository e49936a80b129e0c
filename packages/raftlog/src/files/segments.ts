import type { ChainPlace } from '../anchor/chain-place.ts'
import type { Commit } from '../commit-loop.ts'
import type { Entry, Position } from '../entry.ts'
import { FILE_KIND } from '../format/file-header.ts'
import { segmentName } from '../format/file-names.ts'
import { FRAME_TYPE } from '../format/frame.ts'
import { encodeHardState, type HardState } from '../format/hard-state.ts'
import { formatHex } from '../format/hex.ts'
import type { TermRuns } from '../term-runs.ts'
import type { Segment } from './directory-scan.ts'
import type { LogContext } from './log-context.ts'
import { type ReplayRange, reaches, replay } from './replay.ts'
import { framesOf } from './reseal.ts'
import { createSealedFile, type SealedFile } from './sealed-file.ts'
import type { Anchor } from './snapshot-file.ts'
import { spareFiles } from './spare-files.ts'

/** What a row of segments starts from. */
export interface SegmentsStart {
  readonly segments: readonly Segment[]
  readonly terms: TermRuns
  readonly state: HardState | null
  readonly lastTag: Uint8Array<ArrayBuffer>
}

/** Frames of one file key: far below what GCM allows, and far above what fits in a segment of the usual size. */
const MAX_FRAMES = 1 << 20

/** The row of segments of an open log. Its writing methods are called one at a time. */
export interface Segments {
  readonly list: () => readonly Segment[]
  /** Index of the first entry that can be read; one after the last if there is none. */
  readonly firstIndex: () => bigint
  /** Position of the last durable entry. */
  readonly last: () => Position
  /** Place of the last durable frame in the chain. */
  readonly place: () => ChainPlace
  /** Terms of durable entries, from the newest snapshot on. */
  readonly terms: TermRuns
  /** Replays what is durable at the moment of the call. */
  readonly read: (range: ReplayRange) => AsyncGenerator<readonly Entry[], void, void>
  /** The last durable hard state. */
  readonly state: () => HardState | null
  /**
   * Makes one frame durable, in a new segment if there is none of this opening, if it is full, or if the frame begins
   * at an index that exists: the new segment then takes its name with that frame in it.
   */
  readonly commit: (commit: Commit) => Promise<void>
  /** Begins a new segment, unless the newest one is of this opening, under the write key, and empty. */
  readonly roll: () => Promise<Anchor>
  /**
   * Begins a segment that goes on from a position elsewhere, and forgets all that was there once `keep` has made that
   * position durable.
   */
  readonly restart: (from: Position, keep: (anchor: Anchor) => Promise<void>) => Promise<readonly Segment[]>
  /**
   * Seals anew, all of them in one segment that replaces them, the entries after `after` if a segment before `sequence`
   * holds one of them.
   */
  readonly reseal: (sequence: bigint, after: bigint) => Promise<void>
  /** Forgets and removes segments; `reach` is the first index that a later segment holds. */
  readonly drop: (unwanted: (segment: Segment, reach: bigint) => boolean) => Promise<void>
  /** Says in the newest segment that it ends here, so that its last frame cannot be taken for a torn one. */
  readonly end: () => Promise<void>
  readonly close: () => Promise<void>
}

const least = (segments: readonly Segment[], otherwise: bigint): bigint =>
  segments.reduce((first, { header }) => (header.index < first ? header.index : first), otherwise)

/** For each segment the first index that any later one holds, `end` if there is none. */
function firstAfter(segments: readonly Segment[], end: bigint): readonly bigint[] {
  let first = end
  return segments
    .toReversed()
    .map(({ header }) => {
      const mine = first
      if (header.index < first) first = header.index
      return mine
    })
    .reverse()
}

export function openSegments(log: LogContext, start: SegmentsStart, segmentBytes: number): Segments {
  const { terms } = start
  const spares = spareFiles(log)
  let older = [...start.segments]
  let active: SealedFile | null = null
  let isBlank = false
  let { lastTag, state } = start

  const described = (file: SealedFile): Segment => ({
    name: file.name,
    header: file.header,
    keyId: formatHex(file.header.keyId),
    sizeBytes: file.sizeBytes(),
  })
  const list = (): readonly Segment[] => (active === null ? older : [...older, described(active)])
  const write = async (file: SealedFile, { index, term, count, body, state: sent }: Commit) => {
    await file.write({ type: sent === null ? FRAME_TYPE.entries : FRAME_TYPE.state, count, index, term }, body)
  }

  /** A segment that has its name. It begins with the hard state, so that older segments may go. */
  const publish = async (
    kind: 1 | 3,
    from: Position,
    more: { readonly begin?: HardState | null; readonly write?: (file: SealedFile) => Promise<void> } = {},
  ): Promise<SealedFile> => {
    const sequence = (list().at(-1)?.header.sequence ?? 0n) + 1n
    const index = from.index + 1n
    const wanted = { kind, sequence, index, term: from.term, previous: lastTag }
    const { begin = state } = more
    const file = await createSealedFile(log, segmentName(sequence), wanted, spares.take())
    try {
      if (begin !== null) {
        await write(file, { index, term: from.term, count: 0, body: encodeHardState(begin), state: begin })
      }
      await more.write?.(file)
      // A segment that is not the last has nothing behind its frames, not even zeros.
      await active?.cutAhead()
      await file.publish()
      await active?.close()
    } catch (error) {
      await file.close().catch(() => undefined)
      throw error
    }
    return file
  }
  const enter = (file: SealedFile, before: readonly Segment[], blank: boolean): SealedFile => {
    older = [...before]
    active = file
    isBlank = blank
    lastTag = file.tag()
    return file
  }
  const held = async function* (
    batches: AsyncGenerator<readonly Entry[], void, void>,
  ): AsyncGenerator<readonly Entry[], void, void> {
    const release = spares.hold()
    try {
      yield* batches
    } finally {
      release()
    }
  }
  const positionAt = (index: bigint): Position => ({ index, term: terms.at(index) ?? 0n })
  const committed = ({ index, term, count, state: sent }: Commit): void => {
    if (count > 0) terms.put(index, term, BigInt(count))
    state = sent ?? state
  }

  return {
    list,
    firstIndex: () => least(list(), terms.last().index + 1n),
    last: terms.last,
    place: () => {
      const newest = list().at(-1)
      return { sequence: newest?.header.sequence ?? 0n, offset: newest?.sizeBytes ?? 0, ...terms.last(), tag: lastTag }
    },
    terms,
    read: (range) => held(replay(log, list(), range)),
    state: () => state,
    commit: async (commit) => {
      const { index } = commit
      const { last } = terms
      if (index <= last().index) {
        const file = await publish(FILE_KIND.segment, positionAt(index - 1n), {
          begin: commit.state === null ? state : null,
          write: async (begun) => {
            await write(begun, commit)
          },
        })
        enter(file, list(), false)
        committed(commit)
        return
      }
      if (active === null || active.sizeBytes() >= segmentBytes || active.frames() >= MAX_FRAMES) {
        enter(await publish(FILE_KIND.segment, last()), list(), true)
      }
      if (active === null) return
      isBlank = false
      await write(active, commit)
      await active.fillAhead()
      await active.sync()
      lastTag = active.tag()
      committed(commit)
    },
    roll: async () => {
      const fits = active !== null && isBlank && formatHex(active.header.keyId) === log.keys.writeKeyId()
      const { header } =
        fits && active !== null ? active : enter(await publish(FILE_KIND.segment, terms.last()), list(), true)
      return { sequence: header.sequence, tag: header.tag }
    },
    restart: async (from, keep) => {
      const file = await publish(FILE_KIND.restart, from)
      try {
        await keep({ sequence: file.header.sequence, tag: file.header.tag })
      } catch (error) {
        await file.close().catch(() => undefined)
        throw error
      }
      const gone = list()
      enter(file, [], true)
      terms.reset(from)
      return gone
    },
    reseal: async (sequence, after) => {
      const all = list()
      const to = terms.last().index
      const reach = reaches(all, to)
      const from = all.reduce((least, { header }, at) => {
        const first = header.index > after ? header.index : after + 1n
        return header.sequence < sequence && first <= (reach[at] ?? to) && first < least ? first : least
      }, to + 1n)
      if (from > to) return
      const file = await publish(FILE_KIND.segment, positionAt(from - 1n), {
        write: async (begun) => {
          const batches = replay(log, all, { from, to, signal: undefined })
          for await (const frame of framesOf(batches)) await write(begun, { ...frame, state: null })
        },
      })
      enter(file, list(), false)
    },
    drop: async (unwanted) => {
      const all = list()
      const after = firstAfter(all, terms.last().index + 1n)
      const gone = new Set(
        older.filter((segment, at) => at < all.length - 1 && unwanted(segment, after[at] ?? segment.header.index)),
      )
      older = older.filter((segment) => !gone.has(segment))
      await spares.drop([...gone])
    },
    end: async () => {
      if (active === null) return
      const { index, term } = terms.last()
      await active.write({ type: FRAME_TYPE.end, count: 0, index: index + 1n, term }, new Uint8Array(0))
      if (!(await active.cutAhead())) await active.sync()
      lastTag = active.tag()
    },
    close: async () => {
      await active?.close()
      await spares.clear()
    },
  }
}
