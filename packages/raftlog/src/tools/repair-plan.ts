import type { Position } from '../entry.ts'
import { FILE_KIND } from '../format/file-header.ts'
import type { HardState } from '../format/hard-state.ts'
import type { GoodSegment, NamedHeader, Piece, RepairSurvey } from './repair-survey.ts'

/** Entries of one segment; both ends belong to it. */
export interface Stretch {
  readonly segment: GoodSegment
  readonly from: bigint
  readonly to: bigint
}

/** What becomes of everything that could be proven. Nothing is in two places, and no index is in two stretches. */
export interface RepairPlan {
  /** The log that can be proven to be whole up to its end; null if nothing stands on a beginning. */
  readonly log: {
    readonly snapshot: NamedHeader | null
    /** The entry (or snapshot) before the first one. */
    readonly before: Position
    readonly stretches: readonly Stretch[]
    readonly lastIndex: bigint
    readonly state: HardState | null
  } | null
  /** What is intact, but not known to go on from the log. */
  readonly salvage: readonly Stretch[]
  /** Indices after the beginning that are in neither. `to` is null if nobody knows how many there were. */
  readonly lost: readonly { readonly from: bigint; readonly to: bigint | null }[]
  /** From here to its end the log may hold entries that a lost segment had replaced. */
  readonly possiblyReplacedFrom: bigint | null
}

/** A piece, and the index up to which no later segment replaces it. */
interface Live {
  readonly segment: GoodSegment
  readonly piece: Piece
  /** Index after the last entry that counts; at most `first` if none does. */
  readonly until: bigint
}

const min = (one: bigint, other: bigint): bigint => (one < other ? one : other)
const max = (one: bigint, other: bigint): bigint => (one > other ? one : other)
const sameBytes = (one: Uint8Array, other: Uint8Array): boolean => one.every((byte, at) => other[at] === byte)
const isRestart = ({ header }: GoodSegment): boolean => header.kind === FILE_KIND.restart
const isEmpty = ({ pieces }: GoodSegment): boolean => pieces.every(({ first, next }) => first === next)

/** The newest whole snapshot, unless the segment that it names is there and belongs to another history. */
const chooseSnapshot = ({ snapshots, segments }: RepairSurvey): NamedHeader | null =>
  snapshots.findLast(({ header }) => {
    const anchor = segments.find((segment) => segment.header.sequence === header.sequence)
    return anchor === undefined || (sameBytes(anchor.header.tag, header.previous) && anchor.header.index > header.index)
  }) ?? null

/** Segments that count: none before a restart that the snapshot belongs to, and no restart that never was finished. */
function counting({ segments }: RepairSurvey, snapshot: NamedHeader | null): readonly GoodSegment[] {
  const named = snapshot?.header.sequence ?? 0n
  const isUnfinished = (segment: GoodSegment): boolean =>
    isRestart(segment) && segment.header.sequence > named && isEmpty(segment)
  const floor = segments.findLast((one) => isRestart(one) && one.header.sequence <= named)?.header.sequence ?? 0n
  return segments.filter((one) => one.header.sequence >= floor && !isUnfinished(one))
}

function livePieces(segments: readonly GoodSegment[]): readonly Live[] {
  let cut: bigint | null = null
  const all: Live[] = []
  for (const segment of segments.toReversed()) {
    for (const piece of segment.pieces.toReversed()) {
      all.push({ segment, piece, until: cut === null ? piece.next : min(piece.next, cut) })
    }
    cut = cut === null ? segment.header.index : min(cut, segment.header.index)
  }
  return all.reverse()
}

/** Whether a piece is proven to go on where another one ends. */
const isNext = (before: Live, next: Live): boolean =>
  before.piece.atEnd &&
  next.piece.atStart &&
  !isRestart(next.segment) &&
  next.segment.header.sequence === before.segment.header.sequence + 1n &&
  next.segment.header.index <= before.piece.next &&
  sameBytes(next.segment.header.previous, before.piece.endTag)

/** The row of pieces, each proven to go on from the one before, in which the entry `wanted` is or will be. */
function rowAround(all: readonly Live[], wanted: bigint): readonly Live[] {
  const choices = [
    ({ piece, until }: Live) => piece.first <= wanted && wanted < until,
    ({ piece }: Live) => piece.first === wanted,
    ({ piece, until }: Live) => piece.first < until && until === wanted,
  ]
  const at = choices.map((fits) => all.findLastIndex(fits)).find((found) => found >= 0)
  if (at === undefined) return []
  let from = at
  let to = at
  for (;;) {
    const [before, first] = [all[from - 1], all[from]]
    if (before === undefined || first === undefined || !isNext(before, first)) break
    from -= 1
  }
  for (;;) {
    const [last, next] = [all[to], all[to + 1]]
    if (last === undefined || next === undefined || !isNext(last, next)) break
    to += 1
  }
  return all.slice(from, to + 1)
}

/** The stretches of a row, from an index on, as long as they follow each other. */
function contiguous(
  row: readonly Live[],
  from: bigint,
): { readonly stretches: readonly Stretch[]; readonly next: bigint } {
  const stretches: Stretch[] = []
  let next = from
  for (const { segment, piece, until } of row) {
    if (until <= next) continue
    if (piece.first > next) break
    stretches.push({ segment, from: next, to: until - 1n })
    next = until
  }
  return { stretches, next }
}

