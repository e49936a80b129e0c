import { IdentityError } from '../errors.ts'
import type { EvictionView } from '../eviction/eviction-view.ts'
import { decodeEvictionView, encodeEvictionView, MAX_EVICTION_VIEW_BYTES } from '../eviction/view-codec.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { RandomSource } from '../ports.ts'
import { type Files, systemFiles } from './files.ts'
import { removeLeftovers, replaceFile } from './replace-file.ts'
import { systemDigest, systemRandom } from './system.ts'

/** Where a node keeps what it has heard of evictions, so that it refuses the same peers after a restart, also while no manager can be reached. */
export interface EvictionFile {
  /** What was kept; `null` when there is no file. Rejects with `EVICTION_FILE_MALFORMED` for a damaged one, and with `EVICTION_FILE_FAILED`. */
  readonly load: () => Promise<EvictionView | null>
  /** Replaces it in one step, durable when the promise resolves. Rejects with `EVICTION_FILE_FAILED`. */
  readonly save: (view: EvictionView) => Promise<void>
}

/** Of which cluster, and where. */
export interface EvictionFileOptions {
  readonly clusterId: ClusterId
  readonly files?: Files
  readonly random?: RandomSource
}

const WRITABLE_BY_OTHERS = 0o022

const failed = (cause: unknown): IdentityError =>
  new IdentityError(
    'EVICTION_FILE_FAILED',
    'the kept evictions cannot be read or written; see the cause, and look at the disk and the rights of this user',
    { cause },
  )

/**
 * The place of a node's kept evictions, there or not. Put it beside the node's key file, in whose directory nobody else may write: who can
 * replace this file can make the node forget an eviction until the next list comes.
 *
 * @throws {@link IdentityError} `EVICTION_FILE_FAILED` if the directory cannot be looked at.
 */
export async function openEvictionFile(path: string, options: EvictionFileOptions): Promise<EvictionFile> {
  const { clusterId, files = systemFiles, random = systemRandom } = options
  await removeLeftovers(files, path).catch((error: unknown) => {
    throw failed(error)
  })
  return {
    load: async () => {
      const found = await files.read(path, MAX_EVICTION_VIEW_BYTES).catch((error: unknown) => {
        throw failed(error)
      })
      if (found === null) return null
      const user = files.user()
      const foreign = user !== null && (found.owner !== user || (found.mode & WRITABLE_BY_OTHERS) !== 0)
      if (found.bytes === null || foreign) {
        throw new IdentityError(
          'EVICTION_FILE_MALFORMED',
          'the kept evictions are no ordinary file of this user alone, or too large; remove them, and the next list of a manager brings all of them again',
        )
      }
      return decodeEvictionView(found.bytes, clusterId, systemDigest)
    },
    save: async (view) => {
      const bytes = encodeEvictionView(view, clusterId, systemDigest)
      await replaceFile(files, path, bytes, random).catch((error: unknown) => {
        throw failed(error)
      })
    },
  }
}
