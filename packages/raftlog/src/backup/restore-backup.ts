import type { Entry, Position } from '../entry.ts'
import { MAX_ENTRY_BYTES, MAX_FRAME_ENTRIES } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import { createSealedLog, type SealedLogParts } from '../files/file-log.ts'
import { parseFileName } from '../format/file-names.ts'
import { formatHex } from '../format/hex.ts'
import { equalBytes } from '../keepers/equal-bytes.ts'
import type { KeyWrapper, LogFiles } from '../ports.ts'
import type { SealedLog } from '../sealed-log.ts'
import type { BackupAbout, BackupCompanion } from './about.ts'
import type { BackupHeader } from './backup-header.ts'
import { putMark, RESTORE_MARK_NAME, takeMark } from './restore-mark.ts'
import { type BackupStep, walkBackup } from './walk-backup.ts'

/** How to restore a backup. */
export interface RestoreOptions {
  /** Opens the backup's key. */
  readonly wrapper: KeyWrapper
  /**
   * The log to make: its directory empty or cut short in an earlier restore, its key store empty or of that restore. The
   * cluster is that of the backup; another log id makes another log of it, which no anchor of the first one knows.
   */
  readonly log: Omit<SealedLogParts, 'anchoring'>
  /**
   * The digest that was noted when it was made; another backup is refused. Wherever others can wrap a key for `wrapper`
   * (age recipients are no secret), it alone says who made the backup.
   */
  readonly digest?: Uint8Array
  readonly signal?: AbortSignal
}

/** What was restored beside the log. */
export interface RestoredBackup {
  readonly header: BackupHeader
  /** The key ring of the log that was backed up, for what may be left of its disk; the restored log has keys of its own. */
  readonly ring: Uint8Array<ArrayBuffer> | null
  readonly companions: readonly BackupCompanion[]
  readonly digest: Uint8Array<ArrayBuffer>
}

// Enough to keep the disk busy, and not more than a few parts in memory.
const MAX_WAITING = 4

/** Makes room: an empty directory, or one that an earlier restore has marked as its own. */
async function prepare(files: LogFiles): Promise<void> {
  const names = await files.list()
  const isOurs = names.includes(RESTORE_MARK_NAME)
  // The lock of this very process stands in the directory.
  const others = names.filter((name) => !/^LOCK(?:\.|$)/.test(name))
  if (!isOurs && others.length > 0) {
    throw new RaftLogError('LOG_EXISTS', 'directory to restore into is not empty; give one that is')
  }
  for (const name of others) if (parseFileName(name) !== null) await files.remove(name)
}

/** The files as the log that is being made sees them: held already, and without the mark. */
const inside = (files: LogFiles): LogFiles => ({
  ...files,
  lock: () => Promise.resolve(() => Promise.resolve()),
  list: async () => (await files.list()).filter((name) => name !== RESTORE_MARK_NAME),
})

/** Appends of one term each, as large as an append may be. */
function runsOf(entries: readonly Entry[]): readonly (readonly Entry[])[] {
  const runs: Entry[][] = []
  let size = 0
  for (const entry of entries) {
    const run = runs.at(-1)
    size += entry.data.length
    const fits = run?.[0]?.term === entry.term && run.length < MAX_FRAME_ENTRIES && size <= MAX_ENTRY_BYTES
    if (fits) run.push(entry)
    else {
      runs.push([entry])
      size = entry.data.length
    }
  }
  return runs
}

