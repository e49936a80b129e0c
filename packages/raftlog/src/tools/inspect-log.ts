import { RaftLogError, type RaftLogErrorCode } from '../errors.ts'
import { type LogContext, proveHeader } from '../files/log-context.ts'
import { type DecodedHeader, decodeHeader, FILE_KIND, MAX_HEADER_BYTES } from '../format/file-header.ts'
import { parseFileName } from '../format/file-names.ts'
import { FRAME_TYPE } from '../format/frame.ts'
import { formatHex } from '../format/hex.ts'
import { decodeKeyring } from '../keys/keyring.ts'
import type { CipherSuite, KeyStore, LogFiles } from '../ports.ts'
import { type FileStep, surveyFile } from './file-survey.ts'
import type { SurveyedFile } from './frame-survey.ts'
import { isSalvageName } from './salvage-name.ts'
import { openForReading, type ToolIdentity, type ToolKeys } from './tool-parts.ts'

/** What a file is by its name, and for a log file by its header. */
export type InspectedKind = 'segment' | 'restart' | 'snapshot' | 'salvage' | 'temporary' | 'unknown'

/** One thing that {@link inspectLog} saw. Those of one file follow it, in the order of the file. */
export type Inspected =
  | {
      readonly type: 'keyring'
      readonly wrapperId: string
      readonly keys: readonly {
        readonly id: string
        readonly role: 'current' | 'pending'
        readonly wrappedBytes: number
      }[]
    }
  | {
      readonly type: 'file'
      readonly file: string
      readonly kind: InspectedKind
      readonly sizeBytes: number
      /** What the header says, null if there is none that reads. */
      readonly header: InspectedHeader | null
      /** Whether header and frames were proven with the key; without it everything below is only what the file claims. */
      readonly isProven: boolean
    }
  | {
      readonly type: 'frame'
      readonly file: string
      readonly offset: number
      readonly sizeBytes: number
      readonly holds: 'entries' | 'state' | 'end' | 'chunk' | 'other'
      readonly index: bigint
      readonly term: bigint
      /** Entries in it; in a snapshot the number of the chunk. */
      readonly count: number
    }
  | {
      readonly type: 'entry'
      readonly file: string
      readonly index: bigint
      readonly term: bigint
      readonly sizeBytes: number
      /** Null unless asked for. */
      readonly content: Uint8Array | null
    }
  | {
      readonly type: 'state'
      readonly file: string
      readonly term: bigint
      readonly vote: string | null
      readonly commit: bigint
    }
  /**
   * What a crash may have left of an unfinished frame, zeros that were written ahead, or what is left of an earlier segment
   * that this one is written over. It is no damage.
   */
  | {
      readonly type: 'tail'
      readonly file: string
      readonly offset: number
      readonly sizeBytes: number
      readonly holds: 'torn' | 'zeros' | 'earlier'
    }
  | {
      readonly type: 'damage'
      /** Null for the key ring. */
      readonly file: string | null
      readonly offset: number
      readonly sizeBytes: number
      readonly code: RaftLogErrorCode
    }

/** The clear fields of a header. */
export interface InspectedHeader {
  /** 2 if it is written over an earlier file. */
  readonly version: 1 | 2
  readonly sequence: bigint
  readonly index: bigint
  readonly term: bigint
  readonly keyId: string
  readonly clusterId: string
  readonly logId: string
}

/** What {@link inspectLog} looks at. */
export interface InspectParts extends ToolIdentity {
  readonly files: LogFiles
  readonly suite: CipherSuite
  /** The key ring, to list its ids. */
  readonly ring?: Pick<KeyStore, 'load'>
  /** Opens everything that can be opened. Without it only claims are seen, and damage to the structure. */
  readonly keys?: ToolKeys
  /** `redacted` unless given: the content of entries may be secret. */
  readonly content?: 'redacted' | 'shown'
  readonly signal?: AbortSignal
}

/**
 * Lists what lies in a log's directory, file by file. It changes nothing and takes no lock: beside a live log it sees
 * a moment that may be half-way. Memory is bounded by one frame (16 MiB) and the list of names.
 *
 * @returns An iterator over what is there. Damage is an item, never an error.
 * @throws {@link RaftLogError} `LOG_MISSING`, `DIRECTORY_UNSAFE`, or with keys `KEYS_LOCKED`, `KEYS_WRONG`,
 * `KEYS_MALFORMED`.
 */
export async function* inspectLog(parts: InspectParts): AsyncGenerator<Inspected, void, void> {
  const { files, signal } = parts
  if (!(await files.enter({ create: false }))) {
    throw new RaftLogError('LOG_MISSING', 'directory does not exist; give the right one')
  }
  const ring = parts.ring ?? parts.keys?.store
  if (ring !== undefined) yield* inspectRing(ring)
  const log = parts.keys === undefined ? null : await openForReading(parts, parts.keys, parts)
  try {
    const names = [...(await files.list())].sort()
    const last = names.findLast((name) => parseFileName(name)?.kind === 'segment')
    for (const name of names) {
      signal?.throwIfAborted()
      yield* inspectFile(parts, log, { name, mayBeTorn: name === last })
    }
  } finally {
    log?.keys.close()
  }
}

