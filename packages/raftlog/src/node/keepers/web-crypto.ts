import { RaftLogError } from '../../errors.ts'
import { equalBytes } from '../../keepers/equal-bytes.ts'
import {
  decodeTokenWrapping,
  encodeTokenHead,
  encodeTokenWrapping,
  IV_BYTES,
  TAG_BYTES,
} from '../../keepers/token-form.ts'
import { MAX_WRAPPED_BYTES } from '../../keys/keyring.ts'
import type { KeyWrapper, RandomSource } from '../../ports.ts'
import { systemRandom } from '../system.ts'

/** AES-GCM parameters as Web Crypto takes them. */
export interface AesGcmParameters {
  readonly name: 'AES-GCM'
  readonly iv: Uint8Array<ArrayBuffer>
  readonly additionalData: Uint8Array<ArrayBuffer>
  readonly tagLength: 128
}

/** The two functions of a Web Crypto `SubtleCrypto` that wrapping needs: the platform's, or that of a key in an HSM. */
export interface SubtleWrapping<Key> {
  readonly encrypt: (algorithm: AesGcmParameters, key: Key, data: Uint8Array<ArrayBuffer>) => Promise<ArrayBuffer>
  readonly decrypt: (algorithm: AesGcmParameters, key: Key, data: Uint8Array<ArrayBuffer>) => Promise<ArrayBuffer>
}

/** Options of {@link webCryptoWrapper}. */
export interface WebCryptoWrapperOptions<Key> {
  readonly subtle: SubtleWrapping<Key>
  /** An AES key of 256 bits that may encrypt and decrypt. It need not be extractable, and should not be. */
  readonly key: Key
  /**
   * Tells this key from others: 1 to 63 of `a-z`, `0-9` and `-`. It is stored and bound to what is wrapped, so it must stay with the
   * key. The id that the key has on its token is a good one.
   */
  readonly name: string
  /** Default is {@link systemRandom}. */
  readonly random?: RandomSource
}

const NAME = /^[a-z0-9-]{1,63}$/
const PROBE_BYTES = 32

const unreachable = (error: unknown): RaftLogError =>
  new RaftLogError('KEEPER_UNREACHABLE', 'key holder did not do its work; see that the token is there and open', {
    cause: error,
  })

/**
 * Wraps with an AES key that only a Web Crypto provider can use, as a rule one that cannot leave an HSM.
 *
 * What was wrapped is read back before it counts, so that nothing is kept that cannot be opened. The data key itself passes through the provider.
 * Initialization vectors are drawn at random, which is safe for 2^32 wrappings under one key.
 *
 * @returns The wrapper, with the id `web-crypto-` and the name. `unwrap` gives null for what this key did not wrap. A provider does not say whether it
 * failed or the data was wrong, so after a failure the key must wrap and unwrap a probe: only if it can, the data is to blame. Both reject
 * with {@link RaftLogError} `KEEPER_UNREACHABLE` if it cannot, and `wrap` with `KEEPER_ANSWER_INVALID` if what comes back is not what was
 * wrapped.
 * @throws RangeError if the name is out of its bounds.
 * @see NIST SP 800-38D section 8
 */
export function webCryptoWrapper<Key>(options: WebCryptoWrapperOptions<Key>): KeyWrapper {
  const { subtle, key, name, random = systemRandom } = options
  if (!NAME.test(name)) throw new RangeError('name must be 1 to 63 of a-z, 0-9 and -')
  const head = encodeTokenHead(name)

  const parameters = (iv: Uint8Array<ArrayBuffer>): AesGcmParameters => ({
    name: 'AES-GCM',
    iv,
    additionalData: head.slice(),
    tagLength: 128,
  })
  const decrypt = async (iv: Uint8Array<ArrayBuffer>, sealed: Uint8Array): Promise<Uint8Array<ArrayBuffer>> =>
    new Uint8Array(await subtle.decrypt(parameters(iv), key, new Uint8Array(sealed)))

  const wrap = async (plain: Uint8Array): Promise<Uint8Array<ArrayBuffer>> => {
    if (head.length + IV_BYTES + plain.length + TAG_BYTES > MAX_WRAPPED_BYTES)
      throw new RaftLogError(
        'KEEPER_WRAPPING_TOO_LARGE',
        'wrapped key does not fit into a key ring; wrap a shorter one',
      )
    const own = new Uint8Array(plain)
    let again: Uint8Array | null = null
    try {
      const iv = random.bytes(IV_BYTES)
      const sealed = new Uint8Array(await subtle.encrypt(parameters(iv), key, own))
      again = await decrypt(iv, sealed)
      if (sealed.length !== own.length + TAG_BYTES || !equalBytes(again, own)) {
        throw new RaftLogError(
          'KEEPER_ANSWER_INVALID',
          'key holder does not give back what it wrapped; see that its key is an aes key for gcm',
        )
      }
      return encodeTokenWrapping({ head, iv, sealed })
    } catch (error) {
      throw error instanceof RaftLogError ? error : unreachable(error)
    } finally {
      own.fill(0)
      again?.fill(0)
    }
  }

  return {
    id: `web-crypto-${name}`,
    wrap,
    unwrap: async (wrapped) => {
      const wrapping = decodeTokenWrapping(wrapped, head)
      if (wrapping === null) return null
      try {
        const plain = await decrypt(wrapping.iv, wrapping.sealed)
        if (plain.length === wrapping.sealed.length - TAG_BYTES) return plain
      } catch {
        // Not authentic, or not reachable: the probe tells them apart.
      }
      await wrap(random.bytes(PROBE_BYTES))
      return null
    },
  }
}
