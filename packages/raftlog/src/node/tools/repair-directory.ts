import { randomBytes } from 'node:crypto'
import { realpath, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { RaftLogError } from '../../errors.ts'
import type { LogFiles } from '../../ports.ts'
import { type RepairParts, type RepairReport, repairLog } from '../../tools/repair-log.ts'
import { nodeCipherSuite } from '../cipher-suite.ts'
import { nodeFiles } from '../node-files.ts'
import { syncDirectory } from '../safe-directory.ts'
import { guarded } from '../system-error.ts'

/** What {@link repairDirectory} works on. */
export interface RepairDirectoryOptions extends Omit<RepairParts, 'files' | 'target' | 'salvage' | 'suite'> {
  /** The damaged log; it stays as it is. */
  readonly directory: string
  /** Where the repaired log goes: absent or empty; its parent must exist. */
  readonly out: string
  /** Where the intact rest goes, likewise. */
  readonly salvage: string
}

/** Where a path leads to, also if its last part is not there yet. */
async function realPath(path: string): Promise<string> {
  const whole = resolve(path)
  try {
    return await realpath(whole)
  } catch {
    const above = dirname(whole)
    return above === whole ? whole : join(await realPath(above), basename(whole))
  }
}

/** A directory that gets its name when all of it is there. */
interface Unfinished {
  readonly files: LogFiles
  readonly publish: () => Promise<void>
  readonly discard: () => Promise<void>
}

async function unfinished(path: string): Promise<Unfinished> {
  const wanted = resolve(path)
  const taken = nodeFiles(wanted)
  if ((await taken.enter({ create: false })) && (await taken.list()).length > 0) {
    throw new RaftLogError('LOG_EXISTS', 'directory for the result is not empty; give a new one')
  }
  const temporary = `${wanted}.unfinished-${randomBytes(8).toString('hex')}`
  return {
    files: nodeFiles(temporary),
    publish: async () => {
      await guarded(async () => {
        await rename(temporary, wanted)
        await syncDirectory(dirname(wanted))
      })
    },
    discard: async () => {
      await guarded(async () => {
        await rm(temporary, { recursive: true, force: true })
      })
    },
  }
}

/**
 * Repairs the log of one directory into another one; see {@link repairLog}. The new directories appear under their names
 * when they are complete and verified, the salvage before the log. If this is cut short, what is left has a name that ends
 * with `.unfinished-` and 16 digits, and may be removed.
 *
 * @throws {@link RaftLogError} as {@link repairLog}.
 * @throws RangeError if one of the three directories is another one, or lies in it.
 */
export async function repairDirectory(options: RepairDirectoryOptions): Promise<RepairReport> {
  const { directory, out, salvage, ...parts } = options
  const paths = await Promise.all([directory, out, salvage].map(realPath))
  if (paths.some((one, at) => paths.some((other, nth) => nth !== at && `${one}${sep}`.startsWith(`${other}${sep}`)))) {
    throw new RangeError('log, result and salvage must be three directories, none of them in another one')
  }
  const target = await unfinished(out)
  const rest = await unfinished(salvage)
  try {
    const report = await repairLog({
      ...parts,
      files: nodeFiles(directory),
      target: target.files,
      salvage: rest.files,
      suite: nodeCipherSuite,
    })
    if (report.salvaged.length > 0) await rest.publish()
    if (report.log !== null) await target.publish()
    return report
  } finally {
    // Nothing is there any more under these names once it is published.
    await target.discard()
    await rest.discard()
  }
}
