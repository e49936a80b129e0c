import { SecretsError } from './errors.ts'

/** Linux allows 32 swap areas and some thousands of mounts; a text beyond this is not what it says it is. */
export const MAX_PROC_TEXT_LENGTH = 8_388_608

/** One line of `/proc/swaps`. */
export interface SwapArea {
  readonly path: string
  readonly sizeBytes: number
  readonly usedBytes: number
}

/** One line of `/proc/self/mountinfo`, the parts that matter here. */
export interface MountEntry {
  readonly mountPoint: string
  readonly fileSystem: string
  /** Options of the mount and of its file system together. */
  readonly options: readonly string[]
}

const refuse = (what: string): SecretsError =>
  new SecretsError(
    'PROC_TEXT_INVALID',
    `the text is not the kernel's list of ${what}; read it from /proc of this machine`,
  )

/** The kernel writes space, tab, newline and backslash as three octal digits. */
const unescape = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))

function linesOf(text: string, what: string): readonly string[] {
  if (text.length > MAX_PROC_TEXT_LENGTH) throw refuse(what)
  return text.split('\n').filter((line) => line !== '')
}

/**
 * Reads `/proc/swaps`: which areas memory may be written to, tmpfs included.
 *
 * @throws {@link SecretsError} `PROC_TEXT_INVALID` when the text has another form.
 */
export function parseSwaps(text: string): readonly SwapArea[] {
  const [head, ...lines] = linesOf(text, 'swap areas')
  if (head === undefined || !/^Filename\s+Type\s+Size\s+Used\s+Priority\s*$/.test(head)) throw refuse('swap areas')
  return lines.map((line) => {
    const [, path, size, used] = /^(\S+)\s+\S+\s+(\d{1,15})\s+(\d{1,15})\s+-?\d{1,10}\s*$/.exec(line) ?? []
    if (path === undefined) throw refuse('swap areas')
    return { path: unescape(path), sizeBytes: Number(size) * 1024, usedBytes: Number(used) * 1024 }
  })
}

/**
 * Reads `/proc/self/mountinfo`.
 *
 * @throws {@link SecretsError} `PROC_TEXT_INVALID` when a line has another form.
 * @see proc_pid_mountinfo(5)
 */
export function parseMountInfo(text: string): readonly MountEntry[] {
  return linesOf(text, 'mounts').map((line) => {
    const fields = line.split(' ')
    const dash = fields.indexOf('-', 6)
    const mountPoint = fields[4]
    const options = fields[5]
    const fileSystem = fields[dash + 1]
    const superOptions = fields[dash + 3]
    if (
      dash < 0 ||
      fields.length !== dash + 4 ||
      mountPoint?.startsWith('/') !== true ||
      options === undefined ||
      fileSystem === undefined ||
      superOptions === undefined
    ) {
      throw refuse('mounts')
    }
    return {
      mountPoint: unescape(mountPoint),
      fileSystem,
      options: [...options.split(','), ...superOptions.split(',')],
    }
  })
}

/**
 * The mount that a path lies on: the last listed of the longest mount points above it.
 *
 * @param path - Absolute, without symbolic links.
 * @returns `null` if none does.
 */
export function mountOf(entries: readonly MountEntry[], path: string): MountEntry | null {
  let found: MountEntry | null = null
  for (const entry of entries) {
    const { mountPoint } = entry
    const above = mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`)
    if (above && mountPoint.length >= (found?.mountPoint.length ?? 0)) found = entry
  }
  return found
}
