import { IdentityError } from '../errors.ts'
import type { Digest, RandomSource } from '../ports.ts'

/** An instant of 8 bytes and a tag of 32. */
export const RECOVERY_CHALLENGE_BYTES = 40

/** How long a challenge is good: for one answer over a slow line. */
export const RECOVERY_CHALLENGE_TTL_MS = 60_000

const BLOCK_BYTES = 64
const INSTANT_BYTES = 8

/** The challenges of one manager. */
export interface RecoveryChallenges {
  /** A fresh one. */
  readonly create: (now: number) => Uint8Array<ArrayBuffer>
  /**
   * Passes what this manager gave out in the last {@link RECOVERY_CHALLENGE_TTL_MS}.
   *
   * @throws {@link IdentityError} `RECOVERY_CHALLENGE_EXPIRED` for everything else.
   */
  readonly check: (challenge: Uint8Array, now: number) => void
}

const refused = (): IdentityError =>
  new IdentityError(
    'RECOVERY_CHALLENGE_EXPIRED',
    'challenge is too old, or another manager gave it; ask this manager for a new one',
  )

/** HMAC with SHA-256 (RFC 2104) over one message under a key of one block. */
function hmac(key: Uint8Array, message: Uint8Array, digest: Digest): Uint8Array<ArrayBuffer> {
  const over = (pad: number, data: Uint8Array): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(BLOCK_BYTES + data.length)
    bytes.set(key.map((byte) => byte ^ pad))
    bytes.set(data, BLOCK_BYTES)
    return digest.sha256(bytes)
  }
  return over(0x5c, over(0x36, message))
}

/** Compares all of both, so that the time says nothing. */
function sameTag(left: Uint8Array, right: Uint8Array): boolean {
  let difference = left.length ^ right.length
  for (let at = 0; at < left.length; at += 1) difference |= (left[at] ?? 0) ^ (right[at] ?? 0)
  return difference === 0
}

/**
 * Challenges that the manager need not remember: an instant under a key that only this process has. So strangers who ask for many cost
 * it no memory, and push out nobody's. One may be used twice within its time; the membership sees to it that a recovery
 * which was granted cannot be granted again.
 */
export function createRecoveryChallenges(options: {
  readonly random: RandomSource
  readonly digest: Digest
}): RecoveryChallenges {
  const { digest } = options
  const key = options.random.bytes(BLOCK_BYTES)
  const tagOf = (instant: Uint8Array): Uint8Array => hmac(key, instant, digest)
  return {
    create: (now) => {
      const challenge = new Uint8Array(RECOVERY_CHALLENGE_BYTES)
      new DataView(challenge.buffer).setBigUint64(0, BigInt(Math.floor(now)))
      challenge.set(tagOf(challenge.subarray(0, INSTANT_BYTES)), INSTANT_BYTES)
      return challenge
    },
    check: (challenge, now) => {
      if (challenge.length !== RECOVERY_CHALLENGE_BYTES) throw refused()
      const instant = challenge.slice(0, INSTANT_BYTES)
      if (!sameTag(tagOf(instant), challenge.subarray(INSTANT_BYTES))) throw refused()
      const age = now - Number(new DataView(instant.buffer).getBigUint64(0))
      // A clock that was set back makes it young, not good for ever.
      if (age > RECOVERY_CHALLENGE_TTL_MS || age < -RECOVERY_CHALLENGE_TTL_MS) throw refused()
    },
  }
}
