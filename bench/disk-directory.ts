import { mkdirSync, mkdtempSync, statfsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const TMPFS = 0x01021994

/** A directory on the disk that holds this clone: a temporary one may lie in memory, where syncing costs nothing. */
export function diskDirectory(): string {
  const parent = resolve(import.meta.dirname, '../../.leastwise')
  mkdirSync(parent, { recursive: true })
  if (statfsSync(parent).type === TMPFS)
    console.error('bench: this clone lies in memory, so appends say nothing about a disk')
  return mkdtempSync(join(parent, 'bench-'))
}
