import { RaftLogError } from '../errors.ts'
import { equalBytes } from '../keepers/equal-bytes.ts'
import type { RandomSource } from '../ports.ts'
import { checkOwner } from './advance-rule.ts'
import { type AnchorHead, isSameHead } from './anchor-head.ts'
import {
  ANCHOR_NONCE_BYTES,
  type AnchorAnswer,
  type AnchorRequest,
  decodeAnchorAnswer,
  encodeAnchorRequest,
} from './anchor-messages.ts'
import type { AnchorOptions, RollbackAnchor } from './rollback-anchor.ts'

/** What a remote anchor is reached with. */
export interface RemoteAnchorParts {
  readonly clusterId: string
  readonly logId: string
  readonly random: RandomSource
  /**
   * Carries a request to the peer's `HeadKeeper` and brings its answer, over a wire on which both have proven who they
   * are. It ends by itself when the peer does not answer; a rejection means that it is unknown whether it was heard.
   */
  readonly exchange: (request: Uint8Array<ArrayBuffer>, options: AnchorOptions) => Promise<Uint8Array>
}

/** An anchor in a peer's memory. */
export function remoteAnchor({ clusterId, logId, random, exchange }: RemoteAnchorParts): RollbackAnchor {
  const ask = async (request: AnchorRequest, options: AnchorOptions): Promise<AnchorAnswer> => {
    options.signal?.throwIfAborted()
    let bytes: Uint8Array
    try {
      bytes = await exchange(encodeAnchorRequest(request), options)
    } catch (error) {
      options.signal?.throwIfAborted()
      throw new RaftLogError('ANCHOR_UNREACHABLE', 'peer that keeps the head cannot be reached; bring it back', {
        cause: error,
      })
    }
    const answer = decodeAnchorAnswer(bytes)
    if (!equalBytes(answer.nonce, request.nonce)) {
      throw new RaftLogError('ANCHOR_MALFORMED', 'answer belongs to another request; bring each answer to its request')
    }
    if (answer.stored !== null) checkOwner(answer.stored, { clusterId, logId })
    return answer
  }
  const nonce = (): Uint8Array<ArrayBuffer> => random.bytes(ANCHOR_NONCE_BYTES)
  return {
    read: async (options = {}): Promise<AnchorHead | null> =>
      (await ask({ kind: 'read', nonce: nonce(), clusterId, logId }, options)).stored,
    advance: async (head, after, options = {}) => {
      checkOwner(head, { clusterId, logId })
      const { kind, stored } = await ask({ kind: 'advance', nonce: nonce(), head, after }, options)
      if (kind === 'full') {
        throw new RaftLogError('ANCHOR_UNREACHABLE', 'peer keeps as many heads as it may; choose another peer')
      }
      if (kind === 'conflict' || !isSameHead(stored, head)) {
        throw new RaftLogError(
          'ANCHOR_CONFLICT',
          'peer keeps a head that this process did not write; run one process on one copy of the log',
        )
      }
    },
  }
}
