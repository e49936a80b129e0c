import { lifeOf } from '../format/file-header.ts'
import { temporaryName } from '../format/file-names.ts'
import type { Segment } from './directory-scan.ts'
import type { LogContext } from './log-context.ts'

/** A file that no longer counts, to write another one over. */
export interface SpareFile {
  readonly name: string
  /** What its frames are marked with. */
  readonly life: number
  readonly sizeBytes: number
  readonly keyId: string
}

/** Two of the usual size are 128 MiB, and a host that compacts often never needs a third. */
const MAX_SPARES = 2

/**
 * Segments that were dropped, kept to be written over: a flush of blocks that are there has nothing but the data to keep. They
 * have a temporary name, so an opening removes them, and none is under another key than the write key.
 */
export interface SpareFiles {
  /**
   * Drops segments: removes them, or keeps the largest as spares. Durable before it resolves. Spares under another key than
   * the write key go, too.
   */
  readonly drop: (gone: readonly Segment[]) => Promise<void>
  /** The largest spare; it is the caller's from then on. Null if there is none, or none whose bytes are all under the write key. */
  readonly take: () => SpareFile | null
  /** Counts a reader until the result is called: what he has open must not be written over. */
  readonly hold: () => () => void
  /** Removes all. */
  readonly clear: () => Promise<void>
}

export function spareFiles({ files, keys }: LogContext): SpareFiles {
  // Largest first.
  let spares: readonly SpareFile[] = []
  let readers = 0

  const underWriteKey = ({ keyId }: { readonly keyId: string }): boolean => keyId === keys.writeKeyId()
  const remove = async (gone: readonly SpareFile[]): Promise<void> => {
    for (const { name } of gone) await files.remove(name)
  }
  return {
    drop: async (gone) => {
      const mayKeep = files.reuse !== undefined && readers === 0
      const renamed: SpareFile[] = []
      for (const segment of gone) {
        const { name, keyId, sizeBytes, header } = segment
        if (mayKeep && underWriteKey(segment)) {
          const spare = { name: temporaryName(name), life: lifeOf(header), sizeBytes, keyId }
          await files.rename(name, spare.name)
          renamed.push(spare)
        } else await files.remove(name)
      }
      const sorted = [...spares, ...renamed].sort((one, other) => other.sizeBytes - one.sizeBytes)
      const kept = sorted.filter(underWriteKey).slice(0, MAX_SPARES)
      const unwanted = sorted.filter((spare) => !kept.includes(spare))
      await remove(unwanted)
      if (gone.length + unwanted.length > 0) await files.syncDirectory()
      // Not before: after a crash the directory might still have them under their old names.
      spares = kept
    },
    take: () => {
      const [largest = null, ...others] = spares
      if (largest === null || !underWriteKey(largest)) return null
      spares = others
      return largest
    },
    hold: () => {
      readers += 1
      let isHeld = true
      return () => {
        if (isHeld) readers -= 1
        isHeld = false
      }
    },
    clear: async () => {
      const gone = spares
      spares = []
      await remove(gone)
    },
  }
}