/** Writes the parts of a backup into a fresh log. */
function importer(log: SealedLog, { snapshot }: BackupHeader) {
  const pieces: Uint8Array[] = []
  const waiting: Promise<unknown>[] = []
  let isInstalled = snapshot === null
  const install = async (at: Position): Promise<void> => {
    const data = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0))
    let from = 0
    for (const piece of pieces.splice(0)) {
      data.set(piece, from)
      from += piece.length
    }
    await log.installSnapshot({ ...at, data })
    isInstalled = true
  }
  const settle = async (most: number): Promise<void> => {
    while (waiting.length > most) await waiting.shift()
  }
  return {
    take: async (step: BackupStep): Promise<void> => {
      if (step.kind === 'snapshot') pieces.push(step.data)
      if (step.kind !== 'entries') return
      if (snapshot !== null && !isInstalled) await install(snapshot)
      for (const run of runsOf(step.entries)) {
        const appended = log.append(
          run.map(({ data }) => data),
          { term: run[0]?.term ?? 1n },
        )
        // Waited for below; a failure must not count as unheard until then.
        appended.catch(() => undefined)
        waiting.push(appended)
      }
      await settle(MAX_WAITING)
    },
    finish: async (about: BackupAbout | null): Promise<void> => {
      if (snapshot !== null && !isInstalled) await install(snapshot)
      await settle(0)
      if (about?.state != null) await log.saveState(about.state)
    },
  }
}

/**
 * Makes a log out of a backup: in an empty directory, under fresh data keys.
 *
 * Until all of it is durable and the backup proven to its last byte, a mark in the directory says that it is half of a
 * log, and it opens as no log. Cut short at any point, the restore is simply repeated. It asks no anchor: one that knows the
 * log refuses it as rolled back when it is opened, until an operator accepts it there; a log of a new id begins a new one.
 *
 * A Raft node that is restored has forgotten whom it voted for since: it belongs into its cluster as a new member.
 *
 * @throws {@link RaftLogError} `BACKUP_NOT_AUTHENTIC` also if it is not the one of `digest`: the mark stays then.
 * `LOG_EXISTS` if the directory is not empty, `LOG_FOREIGN` if the backup is of another
 * cluster, `KEYS_WRONG`, `BACKUP_MALFORMED`, `BACKUP_TRUNCATED`, `BACKUP_NOT_AUTHENTIC`, `RECORD_UNSUPPORTED_VERSION`, and
 * what creating a log throws.
 */
export async function restoreBackup(
  source: AsyncIterable<Uint8Array>,
  options: RestoreOptions,
): Promise<RestoredBackup> {
  const { wrapper, log: parts, signal } = options
  const { files, suite, clusterId } = parts
  const steps = walkBackup(source, { suite, wrapper, signal })
  const companions: BackupCompanion[] = []
  let about: BackupAbout | null = null
  let digest: Uint8Array<ArrayBuffer> | null = null
  try {
    // The header first, and with it the key: whoever has the wrong one changes nothing.
    const first = await steps.next()
    if (first.done === true || first.value.kind !== 'header') {
      throw new RaftLogError('BACKUP_TRUNCATED', 'backup is empty; use a whole copy')
    }
    const { header } = first.value
    if (header.clusterId !== clusterId) {
      throw new RaftLogError('LOG_FOREIGN', 'backup belongs to another cluster; give the id of its own')
    }
    await files.enter({ create: true })
    const unlock = await files.lock()
    try {
      await prepare(files)
      await putMark(files, `restoring backup ${formatHex(header.backupId)} of log ${header.logId}; restore it again\n`)
      const log = await createSealedLog({ ...parts, files: inside(files) })
      try {
        const into = importer(log, header)
        for await (const step of steps) {
          if (step.kind === 'about') about = step.about
          else if (step.kind === 'companion') companions.push(step.companion)
          else if (step.kind === 'end') digest = step.digest
          else await into.take(step)
        }
        await into.finish(about)
      } finally {
        await log.close()
      }
      if (digest === null) throw new RaftLogError('BACKUP_TRUNCATED', 'backup ends too early; use a whole copy')
      if (options.digest !== undefined && !equalBytes(options.digest, digest)) {
        throw new RaftLogError('BACKUP_NOT_AUTHENTIC', 'backup is not the one whose digest was noted; use that one')
      }
      await takeMark(files)
      return { header, ring: about?.ring ?? null, companions, digest }
    } finally {
      await unlock()
    }
  } finally {
    await steps.return()
  }
}
