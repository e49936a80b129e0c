import { RaftLogError, type RaftLogErrorCode } from '../errors.ts'
import { type LogContext, proveHeader } from '../files/log-context.ts'
import { type DecodedHeader, FILE_KIND } from '../format/file-header.ts'
import { parseFileName } from '../format/file-names.ts'
import type { HardState } from '../format/hard-state.ts'
import type { ReadHandle } from '../ports.ts'
import { type FileStep, type SurveyedFrame, surveyFile } from './file-survey.ts'
import type { SurveyOptions } from './frame-survey.ts'
import { mendHeader, withHeader } from './mend-header.ts'
import { logFileNames } from './tool-parts.ts'

/** Frames of one segment that follow each other, every one good. */
export interface Piece {
  /** Index of its first entry. */
  readonly first: bigint
  /** Index after its last entry. */
  readonly next: bigint
  readonly endTag: Uint8Array
  /** Whether it begins right behind the header, and whether nothing of the file is missing behind it. */
  readonly atStart: boolean
  readonly atEnd: boolean
}

/** A segment whose header is good, and what is good of its frames. */
export interface GoodSegment extends NamedHeader {
  readonly pieces: readonly Piece[]
  /** The last hard state in it. */
  readonly state: HardState | null
  /** The tag that the next segment says this one ends with. */
  readonly endTag: Uint8Array | undefined
}

/** Something that is not good. */
export interface LostPart {
  readonly file: string
  readonly offset: number
  readonly sizeBytes: number
  readonly code: RaftLogErrorCode
}

/** Everything in a directory that can be proven by itself. */
export interface RepairSurvey {
  /** By sequence, each once. */
  readonly segments: readonly GoodSegment[]
  /** Snapshots that are whole, by index. */
  readonly snapshots: readonly NamedHeader[]
  /** Highest sequence that any name or header tells of. */
  readonly lastSequence: bigint
  /** Highest index that the header of a snapshot proves, whole or not; 0 without one. */
  readonly lastSnapshot: bigint
}

/**
 * Pieces of one log at most. They are held in memory while the repair is planned; behind the last one the log counts as
 * lost. An honest disk does not break in so many places.
 */
export const MAX_PIECES: number = 1 << 16

/** A header, and the name under which it was found. */
export interface NamedHeader {
  readonly file: string
  readonly header: DecodedHeader
  /** The bytes of the header where the file has others. */
  readonly mended: Uint8Array | null
}

/** Proves a header, or what it was before one byte of it changed. */
async function readNamed(
  log: LogContext,
  handle: ReadHandle,
  file: string,
  lost: (part: LostPart) => void,
): Promise<NamedHeader> {
  try {
    return { file, header: (await proveHeader(log, handle, file)).header, mended: null }
  } catch (error) {
    const mended = error instanceof RaftLogError ? await mendHeader(log, handle, file) : null
    if (mended === null || !(error instanceof RaftLogError)) throw error
    const { header, bytes } = mended
    if (header.clusterId !== log.clusterId || header.logId !== log.logId) throw error
    lost({ file, offset: 0, sizeBytes: bytes.length, code: error.code })
    return { file, header, mended: bytes }
  }
}

/** Proves headers. A file counts as what its header says: swapped names lose nothing. */
async function proveHeaders(
  log: LogContext,
  names: readonly string[],
  lost: (part: LostPart) => void,
): Promise<readonly NamedHeader[]> {
  const proven = new Map<string, NamedHeader>()
  for (const file of names) {
    try {
      const handle = await log.files.open(file)
      if (handle === null) continue
      try {
        const one = await readNamed(log, handle, file, lost)
        const { header } = one
        const isSnapshot = header.kind === FILE_KIND.snapshot
        const number = isSnapshot ? header.index : header.sequence
        const named = parseFileName(file)
        const isOwnName =
          named !== null && named.kind === (isSnapshot ? 'snapshot' : 'segment') && named.number === number
        if (!isOwnName) lost({ file, offset: 0, sizeBytes: 0, code: 'RECORD_NOT_AUTHENTIC' })
        const key = `${isSnapshot ? 'snapshot' : 'segment'} ${number}`
        if (isOwnName || !proven.has(key)) proven.set(key, one)
      } finally {
        await handle.close()
      }
    } catch (error) {
      if (!(error instanceof RaftLogError)) throw error
      lost({ file, offset: 0, sizeBytes: 0, code: error.code })
    }
  }
  return [...proven.values()]
}

const bySequence = (one: NamedHeader, other: NamedHeader): number =>
  one.header.sequence < other.header.sequence ? -1 : 1

