import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { systemCode } from './system-error.ts'

const ZEROS = new Uint8Array(65_536)

// Neither a link nor a pipe that somebody left in the place of a file may lead or hold us up.
const OPEN_FOR_WIPING = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

/** Opens what its own owner may be barred from: a file of 0400, a directory that a task closed. Root passes at once. */
function openAnyway(path: string, flags: number, mode: 0o600 | 0o700): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    if (systemCode(error) !== 'EACCES' || lstatSync(path).isSymbolicLink()) throw error
    chmodSync(path, mode)
    return openSync(path, flags)
  }
}

/** Overwrites the pages in place: whoever still has the file open or mapped sees zeros from here on. */
function overwrite(path: string): void {
  const descriptor = openAnyway(path, OPEN_FOR_WIPING, 0o600)
  try {
    const { size } = fstatSync(descriptor)
    for (let at = 0; at < size; ) at += writeSync(descriptor, ZEROS, 0, Math.min(ZEROS.length, size - at), at)
  } finally {
    closeSync(descriptor)
  }
}

/** Takes a directory back from whoever it was given to, so that nobody else can put anything into it from here on. */
function reclaim(descriptor: number): void {
  const uid = process.geteuid?.() ?? -1
  if (fstatSync(descriptor).uid !== uid) fchownSync(descriptor, uid, -1)
  fchmodSync(descriptor, 0o700)
}

/** Wipes and removes a directory with everything in it. Links are removed, never followed. */
export function wipeDirectory(path: string): void {
  const descriptor = openAnyway(path, OPEN_DIRECTORY, 0o700)
  try {
    reclaim(descriptor)
    const anchor = `/proc/self/fd/${descriptor}`
    for (const entry of readdirSync(anchor, { withFileTypes: true })) {
      const inner = `${anchor}/${entry.name}`
      if (entry.isDirectory()) {
        wipeDirectory(inner)
        continue
      }
      if (entry.isFile()) overwrite(inner)
      unlinkSync(inner)
    }
  } finally {
    closeSync(descriptor)
  }
  rmdirSync(path)
}
