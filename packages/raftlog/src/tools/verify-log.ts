import { checkRestored } from '../backup/restore-mark.ts'
import type { Position } from '../entry.ts'
import { RaftLogError, type RaftLogErrorCode } from '../errors.ts'
import { scanDirectory } from '../files/directory-scan.ts'
import type { LogContext } from '../files/log-context.ts'
import { replay } from '../files/replay.ts'
import type { HardState } from '../format/hard-state.ts'
import type { CipherSuite, LogFiles } from '../ports.ts'
import { type Inspected, inspectLog } from './inspect-log.ts'
import { readOnlyFiles } from './read-only-files.ts'
import { openForReading, type ToolIdentity, type ToolKeys } from './tool-parts.ts'

/** Findings that a report holds at most; further ones are counted. */
export const MAX_FINDINGS = 1000

/** Something that is not as it was written. */
export interface Finding {
  /**
   * `damage`: it fails its proof, and so does the log. `torn`: what a crash left of the last frame; opening cuts it off.
   * `leftover`: a file that no longer counts; opening removes it. `foreign`: a file that is not the log's.
   */
  readonly kind: 'damage' | 'torn' | 'leftover' | 'foreign'
  readonly file: string | null
  readonly offset: number | null
  readonly sizeBytes: number | null
  readonly code: RaftLogErrorCode | null
}

/** What {@link verifyLog} found. */
export interface Verification {
  /** `torn` opens and cuts off the unfinished frame; `damaged` is refused on opening or on reading. */
  readonly verdict: 'whole' | 'torn' | 'damaged'
  readonly clusterId: string
  readonly logId: string
  readonly files: number
  readonly frames: number
  /** Entries that were read back, every one authenticated; all from `firstIndex` to `lastIndex` if the verdict is not `damaged`. */
  readonly entries: bigint
  readonly firstIndex: bigint | null
  readonly lastIndex: bigint | null
  readonly snapshotAt: Position | null
  readonly state: HardState | null
  readonly findings: readonly Finding[]
  /** Findings beyond {@link MAX_FINDINGS}. */
  readonly unlisted: number
}

/** What {@link verifyLog} looks at. */
export interface VerifyParts extends ToolIdentity {
  readonly files: LogFiles
  readonly suite: CipherSuite
  readonly keys: ToolKeys
  /** `taken` unless given. `none` is for media that cannot be written, and only when nothing else uses the log. */
  readonly lock?: 'taken' | 'none'
  readonly signal?: AbortSignal
}

/**
 * Proves a whole log: every byte of every file, and then what opening and reading it would prove, step by step the same
 * code. Nothing is changed. Memory is bounded: one frame, the list of names, {@link MAX_FINDINGS} findings.
 *
 * It cannot tell whether the log is the newest: an older copy of a directory is whole as well.
 *
 * @returns The report; damage is a finding, never an error.
 * @throws {@link RaftLogError} `LOG_MISSING`, `LOG_BUSY` if a process holds the log, `KEYS_LOCKED`, `KEYS_WRONG`,
 * `KEYS_MALFORMED`, `DIRECTORY_UNSAFE`, `DIRECTORY_UNWRITABLE`.
 */
export async function verifyLog(parts: VerifyParts): Promise<Verification> {
  if (!(await parts.files.enter({ create: false }))) {
    throw new RaftLogError('LOG_MISSING', 'directory does not exist; give the right one')
  }
  const unlock = parts.lock === 'none' ? null : await parts.files.lock()
  try {
    const log = await openForReading(parts, parts.keys, parts)
    try {
      return await verify(parts, log)
    } finally {
      log.keys.close()
    }
  } finally {
    await unlock?.()
  }
}

/** Collects findings, each place once. */
function collector() {
  const findings: Finding[] = []
  const places = new Set<string>()
  let unlisted = 0
  const add = (finding: Finding): void => {
    if (findings.length >= MAX_FINDINGS) {
      unlisted += 1
      return
    }
    const key = `${finding.kind} ${finding.file ?? ''} ${finding.offset ?? ''}`
    if (places.has(key)) return
    places.add(key)
    findings.push(finding)
  }
  return { findings, add, unlisted: () => unlisted }
}

async function verify(parts: VerifyParts, log: LogContext): Promise<Verification> {
  const { add, findings, unlisted } = collector()
  const { clusterId, logId } = log
  let files = 0
  let frames = 0
  const note = (seen: Inspected): void => {
    if (seen.type === 'frame') frames += 1
    if (seen.type === 'file') {
      if (seen.kind === 'unknown' && !isLock(seen.file)) add(found('foreign', seen.file))
      else if (['segment', 'restart', 'snapshot'].includes(seen.kind)) files += 1
    }
    if (seen.type === 'damage' && !isTemporary(seen.file)) {
      const { file, offset, sizeBytes, code } = seen
      add({ kind: 'damage', file, offset, sizeBytes, code })
    }
  }
  const looked = { ...parts, clusterId, logId }
  for await (const seen of inspectLog(looked)) note(seen)
  const opened = await open(log, parts.signal, (finding) => {
    add(finding)
  })
  // What opening removes does not count any more: leftovers, and a last frame that it takes for a torn one.
  const removed = new Set(findings.filter(({ kind }) => kind === 'leftover' || kind === 'torn').map(({ file }) => file))
  const isDamaged = findings.some(({ kind, file }) => kind === 'damage' && !(opened !== null && removed.has(file)))
  const isTorn = findings.some(({ kind }) => kind === 'torn')
  return {
    verdict: isDamaged || opened === null ? 'damaged' : isTorn ? 'torn' : 'whole',
    clusterId,
    logId,
    files,
    frames,
    ...(opened ?? { entries: 0n, firstIndex: null, lastIndex: null, snapshotAt: null, state: null }),
    findings,
    unlisted: unlisted(),
  }
}

const isLock = (name: string): boolean => name === 'LOCK' || name.startsWith('LOCK.')
const isTemporary = (name: string | null): boolean => name?.endsWith('.tmp') === true

const found = (kind: Finding['kind'], file: string): Finding => ({
  kind,
  file,
  offset: null,
  sizeBytes: null,
  code: null,
})

/** What opening the log and reading it from end to end gives; null, and a finding, if that is refused. */
async function open(
  log: LogContext,
  signal: AbortSignal | undefined,
  add: (finding: Finding) => void,
): Promise<Pick<Verification, 'entries' | 'firstIndex' | 'lastIndex' | 'snapshotAt' | 'state'> | null> {
  const files = readOnlyFiles(log.files, ({ kind, file }) => {
    if (kind === 'remove') add(found('leftover', file))
  })
  try {
    checkRestored(await log.files.list())
    const { segments, terms, snapshot, state, repair } = await scanDirectory({ ...log, files })
    if (repair !== null) add({ ...found('torn', repair.file), sizeBytes: repair.droppedBytes })
    const lastIndex = terms.last().index
    const firstIndex = segments.reduce(
      (least, { header }) => (header.index < least ? header.index : least),
      lastIndex + 1n,
    )
    let entries = 0n
    for await (const batch of replay(log, segments, { from: firstIndex, to: lastIndex, signal })) {
      entries += BigInt(batch.length)
    }
    const snapshotAt = snapshot === null ? null : { index: snapshot.index, term: snapshot.term }
    return { entries, firstIndex, lastIndex, snapshotAt, state }
  } catch (error) {
    if (!(error instanceof RaftLogError)) throw error
    add({
      kind: 'damage',
      file: error.place?.file ?? null,
      offset: error.place?.offset ?? null,
      sizeBytes: null,
      code: error.code,
    })
    return null
  }
}