/** Finds everything in a directory that can be proven by itself, and calls `lost` with the rest. */
export async function surveyForRepair(
  log: LogContext,
  options: { readonly lost: (part: LostPart) => void; readonly signal?: AbortSignal | undefined },
): Promise<RepairSurvey> {
  const names = logFileNames(await log.files.list())
  const headers = await proveHeaders(log, names, options.lost)
  const named = names.map((name) => parseFileName(name)).flatMap((at) => (at?.kind === 'segment' ? [at.number] : []))
  const files = headers.filter(({ header }) => header.kind !== FILE_KIND.snapshot).sort(bySequence)
  const lastSequence = [...named, ...files.map(({ header }) => header.sequence)].reduce(
    (last, number) => (number > last ? number : last),
    0n,
  )
  const lastSnapshot = headers
    .flatMap(({ header }) => (header.kind === FILE_KIND.snapshot ? [header.index] : []))
    .reduce((last, index) => (index > last ? index : last), 0n)
  const segments: GoodSegment[] = []
  let room = MAX_PIECES
  for (const [at, one] of files.entries()) {
    const next = files[at + 1]?.header
    const endTag = next?.sequence === one.header.sequence + 1n ? next.previous : undefined
    const mayBeTorn = one.header.sequence === lastSequence
    const segment = await surveySegment(log, one, { ...options, endTag, mayBeTorn, room })
    room -= segment.pieces.length
    segments.push(segment)
  }
  const snapshots: NamedHeader[] = []
  for (const one of headers.filter(({ header }) => header.kind === FILE_KIND.snapshot)) {
    if (await isWholeSnapshot(log, one, options)) snapshots.push(one)
  }
  return {
    segments,
    snapshots: snapshots.sort((a, b) => (a.header.index < b.header.index ? -1 : 1)),
    lastSequence,
    lastSnapshot,
  }
}

interface SurveyOne {
  readonly lost: (part: LostPart) => void
  readonly signal?: AbortSignal | undefined
}

/** Goes over one file again. */
export async function* stepsOf(
  log: LogContext,
  { file, header, mended }: NamedHeader,
  options: Omit<SurveyOptions, 'suite'>,
): AsyncGenerator<FileStep, void, void> {
  const opened = await log.files.open(file)
  if (opened === null) return
  const handle = mended === null ? opened : withHeader(opened, mended)
  try {
    const { frames } = await proveHeader(log, handle, file)
    yield* surveyFile({ name: file, handle, header, frames }, { suite: log.suite, ...options })
  } finally {
    await handle.close()
  }
}

/** Gathers frames into pieces. */
function pieceRow(header: DecodedHeader, room: number) {
  const pieces: Piece[] = [{ first: header.index, next: header.index, endTag: header.tag, atStart: true, atEnd: true }]
  let isOpen = true
  return {
    pieces,
    /** Gives false if there is no room for another piece. */
    add: ({ head, tag }: SurveyedFrame): boolean => {
      const last = isOpen ? pieces.at(-1) : undefined
      if (last === undefined && pieces.length >= room) return false
      const next = head.index + BigInt(head.count)
      if (last === undefined) pieces.push({ first: head.index, next, endTag: tag, atStart: false, atEnd: true })
      else pieces[pieces.length - 1] = { ...last, next, endTag: tag }
      isOpen = true
      return true
    },
    /** Something is missing here. */
    hole: (): void => {
      const last = pieces.at(-1)
      if (last !== undefined) pieces[pieces.length - 1] = { ...last, atEnd: false }
      isOpen = false
    },
  }
}

async function surveySegment(
  log: LogContext,
  one: NamedHeader,
  {
    lost,
    room,
    ...options
  }: SurveyOne & { readonly mayBeTorn: boolean; readonly endTag: Uint8Array | undefined; readonly room: number },
): Promise<GoodSegment> {
  const { file, header } = one
  const row = pieceRow(header, room)
  let state: HardState | null = null
  try {
    for await (const step of stepsOf(log, one, options)) {
      if (step.kind === 'tail') continue
      if (step.kind === 'damage') {
        const { offset, lengthBytes: sizeBytes, code } = step
        lost({ file, offset, sizeBytes, code })
        if (!step.isMended) row.hole()
        continue
      }
      if (!row.add(step)) {
        lost({ file, offset: step.offset, sizeBytes: 0, code: 'RECORD_NOT_AUTHENTIC' })
        break
      }
      state = step.state ?? state
    }
  } catch (error) {
    if (!(error instanceof RaftLogError)) throw error
    lost({ file, offset: 0, sizeBytes: 0, code: error.code })
    row.hole()
  }
  return { ...one, pieces: row.pieces, state, endTag: options.endTag }
}

async function isWholeSnapshot(log: LogContext, one: NamedHeader, { lost, signal }: SurveyOne): Promise<boolean> {
  let isWhole = true
  try {
    for await (const step of stepsOf(log, one, { mayBeTorn: false, signal })) {
      if (step.kind !== 'damage') continue
      const { offset, lengthBytes: sizeBytes, code } = step
      lost({ file: one.file, offset, sizeBytes, code })
      isWhole &&= step.isMended
    }
  } catch (error) {
    if (!(error instanceof RaftLogError)) throw error
    lost({ file: one.file, offset: 0, sizeBytes: 0, code: error.code })
    return false
  }
  return isWhole
}
