import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { link, open, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RaftLogError } from '../errors.ts'
import { isAbsent, isPresent } from './system-error.ts'

const LOCK_NAME = 'LOCK'

/** pid, the process's start in clock ticks, the machine's boot, and a text of this one lock. */
interface Holder {
  readonly pid: number
  readonly text: string
}

const PRIVATE_FILE = 0o600
const MAX_HOLDER_BYTES = 1024
// Each level needs a process that died within the few calls of a breaker.
const LEVELS = 4

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

/** Reads a file that somebody may have replaced: without waiting at a pipe, and no more than a holder has. */
async function readSmall(path: string): Promise<string> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const found = await handle.stat()
    if (!found.isFile() || found.size > MAX_HOLDER_BYTES) {
      throw new RaftLogError('DIRECTORY_UNSAFE', 'name of the lock is taken by something else; remove it')
    }
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}

async function readHolder(path: string): Promise<Holder | null> {
  try {
    const text = await readSmall(path)
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

/** Links `own` under the name `path`: a link appears whole or not at all, so nobody ever reads half a holder. */
async function claim(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path)
    return true
  } catch (error) {
    if (isPresent(error)) return false
    throw error
  }
}

/**
 * Takes the name `path`. The file of a dead holder is removed first, and only by whoever holds the name of the breaker
 * meanwhile: of two that both saw a dead holder, the slower would otherwise remove the file of the quicker. A breaker
 * that died is removed in the same way, one level up.
 */
async function take(own: string, path: string, levels: number): Promise<boolean> {
  if (await claim(own, path)) return true
  const holder = await readHolder(path)
  if (holder === null) return await claim(own, path)
  if (levels === 0 || (await isAlive(holder))) return false
  const breaker = `${path}.break`
  if (!(await take(own, breaker, levels - 1))) return false
  try {
    if ((await readHolder(path))?.text === holder.text) await unlink(path)
  } finally {
    await unlink(breaker)
  }
  return await claim(own, path)
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
  let taken = false
  try {
    await writeFile(own, mine, { mode: PRIVATE_FILE, flag: 'wx' })
    taken = await take(own, path, LEVELS)
    await unlink(own)
  } catch (error) {
    if (taken) await unlink(path).catch(() => undefined)
    await unlink(own).catch(() => undefined)
    throw error
  }
  if (!taken) throw new RaftLogError('LOG_BUSY', 'log is held by another process or handle; close that one first')
  return async () => {
    if ((await readHolder(path))?.text === mine) await unlink(path)
  }
}
