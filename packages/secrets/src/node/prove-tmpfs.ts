import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  statfsSync,
} from 'node:fs'
import { dirname, isAbsolute, resolve } from 'node:path'
import { SecretsError } from '../errors.ts'
import { mountOf, parseMountInfo } from '../proc-text.ts'
import { swapActive } from './swap.ts'
import { systemCode } from './system-error.ts'

/** `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2): the two file systems of Linux that are memory and nothing else. */
const MEMORY_FILE_SYSTEMS: ReadonlyMap<number, 'tmpfs' | 'ramfs'> = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
])

const STICKY = 0o1000
const WRITABLE_BY_OTHERS = 0o022

/** A directory that was opened and proven. */
export interface ProvenDirectory {
  /** Holds the directory itself, whatever happens to its name. */
  readonly descriptor: number
  readonly kind: 'tmpfs' | 'ramfs'
  /** Whether its pages may reach a swap area: never on ramfs or with the `noswap` option. */
  readonly swappable: boolean
}

const unsafe = (message: string): SecretsError => new SecretsError('MOUNT_UNSAFE', message)

/** Nobody but us and root may be able to put another directory in the place of one above ours. */
function checkAncestors(path: string, uid: number): void {
  for (let at = dirname(path); ; at = dirname(at)) {
    const stat = lstatSync(at)
    if (stat.isSymbolicLink())
      throw unsafe('a directory above the delivery root is a symbolic link; give the real path')
    if (stat.uid !== 0 && stat.uid !== uid)
      throw unsafe('a directory above the delivery root belongs to another user; choose a place of your own')
    if ((stat.mode & WRITABLE_BY_OTHERS) !== 0 && (stat.mode & STICKY) === 0) {
      throw unsafe('a directory above the delivery root is writable by others; choose another place')
    }
    if (at === dirname(at)) return
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ELOOP' || code === 'ENOTDIR')
      throw unsafe('the delivery root is a symbolic link or no directory; give a real directory')
    throw error
  }
}

/** A directory that was made here and then refused must not stay. */
function takeBack(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // Somebody else has put something there; the refusal itself matters more.
  }
}

/** Looks at what was opened, not at what has the name now. */
function examine(descriptor: number, path: string, mode: 0o700 | 0o711, uid: number): ProvenDirectory {
  const anchor = `/proc/self/fd/${descriptor}`
  if (readlinkSync(anchor) !== path) throw unsafe('the path of the delivery root leads elsewhere; give the real path')
  const kind = MEMORY_FILE_SYSTEMS.get(statfsSync(anchor).type)
  if (kind === undefined)
    throw new SecretsError(
      'NOT_TMPFS',
      'the delivery root is not on tmpfs or ramfs; choose a directory that is memory only',
    )
  const stat = fstatSync(descriptor)
  if (stat.uid !== uid) throw unsafe('the delivery root belongs to another user; choose a directory of your own')
  const bits = stat.mode & 0o7777
  if (bits !== 0o700 && bits !== 0o711)
    throw unsafe('the delivery root has other permissions than 0700; correct them, or let it be made')
  if (bits !== mode) fchmodSync(descriptor, mode)
  const entry = mountOf(parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8')), path)
  const pinned = kind === 'ramfs' || entry?.options.includes('noswap') === true
  return { descriptor, kind, swappable: !pinned && swapActive() }
}

/**
 * Makes the directory if it is missing (its parent must exist), opens it, and proves that it is memory, ours, closed to others,
 * and reached without a symbolic link.
 */
export function proveTmpfs(path: string, mode: 0o700 | 0o711): ProvenDirectory {
  if (!isAbsolute(path) || resolve(path) !== path)
    throw new TypeError('expected the absolute, normal path of the delivery root')
  const uid = process.geteuid?.() ?? -1
  let descriptor: number | null = null
  let made = false
  try {
    checkAncestors(path, uid)
    try {
      mkdirSync(path, 0o700)
      made = true
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error
    }
    descriptor = openDirectory(path)
    return examine(descriptor, path, mode, uid)
  } catch (error) {
    if (descriptor !== null) closeSync(descriptor)
    if (made) takeBack(path)
    const code = systemCode(error)
    if (code === null) throw error
    throw new SecretsError(
      'MOUNT_FAILED',
      `the delivery root cannot be opened (${code}); check that its parent exists and is yours`,
      { cause: error },
    )
  }
}
