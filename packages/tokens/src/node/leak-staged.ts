import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { redact } from '../leaks/leak-redaction.ts'
import { byteReader } from './leak-byte-reader.ts'
import { createByteScanner } from './leak-bytes.ts'
import { type FileFinding, leaksInName } from './leak-finding.ts'

const SUBMODULE_MODE = '160000'
// `:<old mode> <new mode> <old object> <new object> <status>`, then the path, each ended by a zero byte.
const STAGED = /^:[0-7]{6} ([0-7]{6}) [0-9a-f]+ ([0-9a-f]+) [A-Z][0-9]*$/
const LIST_STAGED = [
  // The configuration of whoever commits must not hide a file from the list.
  ...['--literal-pathspecs', '-c', 'diff.relative=false', '-c', 'diff.ignoreSubmodules=none'],
  ...[
    'diff',
    '--cached',
    '--raw',
    '-z',
    '--no-abbrev',
    '--no-renames',
    '--no-ext-diff',
    '--no-color',
    '--diff-filter=d',
  ],
]

/** A file as the next commit would hold it. */
export interface StagedFile {
  /** From the top of the work tree. */
  readonly path: string
  /** Git's name for its content; `null` for a submodule, whose content belongs to another repository. */
  readonly object: string | null
}

/** What differs from the last commit and is not deleted; `null` when git is not there or cannot say. */
export async function listStaged(
  paths: readonly string[],
  options: { readonly signal: AbortSignal },
): Promise<readonly StagedFile[] | null> {
  const git = spawn('git', [...LIST_STAGED, '--', ...paths], { stdio: ['ignore', 'pipe', 'ignore'] })
  const chunks: Buffer[] = []
  git.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  const status = await ended(git, options.signal)
  if (status !== 0) return null
  const fields = Buffer.concat(chunks).toString().split('\0')
  const staged: StagedFile[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [, mode, object] = STAGED.exec(fields[at] ?? '') ?? []
    const path = fields[at + 1]
    if (mode === undefined || object === undefined || path === undefined) return null
    staged.push({ path, object: mode === SUBMODULE_MODE ? null : object })
  }
  return staged
}

/** Like `scanFiles`, for what is staged: the content is git's own, whatever lies in the work tree by now. */
export async function* scanStaged(
  files: readonly StagedFile[],
  options: { readonly signal: AbortSignal },
): AsyncGenerator<FileFinding, void, void> {
  const { signal } = options
  const git = spawn('git', ['--no-replace-objects', 'cat-file', '--batch'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const end = ended(git, signal).catch(() => null) // told below, where it is waited for
  try {
    // A git that ended early is noticed where its answer is missing.
    git.stdin.on('error', () => undefined)
    git.stdin.end(files.map(({ object }) => (object === null ? '' : `${object}\n`)).join(''))
    const reader = byteReader(git.stdout)
    for (const { path, object } of files) {
      signal.throwIfAborted()
      yield* leaksInName(path)
      if (object === null) continue
      const shown = redact(path)
      // `<object> blob <size>`, the content, a line feed; or `<object> missing`.
      const [, size] = / blob ([0-9]+)$/.exec((await reader.line()) ?? '') ?? []
      if (size === undefined) {
        signal.throwIfAborted()
        yield { type: 'unread', path: shown, reason: 'failed' }
        continue
      }
      const scanner = createByteScanner()
      let left = Number(size)
      while (left > 0) {
        const chunk = await reader.some(left)
        signal.throwIfAborted()
        if (chunk === null) break
        for (const leak of scanner.push(chunk)) yield { type: 'leak', path: shown, place: 'content', leak }
        left -= chunk.length
      }
      if (left > 0 || (await reader.line()) !== '') yield { type: 'unread', path: shown, reason: 'failed' }
      else yield { type: 'scanned', path: shown, bytes: Number(size) }
    }
  } finally {
    git.kill()
    git.stdout.destroy() // unread output would keep it from closing
    await end
  }
}

/** The exit code; `null` when it could not start or was killed. Rejects when the wait is given up, and ends the process then. */
async function ended(git: ChildProcess, signal: AbortSignal): Promise<number | null> {
  const stop = (): void => void git.kill()
  signal.addEventListener('abort', stop, { once: true })
  try {
    const [code] = (await once(git, 'close')) as [number | null]
    signal.throwIfAborted()
    return code
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Error && 'syscall' in error) return null // git is not installed
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
