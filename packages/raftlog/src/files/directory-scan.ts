import type { ChainWatch } from '../anchor/chain-place.ts'
import { RaftLogError } from '../errors.ts'
import { type DecodedHeader, FILE_KIND, TAG_BYTES } from '../format/file-header.ts'
import { parseFileName, segmentName, snapshotName } from '../format/file-names.ts'
import type { HardState } from '../format/hard-state.ts'
import { formatHex } from '../format/hex.ts'
import type { Repair } from '../sealed-log.ts'
import { type TermRuns, termRuns } from '../term-runs.ts'
import { brokenFrame } from './frame-walk.ts'
import { type LogContext, openProven } from './log-context.ts'
import { type SegmentWalk, segmentWalk } from './segment-walk.ts'
import { tailAt } from './torn-tail.ts'

/** One segment of an open log. */
export interface Segment {
  readonly name: string
  readonly header: DecodedHeader
  readonly keyId: string
  /** Bytes that are durable. */
  readonly sizeBytes: number
}

/** What a directory holds, proven. */
export interface ScannedLog {
  /** By sequence, without holes. */
  readonly segments: readonly Segment[]
  readonly snapshot: DecodedHeader | null
  /** Terms from the newest snapshot on, or from an earlier index. */
  readonly terms: TermRuns
  readonly state: HardState | null
  readonly lastTag: Uint8Array<ArrayBuffer>
  readonly repair: Repair | null
}

const sameBytes = (one: Uint8Array, other: Uint8Array): boolean => one.every((byte, at) => other[at] === byte)

const gap = (what: string): RaftLogError => new RaftLogError('LOG_GAP', `${what}; restore the log from a backup`)

const notAuthentic = (what: string, file: string): RaftLogError =>
  new RaftLogError('RECORD_NOT_AUTHENTIC', `${what}; restore the log from a backup`, { place: { file, offset: 0 } })

/**
 * Proves that a segment goes on where the one before ended, with the tag of its last frame: with the next index and the
 * same term, or with an earlier index, from which on it replaces what was there.
 *
 * @throws {@link RaftLogError} `RECORD_NOT_AUTHENTIC` if it does not.
 */
export function proveSuccession(before: SegmentWalk, next: Segment): void {
  const { header } = next
  const isNext = header.index === before.nextIndex() && header.term === before.term()
  if (!(isNext || header.index < before.nextIndex()) || !sameBytes(header.previous, before.tag())) {
    throw notAuthentic('segment does not go on where the one before ends', next.name)
  }
}

/** Names by what they stand for, numbers ascending. */
function sortNames(names: readonly string[]): {
  readonly segments: readonly bigint[]
  readonly snapshots: readonly bigint[]
  readonly temporary: readonly string[]
} {
  const segments: bigint[] = []
  const snapshots: bigint[] = []
  const temporary: string[] = []
  for (const name of names) {
    const parsed = parseFileName(name)
    if (parsed === null) continue
    if (parsed.kind === 'temporary') temporary.push(name)
    else if (parsed.kind === 'segment') segments.push(parsed.number)
    else snapshots.push(parsed.number)
  }
  const ascending = (one: bigint, other: bigint): number => (one < other ? -1 : 1)
  return { segments: segments.sort(ascending), snapshots: snapshots.sort(ascending), temporary }
}

/** Whether the names show that a log was made here. */
export const holdsLog = (names: readonly string[]): boolean => {
  const sorted = sortNames(names)
  return sorted.segments.length + sorted.snapshots.length > 0
}

async function readHeader(
  log: LogContext,
  name: string,
  kind: 'segment' | 'snapshot',
  number: bigint,
): Promise<Segment> {
  const file = await openProven(log, name, kind, number)
  if (file === null) throw gap('file vanished while the log was being opened')
  await file.handle.close()
  return { name, header: file.header, keyId: formatHex(file.header.keyId), sizeBytes: file.handle.sizeBytes }
}

/** The longest run of segments without a hole that ends with the last one; nothing counts before a restart. */
async function readRun(log: LogContext, sequences: readonly bigint[]): Promise<readonly Segment[]> {
  const run: Segment[] = []
  let expected = sequences.at(-1)
  for (const sequence of sequences.toReversed()) {
    if (sequence !== expected) break
    const segment = await readHeader(log, segmentName(sequence), 'segment', sequence)
    run.push(segment)
    if (segment.header.kind === FILE_KIND.restart) break
    expected -= 1n
  }
  return run.reverse()
}

/**
 * An installed snapshot is written after the segment that goes on from it. A crash between the two leaves that segment
 * without anything that it goes on from: then the log is what it was before, and the segment holds nothing yet.
 */
async function withoutUnfinishedRestart(
  log: LogContext,
  sequences: readonly bigint[],
  snapshot: DecodedHeader | null,
): Promise<readonly Segment[]> {
  const run = await readRun(log, sequences)
  const last = run.at(-1)
  const isUnfinished =
    last?.header.kind === FILE_KIND.restart && (snapshot === null || snapshot.sequence < last.header.sequence)
  if (!isUnfinished) return run
  const { walk } = await walkSegment(log, last, true)
  if (walk.nextIndex() !== last.header.index) throw gap('snapshot that the last segment goes on from is gone')
  return await readRun(log, sequences.slice(0, -1))
}

