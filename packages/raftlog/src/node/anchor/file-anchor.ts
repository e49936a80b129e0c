import { planAdvance } from '../../anchor/advance-rule.ts'
import { decodeAnchorHead, encodeAnchorHead, MAX_HEAD_BYTES } from '../../anchor/anchor-head.ts'
import type { RollbackAnchor } from '../../anchor/rollback-anchor.ts'
import { turns } from '../../turns.ts'
import { headFile } from './head-file.ts'

/**
 * An anchor in a file of mode 0600, replaced atomically: of use only where whoever puts back the log's disk cannot put
 * back the file, such as another disk, or a share of another machine.
 *
 * @param path - Its directory must exist.
 * @returns The anchor; also refuses with `DIRECTORY_UNSAFE`, `DIRECTORY_UNWRITABLE`, `DISK_FULL` or `LOG_FAILED`.
 */
export function fileAnchor(path: string): RollbackAnchor {
  const file = headFile(path, MAX_HEAD_BYTES)
  const order = turns()
  const load = async () => {
    const bytes = await file.load()
    return bytes === null ? null : decodeAnchorHead(bytes)
  }
  return {
    read: async (options) => {
      options?.signal?.throwIfAborted()
      return await order.take(load)
    },
    advance: async (head, after, options) => {
      options?.signal?.throwIfAborted()
      await order.take(async () => {
        // Always from the file: another process may have advanced it.
        if (planAdvance(await load(), head, after).write) await file.save(encodeAnchorHead(head))
      })
    },
  }
}
