import { randomBytes } from 'node:crypto'
import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RaftLogError } from '../errors.ts'
import { isAbsent, isPresent } from './system-error.ts'

/** Name of the lock file in a log directory. */
export const LOCK_NAME = 'LOCK'

/** pid, the process's start in clock ticks, the machine's boot, and a text of this one lock. */
interface Holder {
  readonly pid: number
  readonly text: string
}

const PRIVATE_FILE = 0o600
const ATTEMPTS = 8

/** Field 22 of /proc/PID/stat; the name before it may hold anything, but ends with the last parenthesis. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

const bootId = async (): Promise<string> =>
  (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')).trim()

async function describeMyself(): Promise<string> {
  return `${process.pid} ${await startOf(process.pid)} ${await bootId()} ${randomBytes(12).toString('hex')}\n`
}

async function readHolder(path: string): Promise<Holder | null> {
  try {
    const text = await readFile(path, 'utf8')
    return { pid: Number.parseInt(text, 10), text }
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
}

/** Whether the holder still runs: same boot, a live process of that number, and the same start, not a later namesake. */
async function isAlive({ pid, text }: Holder): Promise<boolean> {
  const [, start, boot] = text.split(' ')
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  const now = await bootId()
  if (boot !== undefined && boot !== '' && now !== '' && boot !== now) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
  const seen = await startOf(pid)
  return start === undefined || start === '' || seen === '' || start === seen
}

/** Moves a dead holder's file away; puts it back if it turns out to be another one by now. */
async function clearAway(path: string, dead: Holder, aside: string): Promise<void> {
  try {
    await rename(path, aside)
  } catch (error) {
    if (isAbsent(error)) return
    throw error
  }
  if ((await readHolder(aside))?.text !== dead.text) await link(aside, path).catch(() => undefined)
  await unlink(aside)
}

/**
 * Takes a directory for this process alone, by a file that says who holds it. The file of a process that is gone (also
 * of one with the same number before a restart) does not count. It guards against a second process on the same machine
 * that sees the same process numbers; it is no lock between machines.
 *
 * @throws {@link RaftLogError} `LOG_BUSY` if it is taken.
 */
export async function lockDirectory(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, LOCK_NAME)
  const mine = await describeMyself()
  const own = `${path}.${randomBytes(8).toString('hex')}`
  await writeFile(own, mine, { mode: PRIVATE_FILE, flag: 'wx' })
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      try {
        // A link appears whole or not at all, so nobody ever reads half a holder.
        await link(own, path)
        return async () => {
          if ((await readHolder(path))?.text === mine) await unlink(path)
        }
      } catch (error) {
        if (!isPresent(error)) throw error
      }
      const holder = await readHolder(path)
      if (holder === null) continue
      if (await isAlive(holder)) break
      await clearAway(path, holder, `${own}.dead`)
    }
  } finally {
    await unlink(own)
  }
  throw new RaftLogError('LOG_BUSY', 'log is held by another process or handle; close that one first')
}