/** The run must reach back to the snapshot (or to the beginning), and hold the very segment that the snapshot names. */
function proveRun(run: readonly Segment[], snapshot: DecodedHeader | null): void {
  const [first] = run
  if (first === undefined) throw gap('every segment after the snapshot is gone')
  const begin = (snapshot?.index ?? 0n) + 1n
  const reaches = run.some(({ header }) => header.index <= begin)
  if (!reaches) throw gap('entries before the first segment are gone')
  if (first.header.sequence === 1n && !sameBytes(first.header.previous, new Uint8Array(TAG_BYTES))) {
    throw notAuthentic('first segment names one before it', first.name)
  }
  if (snapshot === null) return
  const anchor = run.find((segment) => segment.header.sequence === snapshot.sequence)
  if (anchor === undefined) throw gap('segment that the snapshot names is gone')
  if (!sameBytes(anchor.header.tag, snapshot.previous) || anchor.header.index <= snapshot.index) {
    throw notAuthentic('snapshot belongs to another history', snapshotName(snapshot.index))
  }
}

/** Where proving must begin: the segment that holds the first entry after the snapshot. */
function proveFrom(run: readonly Segment[], snapshot: DecodedHeader | null): number {
  if (snapshot === null) return 0
  return Math.max(
    run.findLastIndex(({ header }) => header.index <= snapshot.index + 1n && header.sequence <= snapshot.sequence),
    0,
  )
}

/** What the frames of walked segments add up to. */
interface Found {
  readonly terms: TermRuns
  readonly watch: ChainWatch | undefined
  state: HardState | null
}

/** Walks one segment to its end; the last one may have a tail behind it, which the caller cuts off. */
async function walkSegment(
  log: LogContext,
  segment: Segment,
  isLast: boolean,
  found?: Found,
): Promise<{ readonly walk: SegmentWalk; readonly repair: Repair | null }> {
  const file = await openProven(log, segment.name, 'segment', segment.header.sequence)
  if (file === null) throw gap('segment vanished while the log was being opened')
  try {
    const { sizeBytes } = file.handle
    const walk = segmentWalk(file, sizeBytes, log.suite)
    const { sequence, previous } = segment.header
    found?.watch?.seen(sequence - 1n, previous)
    for (;;) {
      found?.watch?.seen(sequence, walk.tag())
      const step = await walk.next()
      if (step.kind === 'end') break
      if (step.kind === 'entries' && found !== undefined) {
        const [first] = step.entries
        if (first !== undefined) found.terms.put(first.index, first.term, BigInt(step.entries.length))
        found.state = step.state ?? found.state
      }
      if (step.kind !== 'broken') continue
      const tail = isLast ? await tailAt(file.handle, walk.offset(), file.header, log.suite) : null
      if (tail === null || tail.holds === 'damage') throw brokenFrame(walk.place(), step.incomplete)
      // Nobody loses anything by what was written ahead, or is left of an earlier file.
      if (tail.holds !== 'torn') break
      return { walk, repair: { file: segment.name, droppedBytes: tail.tornBytes } }
    }
    return { walk, repair: null }
  } finally {
    await file.handle.close()
  }
}

/**
 * Proves a directory and puts it in order: a torn tail is cut off, and what no longer counts (unfinished files, older
 * snapshots, segments that a compaction had begun to drop) is removed. Nothing is changed before all is proven.
 *
 * @throws {@link RaftLogError} `LOG_MISSING`, `LOG_FOREIGN`, `LOG_GAP` or a `RECORD_` code, or what `watch` throws.
 */
export async function scanDirectory(log: LogContext, watch?: ChainWatch): Promise<ScannedLog> {
  const names = sortNames(await log.files.list())
  const newest = names.snapshots.at(-1)
  if (newest === undefined && names.segments.length === 0) {
    throw new RaftLogError('LOG_MISSING', 'directory holds no log; create it first, or give the right directory')
  }
  const snapshot =
    newest === undefined ? null : (await readHeader(log, snapshotName(newest), 'snapshot', newest)).header
  const run = await withoutUnfinishedRestart(log, names.segments, snapshot)
  proveRun(run, snapshot)

  let before: SegmentWalk | null = null
  let repair: Repair | null = null
  const walkable = run.slice(proveFrom(run, snapshot))
  const base = walkable[0]?.header
  const found: Found = {
    terms: termRuns(base === undefined ? { index: 0n, term: 0n } : { index: base.index - 1n, term: base.term }),
    watch,
    state: null,
  }
  for (const segment of walkable) {
    if (before !== null) proveSuccession(before, segment)
    const { index, term } = segment.header
    if (found.terms.at(index - 1n) === null) found.terms.reset({ index: index - 1n, term })
    else found.terms.put(index, term, 0n)
    const walked = await walkSegment(log, segment, segment === run.at(-1), found)
    before = walked.walk
    repair = walked.repair
  }
  const last = run.at(-1)
  if (before === null || last === undefined) throw gap('every segment after the snapshot is gone')
  const { sequence } = last.header
  watch?.ends({ sequence, offset: before.offset(), ...found.terms.last(), tag: before.tag() })

  // Also without a repair: what was read may so far stand in the page cache alone, and the next segment builds on it.
  await log.files.truncate(last.name, before.offset())
  const kept = new Set(run.map((segment) => segment.header.sequence))
  for (const name of names.temporary) await log.files.remove(name)
  for (const index of names.snapshots) if (index !== newest) await log.files.remove(snapshotName(index))
  for (const sequence of names.segments) if (!kept.has(sequence)) await log.files.remove(segmentName(sequence))

  return {
    segments: [...run.slice(0, -1), { ...last, sizeBytes: before.offset() }],
    snapshot,
    terms: found.terms,
    state: found.state,
    lastTag: before.tag(),
    repair,
  }
}
