import { decodeBase64, encodeBase64 } from './base64.ts'
import { draw } from './draw.ts'
import { TokenError } from './errors.ts'
import type { RandomSource } from './ports.ts'
import { SecretBytes } from './secret-bytes.ts'

/** 256 bits: the key is used as it is, without stretching. */
export const UNLOCK_KEY_BYTES = 32

// Docker Swarm's form: the prefix, then RFC 4648 section 4 base64 without padding, 43 letters for 32 bytes.
const PREFIX = 'SWMKEY-1-'
const KEY_CHARS = 43

/** The key that unlocks a manager's state; the cluster never keeps it. Prints as `[unlock key]`; wipe it with `using`. */
export class UnlockKey extends SecretBytes {
  /**
   * @param bytes - {@link UNLOCK_KEY_BYTES} bytes from a cryptographic random source; they are copied.
   * @throws RangeError if there are more or fewer bytes.
   */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== UNLOCK_KEY_BYTES) {
      throw new RangeError(`an unlock key has ${UNLOCK_KEY_BYTES} bytes, not ${bytes.length}`)
    }
    super(bytes)
  }

  override get kind(): 'unlock key' {
    return 'unlock key'
  }
}

/** A fresh key, with one draw of {@link UNLOCK_KEY_BYTES} bytes. */
export function createUnlockKey(random: RandomSource): UnlockKey {
  const bytes = draw(random, UNLOCK_KEY_BYTES)
  const key = new UnlockKey(bytes)
  bytes.fill(0)
  return key
}

/**
 * Reads an unlock key, `SWMKEY-1-…`, in Docker Swarm's form and with exactly 32 bytes.
 *
 * Strict: a shorter or longer key, padding, white space and unused bits that are set are refused; a key of the wrong length would
 * otherwise be cut or filled up somewhere deeper.
 *
 * @param text - The key as it was shown when autolock was switched on.
 * @returns A handle; the caller wipes it after use.
 * @throws {@link TokenError} `UNLOCK_KEY_MALFORMED` when the text is not such a key.
 */
export function parseUnlockKey(text: string): UnlockKey {
  if (!text.startsWith(PREFIX)) throw malformed(`it does not start with ${PREFIX}`)
  const expected = PREFIX.length + KEY_CHARS
  if (text.length !== expected) throw malformed(`it does not have ${expected} characters`)
  const bytes = decodeBase64(text.slice(PREFIX.length))
  if (bytes === null) throw malformed('it is not canonical base64')
  const key = new UnlockKey(bytes)
  bytes.fill(0)
  return key
}

/**
 * The text of an unlock key: show it to the operator once, and keep it nowhere.
 *
 * @throws TypeError if the key was wiped.
 */
export function formatUnlockKey(key: UnlockKey): string {
  return key.expose((bytes) => PREFIX + encodeBase64(bytes))
}

function malformed(why: string): TokenError {
  return new TokenError('UNLOCK_KEY_MALFORMED', `unlock key is malformed: ${why}; copy the whole key as it was printed`)
}
