import { checkRestored } from '../backup/restore-mark.ts'
import type { Position } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import { SEGMENT_BYTES } from '../files/file-log.ts'
import type { LogContext } from '../files/log-context.ts'
import type { HardState } from '../format/hard-state.ts'
import type { CipherSuite, LogFiles } from '../ports.ts'
import { planRepair, type RepairPlan } from './repair-plan.ts'
import { surveyForRepair } from './repair-survey.ts'
import { type Salvaged, writeRepaired, writeSalvage } from './repair-write.ts'
import { openForReading, type ToolIdentity, type ToolKeys } from './tool-parts.ts'
import { type Finding, MAX_FINDINGS, verifyLog } from './verify-log.ts'

/** What {@link repairLog} works on. */
export interface RepairParts extends ToolIdentity {
  /** The damaged log. Nothing in it is changed. */
  readonly files: LogFiles
  /** Where the repaired log goes: absent or empty. Not to be used before the repair is done. */
  readonly target: LogFiles
  /** Where the intact rest goes: absent or empty, and not the target. */
  readonly salvage: LogFiles
  readonly suite: CipherSuite
  /** What is written is sealed under the same data key, so that the key ring stays as it is. */
  readonly keys: ToolKeys
  /** As for {@link verifyLog}. */
  readonly lock?: 'taken' | 'none'
  readonly signal?: AbortSignal
}

/** What {@link repairLog} kept, and what it could not. */
export interface RepairReport {
  readonly clusterId: string
  readonly logId: string
  /** The repaired log, or null if nothing stands on a beginning: then there is nothing in the target. */
  readonly log: {
    readonly firstIndex: bigint
    readonly lastIndex: bigint
    readonly snapshotAt: Position | null
    /** The newest hard state that was found; its commit never lies behind the last entry. */
    readonly state: HardState | null
  } | null
  /** Intact entries that are not known to go on from the log. */
  readonly salvaged: readonly Salvaged[]
  /** Indices that are in neither. `to` is null if nobody knows how many there were: none, perhaps. */
  readonly lost: readonly { readonly from: bigint; readonly to: bigint | null }[]
  /**
   * From this index on, the log may hold entries that a lost segment had replaced: it is then a state that the log once
   * had. Null if that cannot be.
   */
  readonly possiblyReplacedFrom: bigint | null
  /** Every damaged place: dropped, unless it could be mended. */
  readonly dropped: readonly Finding[]
  /** Places beyond {@link MAX_FINDINGS}. */
  readonly unlisted: number
}

/**
 * Makes a log that is whole out of one that is damaged, in another directory.
 *
 * The repaired log reaches from a beginning (the first entry, or the newest whole snapshot) to the first place that
 * cannot be proven, and never over a hole. Every intact entry behind a hole goes into a file of its own, sealed, with a
 * name that no log takes for one of its own. Every frame is authenticated in its place before it counts. The result is
 * verified before this resolves. Memory is bounded as in {@link verifyLog}, and by the snapshot (at most 1 GiB).
 *
 * **A repaired log may have forgotten what was acknowledged.** A Raft node that goes on with it can break what it
 * promised to the others: take it out of its cluster and let it join anew, unless it is the only one.
 *
 * @returns The report, with every place that is damaged.
 * @throws {@link RaftLogError} `LOG_MISSING` if there is nothing that can be proven, `LOG_BUSY` if a process holds the log,
 * `LOG_EXISTS` if the target or the salvage directory is not empty, `RESTORE_UNFINISHED` if the log is half of a restored
 * one, `KEYS_LOCKED`, `KEYS_WRONG`, `KEYS_MALFORMED`,
 * `DISK_FULL`, `DIRECTORY_UNSAFE`, `DIRECTORY_UNWRITABLE`, `LOG_FAILED` if a disk fails or the log changes meanwhile.
 */
export async function repairLog(parts: RepairParts): Promise<RepairReport> {
  if (!(await parts.files.enter({ create: false }))) {
    throw new RaftLogError('LOG_MISSING', 'directory does not exist; give the right one')
  }
  for (const files of [parts.target, parts.salvage]) await checkEmpty(files)
  const unlock = parts.lock === 'none' ? null : await parts.files.lock()
  try {
    // What was never written can neither be salvaged nor missed.
    checkRestored(await parts.files.list())
    const log = await openForReading(parts, parts.keys, parts)
    try {
      return await repair(parts, log)
    } finally {
      log.keys.close()
    }
  } finally {
    await unlock?.()
  }
}

async function checkEmpty(files: LogFiles): Promise<void> {
  if (!(await files.enter({ create: false }))) return
  if ((await files.list()).length === 0) return
  throw new RaftLogError('LOG_EXISTS', 'directory for the result is not empty; give a new one')
}

async function repair(parts: RepairParts, log: LogContext): Promise<RepairReport> {
  const { target, salvage, signal } = parts
  const dropped: Finding[] = []
  let unlisted = 0
  const lost = (part: Omit<Finding, 'kind'>): void => {
    if (dropped.length < MAX_FINDINGS) dropped.push({ kind: 'damage', ...part })
    else unlisted += 1
  }
  const survey = await surveyForRepair(log, { lost, signal })
  const plan = planRepair(survey)
  if (plan.log === null && plan.salvage.length === 0) {
    throw new RaftLogError('LOG_MISSING', 'nothing in the directory can be proven under these keys; restore a backup')
  }

  const salvaged: Salvaged[] = []
  if (plan.salvage.length > 0) await salvage.enter({ create: true })
  for (const [at, stretch] of plan.salvage.entries()) {
    salvaged.push(await writeSalvage(log, salvage, stretch, { number: at + 1, signal }))
  }
  const { clusterId, logId } = log
  const kept = plan.log === null ? null : await writeAndVerify({ ...parts, clusterId, logId }, log, plan.log)
  if (kept !== null) await target.syncDirectory()
  return {
    clusterId,
    logId,
    log: kept,
    salvaged,
    lost: plan.lost,
    possiblyReplacedFrom: plan.possiblyReplacedFrom,
    dropped,
    unlisted,
  }
}

async function writeAndVerify(
  parts: RepairParts,
  log: LogContext,
  plan: NonNullable<RepairPlan['log']>,
): Promise<NonNullable<RepairReport['log']>> {
  const { target, signal } = parts
  await target.enter({ create: true })
  await writeRepaired(log, target, plan, { segmentBytes: SEGMENT_BYTES, signal })
  const { verdict, firstIndex, lastIndex, snapshotAt, state } = await verifyLog({
    ...parts,
    files: target,
    lock: 'none',
  })
  if (verdict !== 'whole' || firstIndex !== plan.before.index + 1n || lastIndex !== plan.lastIndex) {
    throw new RaftLogError(
      'LOG_FAILED',
      'repaired log does not verify; check the disk and repeat into another directory',
    )
  }
  return { firstIndex, lastIndex, snapshotAt, state }
}
