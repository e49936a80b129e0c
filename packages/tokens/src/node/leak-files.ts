import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises'
import { redact } from '../leaks/leak-redaction.ts'
import { createByteScanner } from './leak-bytes.ts'
import { type FileFinding, leaksInName, type UnreadReason } from './leak-finding.ts'

/** 16 GiB. Whole disk images fit; a sparse file that claims to have terabytes does not keep a commit waiting for an hour. */
export const MAX_SCANNED_FILE_BYTES: number = 16 * 2 ** 30

const CHUNK_BYTES = 1 << 18
// What is opened is what was looked at: no link that was put in its place meanwhile, and no waiting for the other end of a pipe.
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** How {@link scanFiles} goes about it. */
export interface ScanFilesOptions {
  readonly signal: AbortSignal
  /** A file beyond this size is told as `too-large`; {@link MAX_SCANNED_FILE_BYTES} unless said otherwise. */
  readonly maxFileBytes?: number
}

interface Place {
  /** As the system has it: a name need not be UTF-8. */
  readonly bytes: Buffer
  /** The same to be shown, which may be another path. */
  readonly path: string
  /** How much of the path is its own name and not that of a directory which was visited before. */
  readonly nameLength: number
  readonly named: boolean
}

/**
 * Finds leaks in files, and in the names of files.
 *
 * Directories are walked to their end, in the order of names, hidden ones too. Files of any kind are read, byte by byte and in constant
 * memory, whatever their names are made of. Symbolic links are not followed, and pipes, sockets and devices are not opened: met on the way they are passed over, named in
 * `paths` they are told as unread. Trouble with one file is told and does not end the scan.
 *
 * @param paths - Files and directories.
 * @returns An iterator driven by the caller. No path or leak in it holds a secret.
 * @throws RangeError if `maxFileBytes` is not a whole number from 0.
 */
export async function* scanFiles(
  paths: Iterable<string>,
  options: ScanFilesOptions,
): AsyncGenerator<FileFinding, void, void> {
  const { signal, maxFileBytes = MAX_SCANNED_FILE_BYTES } = options
  if (!Number.isSafeInteger(maxFileBytes) || maxFileBytes < 0) {
    throw new RangeError('maxFileBytes is not a whole number from 0')
  }
  for (const path of paths) {
    const ahead: Place[] = [{ bytes: Buffer.from(path), path, nameLength: path.length, named: true }]
    for (let place = ahead.pop(); place !== undefined; place = ahead.pop()) {
      signal.throwIfAborted()
      yield* leaksInName(place.path, place.nameLength)
      const shown = redact(place.path)
      try {
        const status = await lstat(place.bytes)
        if (status.isDirectory()) {
          ahead.push(...(await entriesOf(place)))
        } else if (status.isFile()) {
          yield* scanFile(place.bytes, shown, signal, maxFileBytes)
        } else if (place.named) {
          yield { type: 'unread', path: shown, reason: status.isSymbolicLink() ? 'symbolic-link' : 'special-file' }
        }
      } catch (error) {
        signal.throwIfAborted()
        yield { type: 'unread', path: shown, reason: reasonOf(error) }
      }
    }
  }
}

/** What stands in a directory, in the order in which it is taken from the end of a list. */
async function entriesOf({ bytes, path }: Place): Promise<readonly Place[]> {
  const names = await readdir(bytes, { encoding: 'buffer' })
  // Not `join`, which shortens `link/..` to another directory.
  const slash = path.endsWith('/') ? '' : '/'
  return names
    .sort((a, b) => b.compare(a))
    .map((name) => {
      const text = name.toString()
      const inside = Buffer.concat([bytes, Buffer.from(slash), name])
      return { bytes: inside, path: path + slash + text, nameLength: text.length, named: false }
    })
}

async function* scanFile(
  path: Buffer,
  shown: string,
  signal: AbortSignal,
  maxBytes: number,
): AsyncGenerator<FileFinding, void, void> {
  const file = await open(path, OPEN_FLAGS)
  try {
    const status = await file.stat()
    if (!status.isFile()) return yield { type: 'unread', path: shown, reason: 'special-file' }
    if (status.size > maxBytes) return yield { type: 'unread', path: shown, reason: 'too-large' }
    const scanner = createByteScanner()
    let bytes = 0
    for await (const chunk of chunksOf(file)) {
      signal.throwIfAborted()
      bytes += chunk.length
      // It may grow while it is read, and some files of the kernel claim to have no size at all.
      if (bytes > maxBytes) return yield { type: 'unread', path: shown, reason: 'too-large' }
      for (const leak of scanner.push(chunk)) yield { type: 'leak', path: shown, place: 'content', leak }
    }
    yield { type: 'scanned', path: shown, bytes }
  } finally {
    await file.close()
  }
}

/** One buffer throughout: a chunk is valid until the next one is asked for. */
async function* chunksOf(file: FileHandle): AsyncGenerator<Buffer, void, void> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

function reasonOf(error: unknown): UnreadReason {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'absent'
  if (code === 'EACCES' || code === 'EPERM') return 'denied'
  return code === 'ELOOP' ? 'symbolic-link' : 'failed'
}
