import { scrypt } from 'node:crypto'
import { RaftLogError } from '../../errors.ts'
import { formatHex } from '../../format/hex.ts'
import {
  DEFAULT_SCRYPT_COST,
  decodeStretch,
  encodeStretch,
  isAcceptedCost,
  openStretched,
  SCRYPT_SALT_BYTES,
  type ScryptCost,
  type Stretch,
  sealStretched,
} from '../../keepers/passphrase-form.ts'
import { BOX_NONCE_BYTES } from '../../keys/secretbox.ts'
import type { KeyWrapper, RandomSource } from '../../ports.ts'
import { nodeCipherSuite } from '../cipher-suite.ts'
import { systemRandom } from '../system.ts'

/**
 * **Warning**: lets a passphrase be stretched so little that it can be guessed from a copy of the disk. For tests, where
 * half a second for each key is too long.
 */
export const allowWeakScryptCost: unique symbol = Symbol('allowWeakScryptCost')

/** Options of {@link passphraseWrapper}. */
export interface PassphraseWrapperOptions {
  /**
   * Cost of what is wrapped from now on. `r` is 8; `logN` is 15 to 18 (32 to 256 MiB); 2^logN · `p` is 2^17 to 2^20.
   * Default is logN 17, p 1: 128 MiB. What was wrapped at another cost within the bounds opens all the same.
   */
  readonly cost?: ScryptCost
  /** Default is {@link systemRandom}. */
  readonly random?: RandomSource
  readonly [allowWeakScryptCost]?: true
}

// No passphrase that anybody types is longer; what is longer is a file that was given by mistake.
const MAX_PASSPHRASE_BYTES = 1024
const KEY_BYTES = 32
const LONE_SURROGATE = /\p{Surrogate}/u
const KEY_INFO = new TextEncoder().encode('leastwise raftlog passphrase key v1')

/** RFC 8265 section 4.2.2, as far as one text may be typed in two ways: normal form C. */
function bytesOf(passphrase: string): Uint8Array<ArrayBuffer> {
  if (typeof passphrase !== 'string') throw new TypeError('passphrase must be a string')
  if (LONE_SURROGATE.test(passphrase)) throw new RangeError('passphrase must be well-formed Unicode')
  const bytes = new TextEncoder().encode(passphrase.normalize('NFC'))
  if (bytes.length === 0 || bytes.length > MAX_PASSPHRASE_BYTES) {
    throw new RangeError(`passphrase must have 1 to ${MAX_PASSPHRASE_BYTES} bytes`)
  }
  return bytes
}

/** scrypt off the main thread, then HKDF with the whole head, so that each form of the head has a key of its own. */
async function stretch(secret: Uint8Array, { cost, salt }: Stretch): Promise<Uint8Array<ArrayBuffer>> {
  const { logN, r, p } = cost
  const N = 2 ** logN
  // What the algorithm needs, exactly, and a few blocks: OpenSSL counts a little more than RFC 7914.
  const limits = { N, r, p, maxmem: 128 * r * (N + p + 8) }
  const stretched = await new Promise<Uint8Array>((resolve, reject) => {
    scrypt(secret, salt, KEY_BYTES, limits, (error, key) => {
      if (error === null) resolve(key)
      else {
        const message = `passphrase could not be stretched; have ${(128 * r * N) / 2 ** 20} MiB of memory free`
        reject(new RaftLogError('KEEPER_UNREACHABLE', message, { cause: error }))
      }
    })
  })
  const info = new Uint8Array([...KEY_INFO, ...encodeStretch({ cost, salt })])
  const key = nodeCipherSuite.hkdf(stretched, new Uint8Array(0), info, KEY_BYTES)
  stretched.fill(0)
  return key
}

/**
 * Wraps under a passphrase, stretched with scrypt (RFC 7914); its cost and salt are stored with what it wraps.
 *
 * Whoever has a copy of the disk can try passphrases on it, each try at this cost. So take one that a machine chose: six
 * words of a list of 7776, or 16 random letters. Nothing here measures it.
 *
 * The stretched key of the salt in use stays in memory beside the passphrase, so that a rotation does not stretch it anew
 * for every key. The id is always `passphrase`: one derived from it would be something to try guesses on.
 *
 * @param passphrase - 1 to 1024 bytes of UTF-8 in normal form C; other forms are brought into it.
 * @returns The wrapper. `unwrap` gives null for another passphrase, for damage and for a cost out of bounds alike, and
 * rejects with {@link RaftLogError} `KEEPER_UNREACHABLE` if there is no memory to stretch it in.
 * @throws TypeError or RangeError if the passphrase or the cost is out of its bounds.
 */
export function passphraseWrapper(passphrase: string, options: PassphraseWrapperOptions = {}): KeyWrapper {
  const { cost = DEFAULT_SCRYPT_COST, random = systemRandom } = options
  const bounds = options[allowWeakScryptCost] === true ? 'weak' : 'strong'
  const secret = bytesOf(passphrase)
  if (!isAcceptedCost(cost, bounds)) {
    throw new RangeError('scrypt cost must have r 8, logN 15 to 18, and 2^logN times p from 2^17 to 2^20')
  }
  let known: { readonly head: string; readonly key: Promise<Uint8Array> } | null = null
  let current: Stretch | null = null

  const keyOf = async (at: Stretch): Promise<Uint8Array> => {
    const head = formatHex(encodeStretch(at))
    if (known?.head !== head) {
      const attempt = { head, key: stretch(secret, at) }
      known = attempt
      attempt.key.catch(() => {
        if (known === attempt) known = null
      })
    }
    return await known.key
  }

  return {
    id: 'passphrase',
    wrap: async (plain) => {
      current ??= { cost: { ...cost }, salt: random.bytes(SCRYPT_SALT_BYTES) }
      const at = current
      const key = await keyOf(at)
      return sealStretched(plain, { head: encodeStretch(at), nonce: random.bytes(BOX_NONCE_BYTES), key })
    },
    unwrap: async (wrapped) => {
      const at = decodeStretch(wrapped, bounds)
      if (at === null) return null
      const plain = openStretched(wrapped, await keyOf(at))
      // One salt for one passphrase, as long as the cost is the wanted one: the next wrap need not stretch again.
      if (plain !== null && formatHex(encodeStretch({ cost, salt: at.salt })) === formatHex(encodeStretch(at)))
        current ??= at
      return plain
    },
  }
}
