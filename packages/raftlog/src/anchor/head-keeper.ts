import { RaftLogError } from '../errors.ts'
import { turns } from '../turns.ts'
import { planAdvance } from './advance-rule.ts'
import { type AnchorHead, decodeAnchorHead, encodeAnchorHead } from './anchor-head.ts'
import { decodeAnchorRequest, encodeAnchorAnswer } from './anchor-messages.ts'

/** Most logs whose heads one peer keeps: bounds its memory to about half a MiB. */
export const MAX_KEPT_HEADS = 1024

/** What a peer keeps the heads of other logs with. */
export interface HeadKeeperParts {
  /** Heads that were kept before, one for each log. */
  readonly heads?: readonly AnchorHead[]
  /** Called before an advance is answered, say to write the head down; nothing unless given: memory alone. */
  readonly keep?: (head: AnchorHead) => Promise<void>
}

/** The peer's side of an anchor. */
export interface HeadKeeper {
  /**
   * Answers one request.
   *
   * @param request - The bytes that came over the host's own wire.
   * @param caller - Whose log the caller may speak of, as the wire has proven it.
   * @throws RaftLogError `ANCHOR_MALFORMED` if the bytes are no request, `LOG_FOREIGN` if it is about another's log.
   */
  readonly answer: (
    request: Uint8Array,
    caller: { readonly clusterId: string; readonly logId: string },
  ) => Promise<Uint8Array<ArrayBuffer>>
  /** The heads that are kept now. */
  readonly heads: () => readonly AnchorHead[]
}

const keyOf = ({ clusterId, logId }: { readonly clusterId: string; readonly logId: string }): string =>
  `${clusterId} ${logId}`

/**
 * Keeps the heads of other machines' logs, in memory: whoever takes away one machine's disk has not got this one's.
 *
 * @throws RangeError if more than {@link MAX_KEPT_HEADS} heads are given, or two for one log.
 */
export function headKeeper({ heads = [], keep }: HeadKeeperParts = {}): HeadKeeper {
  const kept = new Map(heads.map((head) => [keyOf(head), head]))
  if (kept.size !== heads.length || kept.size > MAX_KEPT_HEADS) {
    throw new RangeError(`heads must be of different logs, and at most ${MAX_KEPT_HEADS}`)
  }
  const order = turns()
  return {
    heads: () => [...kept.values()],
    answer: async (bytes, caller) => {
      const request = decodeAnchorRequest(bytes)
      const { nonce } = request
      const key = keyOf(request.kind === 'read' ? request : request.head)
      if (key !== keyOf(caller)) {
        throw new RaftLogError('LOG_FOREIGN', 'head is that of another log; ask for the own one')
      }
      return await order.take(async () => {
        const stored = kept.get(key) ?? null
        if (request.kind === 'read') return encodeAnchorAnswer({ kind: 'kept', nonce, stored })
        if (stored === null && kept.size >= MAX_KEPT_HEADS) return encodeAnchorAnswer({ kind: 'full', nonce, stored })
        const head = decodeAnchorHead(encodeAnchorHead(request.head))
        if (!mayAdvance(stored, head, request.after)) return encodeAnchorAnswer({ kind: 'conflict', nonce, stored })
        await keep?.(head)
        kept.set(key, head)
        return encodeAnchorAnswer({ kind: 'kept', nonce, stored: head })
      })
    },
  }
}

function mayAdvance(stored: AnchorHead | null, head: AnchorHead, after: AnchorHead | null): boolean {
  try {
    planAdvance(stored, head, after)
    return true
  } catch (error) {
    if (error instanceof RaftLogError && error.code === 'ANCHOR_CONFLICT') return false
    // A pair of heads that no log of ours sends.
    if (error instanceof RangeError) {
      throw new RaftLogError('ANCHOR_MALFORMED', 'heads do not follow each other; let both sides speak one version', {
        cause: error,
      })
    }
    throw error
  }
}