async function* inspectRing({ load }: Pick<KeyStore, 'load'>): AsyncGenerator<Inspected, void, void> {
  try {
    const bytes = await load()
    if (bytes === null) return
    const { wrapperId, current, pending } = decodeKeyring(bytes)
    const keys = [
      { role: 'current' as const, key: current },
      ...(pending === null ? [] : [{ role: 'pending' as const, key: pending }]),
    ]
    yield {
      type: 'keyring',
      wrapperId,
      keys: keys.map(({ role, key }) => ({ id: formatHex(key.id), role, wrappedBytes: key.wrapped.length })),
    }
  } catch (error) {
    if (!(error instanceof RaftLogError)) throw error
    yield { type: 'damage', file: null, offset: 0, sizeBytes: 0, code: error.code }
  }
}

const kindOf = (name: string, header: DecodedHeader | null): InspectedKind => {
  if (isSalvageName(name)) return 'salvage'
  const parsed = parseFileName(name)
  if (parsed === null) return 'unknown'
  if (parsed.kind === 'segment' && header?.kind === FILE_KIND.restart) return 'restart'
  return parsed.kind
}

async function* inspectFile(
  { files, suite, content, signal }: InspectParts,
  log: LogContext | null,
  { name, mayBeTorn }: { readonly name: string; readonly mayBeTorn: boolean },
): AsyncGenerator<Inspected, void, void> {
  const isOurs = kindOf(name, null) !== 'unknown'
  const problem = (error: unknown): Inspected => {
    if (!(error instanceof RaftLogError)) throw error
    return { type: 'damage', file: name, offset: 0, sizeBytes: 0, code: error.code }
  }
  let file: Omit<SurveyedFile, 'header'> & { readonly header: DecodedHeader | null }
  let refusal: Inspected | null = null
  try {
    const handle = await files.open(name)
    if (handle === null) return
    file = { name, handle, header: null, frames: null }
  } catch (error) {
    // What is not ours may be anything, also something that cannot be read.
    yield { type: 'file', file: name, kind: kindOf(name, null), sizeBytes: 0, header: null, isProven: false }
    if (isOurs) yield problem(error)
    return
  }
  try {
    if (isOurs) {
      try {
        const header = decodeHeader(await file.handle.read(0, MAX_HEADER_BYTES), name, suite)
        checkPlace(name, header)
        file = { ...file, header }
        if (log !== null) file = { ...file, ...(await proveHeader(log, file.handle, name)) }
      } catch (error) {
        refusal = problem(error)
      }
    }
    const { handle, header, frames } = file
    const kind = kindOf(name, header)
    const isProven = frames !== null
    yield { type: 'file', file: name, kind, sizeBytes: handle.sizeBytes, header: describe(header), isProven }
    if (refusal !== null) {
      yield refusal
      // With the key nothing in a file is good whose header is not.
      if (log !== null) return
    }
    // The end of a file that never was finished may lie anywhere.
    const torn = mayBeTorn || kind === 'temporary'
    if (header === null) return
    for await (const step of surveyFile({ name, handle, header, frames }, { suite, mayBeTorn: torn, signal })) {
      yield* inspectStep(name, step, content === 'shown')
    }
  } catch (error) {
    yield problem(error)
  } finally {
    await file.handle.close()
  }
}

/** A genuine file under the name of another one is damage to the directory. */
function checkPlace(name: string, header: DecodedHeader): void {
  const parsed = parseFileName(name)
  if (parsed === null || parsed.kind === 'temporary') return
  const isSnapshot = header.kind === FILE_KIND.snapshot
  if (isSnapshot !== (parsed.kind === 'snapshot') || (isSnapshot ? header.index : header.sequence) !== parsed.number) {
    throw new RaftLogError(
      'RECORD_NOT_AUTHENTIC',
      'file stands under a name that is not its own; restore the directory',
      {
        place: { file: name, offset: 0 },
      },
    )
  }
}

const describe = (header: DecodedHeader | null): InspectedHeader | null =>
  header === null
    ? null
    : {
        version: header.over === null ? 1 : 2,
        sequence: header.sequence,
        index: header.index,
        term: header.term,
        keyId: formatHex(header.keyId),
        clusterId: header.clusterId,
        logId: header.logId,
      }

const HOLDS: Readonly<Record<number, 'entries' | 'state' | 'end' | 'chunk'>> = {
  [FRAME_TYPE.entries]: 'entries',
  [FRAME_TYPE.state]: 'state',
  [FRAME_TYPE.end]: 'end',
  [FRAME_TYPE.chunk]: 'chunk',
  [FRAME_TYPE.lastChunk]: 'chunk',
}

function* inspectStep(file: string, step: FileStep, isShown: boolean): Generator<Inspected, void, void> {
  const { offset, lengthBytes: sizeBytes } = step
  if (step.kind === 'tail') {
    yield { type: 'tail', file, offset, sizeBytes, holds: step.holds }
    return
  }
  if (step.kind === 'damage') {
    yield { type: 'damage', file, offset, sizeBytes, code: step.code }
    return
  }
  const { type, index, term, count } = step.head
  yield { type: 'frame', file, offset, sizeBytes, holds: HOLDS[type] ?? 'other', index, term, count }
  for (const { data, ...at } of step.entries ?? []) {
    yield { type: 'entry', file, ...at, sizeBytes: data.length, content: isShown ? data : null }
  }
  if (step.state !== null) yield { type: 'state', file, ...step.state }
}
