import { RaftLogError } from '../errors.ts'
import type { AnchorHead } from './anchor-head.ts'
import type { RollbackAnchor } from './rollback-anchor.ts'

/** Most anchors of one quorum. */
export const MAX_ANCHORS = 15

/** Options of {@link quorumAnchor}. */
export interface QuorumAnchorOptions {
  /** How many must answer; more than half of the anchors, and the smallest such number unless given. */
  readonly quorum?: number
}

/** Resolves with the first `wanted` results, or with all outcomes once there cannot be so many any more. */
async function gather<T>(
  asked: readonly Promise<T>[],
  wanted: number,
): Promise<{ readonly results: readonly T[]; readonly failures: readonly unknown[] }> {
  const results: T[] = []
  const failures: unknown[] = []
  await new Promise<void>((resolve) => {
    const check = (): void => {
      if (results.length >= wanted || failures.length > asked.length - wanted) resolve()
    }
    for (const one of asked) {
      one.then(
        (result) => {
          results.push(result)
          check()
        },
        (error: unknown) => {
          failures.push(error)
          check()
        },
      )
    }
  })
  return { results: [...results], failures: [...failures] }
}

const hasCode = (error: unknown, code: string): boolean => error instanceof RaftLogError && error.code === code

/**
 * Several anchors that stand for one: `k` of `n` must answer, the others may be away, slow or new.
 *
 * Any `k` that answer a reader hold at least `2k - n` of those that kept the last head, and the latest head of all counts. So
 * up to `2k - n - 1` of them may have forgotten it, or lie about it, and a rollback is still found. One that lies can have
 * a good log refused, never an old one accepted.
 *
 * @param anchors - One to {@link MAX_ANCHORS}, each out of reach of whoever reaches the others.
 * @throws RangeError if there are none or too many, or the quorum is not more than half of them and at most all.
 */
export function quorumAnchor(anchors: readonly RollbackAnchor[], options: QuorumAnchorOptions = {}): RollbackAnchor {
  const all = [...anchors]
  const { quorum = Math.floor(all.length / 2) + 1 } = options
  if (all.length === 0 || all.length > MAX_ANCHORS) throw new RangeError(`anchors must be 1 to ${MAX_ANCHORS}`)
  if (!(Number.isInteger(quorum) && 2 * quorum > all.length && quorum <= all.length)) {
    throw new RangeError('quorum must be more than half of the anchors, and at most all')
  }
  const refuse = (failures: readonly unknown[]): RaftLogError => {
    const conflict = failures.find((error) => hasCode(error, 'ANCHOR_CONFLICT'))
    if (conflict instanceof RaftLogError) return conflict
    const [first] = failures
    if (first instanceof RaftLogError && failures.every((error) => hasCode(error, 'LOG_FOREIGN'))) return first
    return new RaftLogError(
      'ANCHOR_UNREACHABLE',
      `${failures.length} of ${all.length} anchors failed, and ${quorum} must answer; bring one back`,
      { cause: first },
    )
  }
  return {
    read: async (asking) => {
      asking?.signal?.throwIfAborted()
      const { results, failures } = await gather(
        all.map(async (anchor) => await anchor.read(asking)),
        quorum,
      )
      asking?.signal?.throwIfAborted()
      if (results.length < quorum) throw refuse(failures)
      return results.reduce<AnchorHead | null>(
        (latest, head) => (head !== null && head.count > (latest?.count ?? 0n) ? head : latest),
        null,
      )
    },
    advance: async (head, after, asking) => {
      asking?.signal?.throwIfAborted()
      const asked = all.map(async (anchor) => {
        await anchor.advance(head, after, asking)
      })
      const { results, failures } = await gather(asked, quorum)
      asking?.signal?.throwIfAborted()
      if (results.length < quorum) throw refuse(failures)
    },
  }
}