function planLog(
  all: readonly Live[],
  snapshot: NamedHeader | null,
): Omit<NonNullable<RepairPlan['log']>, 'state'> | null {
  const covered: Position = snapshot?.header ?? { index: 0n, term: 0n }
  const row = rowAround(all, covered.index + 1n)
  const [bottom] = row
  // Entries before the snapshot stay where they stand only if the term before them is known.
  const isRooted = bottom?.piece.atStart === true && bottom.segment.header.index <= covered.index
  const before = isRooted
    ? { index: bottom.segment.header.index - 1n, term: bottom.segment.header.term }
    : { index: covered.index, term: covered.term }
  const { stretches, next } = contiguous(row, before.index + 1n)
  if (snapshot === null) return stretches.length === 0 ? null : { snapshot, before, stretches, lastIndex: next - 1n }
  if (next > covered.index) return { snapshot, before, stretches, lastIndex: next - 1n }
  return { snapshot, before: covered, stretches: [], lastIndex: covered.index }
}

/** A log in which nothing was written yet, and of which nothing is missing. */
function planEmpty(all: readonly Live[]): Omit<NonNullable<RepairPlan['log']>, 'state'> | null {
  const isWhole = all.length > 0 && rowAround(all, 1n).length === all.length
  return isWhole ? { snapshot: null, before: { index: 0n, term: 0n }, stretches: [], lastIndex: 0n } : null
}

/** What is live and not in the log. */
function planSalvage(all: readonly Live[], log: readonly Stretch[]): readonly Stretch[] {
  return all.flatMap(({ segment, piece, until }): readonly Stretch[] => {
    const kept = log.find((stretch) => stretch.segment === segment && piece.first <= stretch.to && stretch.from < until)
    const parts =
      kept === undefined
        ? [{ from: piece.first, to: until - 1n }]
        : [
            { from: piece.first, to: kept.from - 1n },
            { from: kept.to + 1n, to: until - 1n },
          ]
    return parts.filter(({ from, to }) => from <= to).map((part) => ({ segment, ...part }))
  })
}

/** Plans a repair: a log that is proven from its beginning to its end, and beside it whatever else is intact. */
export function planRepair(survey: RepairSurvey): RepairPlan {
  const snapshot = chooseSnapshot(survey)
  const segments = counting(survey, snapshot)
  const all = livePieces(segments)
  const written = planLog(all, snapshot)
  const salvage = planSalvage(all, written?.stretches ?? [])

  const lost: { from: bigint; to: bigint | null }[] = []
  let next = (snapshot?.header.index ?? 0n) + 1n
  for (const { from, to } of [...(written?.stretches ?? []), ...salvage].sort((a, b) => (a.from < b.from ? -1 : 1))) {
    if (from > next) lost.push({ from: next, to: from - 1n })
    if (to >= next) next = to + 1n
  }
  const last = segments.at(-1)
  const isEndKnown = last?.header.sequence === survey.lastSequence && last.pieces.at(-1)?.atEnd === true
  // A frame without entries (the end of a segment, a hard state) or a snapshot tells how far the log had come as well.
  const known = [last?.pieces.at(-1)?.next ?? 0n, survey.lastSnapshot + 1n].reduce(max)
  if (last !== undefined && known > next) {
    lost.push({ from: next, to: known - 1n })
    next = known
  }
  if (!isEndKnown && !isUnfinishedEnd(survey, segments)) lost.push({ from: next, to: null })

  const state = segments.findLast((segment) => segment.state !== null)?.state ?? null
  const log = written ?? (lost.length + salvage.length === 0 ? planEmpty(all) : null)
  if (log === null) return { log, salvage, lost, possiblyReplacedFrom: null }
  const certain = [state?.commit ?? 0n, snapshot?.header.index ?? 0n].reduce(max)
  const possibly = certain + 1n
  return {
    log: { ...log, state: state === null ? null : { ...state, commit: min(state.commit, log.lastIndex) } },
    salvage,
    lost,
    possiblyReplacedFrom: isSegmentLostBehind(survey, log) && possibly <= log.lastIndex ? possibly : null,
  }
}

/** Whether the last segment was left out because it never was finished. */
const isUnfinishedEnd = ({ segments, lastSequence }: RepairSurvey, counted: readonly GoodSegment[]): boolean => {
  const last = segments.at(-1)
  return (
    last?.header.sequence === lastSequence && !counted.includes(last) && counted.at(-1)?.pieces.at(-1)?.atEnd === true
  )
}

/** Whether a segment is unreadable or missing that was written after the log's last one, and may have replaced its entries. */
function isSegmentLostBehind(
  { segments, lastSequence }: RepairSurvey,
  { stretches, snapshot }: Pick<NonNullable<RepairPlan['log']>, 'stretches' | 'snapshot'>,
): boolean {
  const end = stretches.at(-1)?.segment.header.sequence ?? snapshot?.header.sequence ?? 0n
  const behind = segments.filter(({ header }) => header.sequence > end).length
  return end + BigInt(behind) < lastSequence
}
