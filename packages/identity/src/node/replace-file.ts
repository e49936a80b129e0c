import { Buffer } from 'node:buffer'
import { basename, dirname, join } from 'node:path'
import type { RandomSource } from '../ports.ts'
import type { Files } from './files.ts'

const SUFFIX_BYTES = 8

const temporaryPrefix = (path: string): string => `.${basename(path)}.tmp-`

async function written(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  const file = await files.create(path)
  try {
    await file.write(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Gives `path` new content in one step: a reader, and a machine that starts again after power failed anywhere in between, finds the
 * old content or the new one. Durable before the promise resolves; when it rejects, which of the two is there is not promised.
 */
export async function replaceFile(files: Files, path: string, bytes: Uint8Array, random: RandomSource): Promise<void> {
  const temporary = join(dirname(path), temporaryPrefix(path) + Buffer.from(random.bytes(SUFFIX_BYTES)).toString('hex'))
  try {
    await written(files, temporary, bytes)
    await files.rename(temporary, path)
  } catch (error) {
    // What cannot be removed now is removed when the file is opened the next time; the first error says more.
    await files.remove(temporary).catch(() => undefined)
    throw error
  }
  await files.syncDirectory(dirname(path))
}

/** Removes what replacements of `path` left behind when they were cut short. No other process may be replacing it. */
export async function removeLeftovers(files: Files, path: string): Promise<void> {
  const directory = dirname(path)
  const prefix = temporaryPrefix(path)
  for (const name of await files.list(directory)) if (name.startsWith(prefix)) await files.remove(join(directory, name))
}
