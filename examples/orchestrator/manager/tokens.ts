import { createId, createJoinToken, hashTokenSecret, type Role, trustDigestOf } from '@leastwise/tokens'
import { systemDigest, systemRandom } from '@leastwise/tokens/node'
import type { NewTokenAnswer } from '../operator/answers.ts'
import type { ClusterCommand } from './cluster-state.ts'

export interface TokenRequest {
  readonly role: Role
  readonly ttlMs: number | null
  readonly maxUses: number | null
  /** Null adds a token; a number replaces the older ones of the role after so many milliseconds. */
  readonly overlapMs: number | null
}

/** A new join token: the order that makes it known (its hash only), and the answer that shows it, once. */
export function newToken(
  trustBundle: Uint8Array,
  { role, ttlMs, maxUses, overlapMs }: TokenRequest,
  now: number,
): { readonly order: ClusterCommand; readonly answer: NewTokenAnswer } {
  const made = createJoinToken({ trustDigest: trustDigestOf(trustBundle, systemDigest), random: systemRandom })
  const id = createId(systemRandom)
  const terms = { id, role, secretHash: hashTokenSecret(made.secret, systemDigest), now, ttlMs, maxUses }
  return {
    order: {
      part: 'tokens',
      command: overlapMs === null ? { type: 'mint', ...terms } : { type: 'rotate', ...terms, overlapMs },
    },
    answer: { id, role, token: made.token, expiresAt: ttlMs === null ? null : now + ttlMs, maxUses },
  }
}
