import { randomUUID } from 'node:crypto'
import { chmodSync, lstatSync, readdirSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { SeenFile } from '../contract/secret-mount.ts'

const TMPFS = 0x01021994

/** Why there is no tmpfs to test on, or `null`. */
export const tmpfsMissing = (): string | null => {
  try {
    return statfsSync('/dev/shm').type === TMPFS ? null : '/dev/shm is not tmpfs here'
  } catch {
    return 'there is no /dev/shm here'
  }
}
export const isRoot = process.geteuid?.() === 0

/** Removes a tree also when its directories are closed to their owner. */
function removeTree(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (stat.isDirectory()) {
    chmodSync(path, 0o700)
    for (const name of readdirSync(path)) removeTree(join(path, name))
  }
  rmSync(path, { recursive: true, force: true })
}

/** A path on tmpfs where nothing is yet, and how to remove whatever was made there. */
export function freshRootUntil(): { readonly path: string; readonly remove: () => void } {
  const path = `/dev/shm/leastwise-test-${randomUUID()}`
  return {
    path,
    remove: () => {
      removeTree(path)
    },
  }
}

/** A path on tmpfs where nothing is yet; whatever is made there goes with the test. */
export function freshRoot(): string {
  const { path, remove } = freshRootUntil()
  onTestFinished(remove)
  return path
}

/** The files of a task, read without the mount. */
export function lookAt(root: string, taskId: string): ReadonlyMap<string, SeenFile> | null {
  const directory = join(root, taskId)
  if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) return null
  return new Map(
    readdirSync(directory)
      .sort()
      .map((name) => [
        name,
        {
          bytes: new Uint8Array(readFileSync(join(directory, name))),
          mode: statSync(join(directory, name)).mode & 0o7777,
        },
      ]),
  )
}
