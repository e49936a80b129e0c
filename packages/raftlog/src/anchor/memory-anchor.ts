import { planAdvance } from './advance-rule.ts'
import { type AnchorHead, decodeAnchorHead, encodeAnchorHead } from './anchor-head.ts'
import type { RollbackAnchor } from './rollback-anchor.ts'

/**
 * An anchor in the memory of this process, for tests and simulation. It outlives a log that is closed and opened again,
 * not the process.
 */
export function memoryAnchor(): RollbackAnchor {
  let stored: AnchorHead | null = null
  return {
    read: async (options) => {
      options?.signal?.throwIfAborted()
      return await Promise.resolve(stored)
    },
    advance: async (head, after, options) => {
      options?.signal?.throwIfAborted()
      // Through its form, so that nothing which the caller may change is kept.
      if (planAdvance(stored, head, after).write) stored = decodeAnchorHead(encodeAnchorHead(head))
      await Promise.resolve()
    },
  }
}
