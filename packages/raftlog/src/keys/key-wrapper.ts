import { formatHex } from '../format/hex.ts'
import type { KeyWrapper, RandomSource } from '../ports.ts'
import { BOX_NONCE_BYTES, BOX_OVERHEAD_BYTES, hash512, openBox, sealBox } from './secretbox.ts'

/** Bytes of an unlock key (Docker Swarm's `SWMKEY-1-` holds as many). */
export const UNLOCK_KEY_BYTES = 32

const CLEAR_ID = 'clear'
const ID_LABEL = new TextEncoder().encode('leastwise raftlog unlock key id v1')
// Enough to tell keys apart in a listing; a hash of 32 random bytes tells nothing else about them.
const ID_BYTES = 8

/**
 * No lock: data keys are kept as they are. Whoever reads the disk reads the log. It opens nothing that is locked.
 */
export const clearWrapper: KeyWrapper = {
  id: CLEAR_ID,
  wrap: (key) => new Uint8Array(key),
  unwrap: (wrapped) => new Uint8Array(wrapped),
}

/** Whether a wrapper, or the id of one, means "not locked". */
export const isClear = (id: string): boolean => id === CLEAR_ID

/** What the id of a wrapper of several keepers begins with. */
export const ANY_OF_PREFIX = 'any-of-'

/** Whether the id of a wrapper names several keepers. */
export const isAnyOf = (id: string): boolean => id.startsWith(ANY_OF_PREFIX)

/**
 * Wraps under an unlock key: nonce(24) ‖ NaCl secretbox of the key.
 *
 * The id is a short hash of the unlock key, so that a listing can say under which of several keys something is locked.
 *
 * @param kek - 32 random bytes; copied. A passphrase must go through a memory-hard function first.
 * @param random - Draws one nonce for each `wrap`.
 * @throws TypeError or RangeError if `kek` is not 32 bytes.
 */
export function unlockKeyWrapper(kek: Uint8Array, random: RandomSource): KeyWrapper {
  if (!(kek instanceof Uint8Array)) throw new TypeError('unlock key must be a Uint8Array')
  if (kek.length !== UNLOCK_KEY_BYTES) {
    throw new RangeError(`unlock key must have ${UNLOCK_KEY_BYTES} bytes, got ${kek.length}`)
  }
  const key = new Uint8Array(kek)
  const labelled = new Uint8Array(ID_LABEL.length + key.length)
  labelled.set(ID_LABEL)
  labelled.set(key, ID_LABEL.length)
  const id = `unlock-${formatHex(hash512(labelled).subarray(0, ID_BYTES))}`
  labelled.fill(0)
  return {
    id,
    wrap: (plain) => {
      const nonce = random.bytes(BOX_NONCE_BYTES)
      const box = sealBox(plain, nonce, key)
      const wrapped = new Uint8Array(nonce.length + box.length)
      wrapped.set(nonce)
      wrapped.set(box, nonce.length)
      return wrapped
    },
    unwrap: (wrapped) =>
      wrapped.length < BOX_NONCE_BYTES + BOX_OVERHEAD_BYTES
        ? null
        : openBox(wrapped.subarray(BOX_NONCE_BYTES), wrapped.subarray(0, BOX_NONCE_BYTES), key),
  }
}
