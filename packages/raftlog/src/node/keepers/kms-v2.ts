import { RaftLogError } from '../../errors.ts'
import { formatHex } from '../../format/hex.ts'
import { equalBytes } from '../../keepers/equal-bytes.ts'
import { decodeKmsWrapping, fitsWrapping, KMS_SEED_BYTES, openWithSeed, sealWithSeed } from '../../keepers/kms-form.ts'
import {
  decodeDecryptResponse,
  decodeEncryptResponse,
  decodeStatusResponse,
  encodeDecryptRequest,
  encodeEncryptRequest,
  encodeStatusRequest,
  type KmsCiphertext,
} from '../../keepers/kms-messages.ts'
import { BOX_NONCE_BYTES } from '../../keys/secretbox.ts'
import type { Clock, KeyWrapper, RandomSource } from '../../ports.ts'
import { systemClock, systemRandom } from '../system.ts'
import { type UnaryAnswer, type UnaryCall, withUnaryCalls } from './grpc-unary.ts'

/** Options of {@link kmsWrapper}. */
export interface KmsWrapperOptions {
  /** The unix socket of the plug-in, at most 103 bytes. Its directory must not be writable for others. */
  readonly socketPath: string
  /**
   * Tells this service from others in listings and in `anyOf`: 1 to 63 of `a-z`, `0-9` and `-`. It is stored, so it must
   * stay. Default is none.
   */
  readonly name?: string
  /** How long one call may take, in milliseconds, 1 to 60,000. Default is 3000 (3 seconds), as in Kubernetes. */
  readonly timeoutMs?: number
  /** Breaks off what is under way and refuses what comes later, both with its reason. */
  readonly signal?: AbortSignal
  /** Default is {@link systemClock}. */
  readonly clock?: Clock
  /** Default is {@link systemRandom}. */
  readonly random?: RandomSource
}

const SERVICE = '/v2.KeyManagementService'
const DEFAULT_TIMEOUT_MS = 3000
const MAX_TIMEOUT_MS = 60_000
// The shortest of what systems allow for the address of a unix socket; longer ones are cut silently by some.
const MAX_SOCKET_PATH_BYTES = 103
const NAME = /^[a-z0-9-]{1,63}$/
const UID_BYTES = 16
const VERSIONS: readonly string[] = ['v2', 'v2beta1']

// gRPC status codes. The API gives them no meaning, so only those count that leave no doubt.
const INVALID_ARGUMENT = 3
const DEADLINE_EXCEEDED = 4
const NOT_FOUND = 5
const UNIMPLEMENTED = 12
const UNAVAILABLE = 14

function failure(method: string, status: number): RaftLogError {
  const said = `key service answered ${method} with status ${status}`
  if (status === DEADLINE_EXCEEDED || status === UNAVAILABLE) {
    return new RaftLogError('KEEPER_UNREACHABLE', `${said}; see that what stands behind it can be reached`)
  }
  if (status === UNIMPLEMENTED) {
    return new RaftLogError('KEEPER_ANSWER_INVALID', `${said}; use a plug-in for version 2 of the API`)
  }
  return new RaftLogError('KEEPER_REFUSED', `${said}; its own log says why`)
}

function messageOf(method: string, answer: UnaryAnswer): Uint8Array<ArrayBuffer> {
  if (answer.message === null) throw failure(method, answer.status)
  return answer.message
}

const invalid = (what: string): RaftLogError =>
  new RaftLogError('KEEPER_ANSWER_INVALID', `key service ${what}; see that it is a plug-in for version 2 of the API`)

async function proveHealthy(call: UnaryCall): Promise<void> {
  const status = decodeStatusResponse(messageOf('Status', await call(`${SERVICE}/Status`, encodeStatusRequest())))
  if (status === null) throw invalid('answered Status with something else')
  if (!VERSIONS.includes(status.version)) throw invalid('names another version')
  if (status.healthz !== 'ok') {
    throw new RaftLogError('KEEPER_REFUSED', 'key service says that it is not healthy; its own log says why')
  }
}

/**
 * Wraps with a key management service, through a Kubernetes KMS v2 plug-in on a unix socket of this machine.
 *
 * The service encrypts a fresh seed for each key and never sees the key itself. What it wrapped is read back before it
 * counts, so that nothing is kept that cannot be opened. Each `wrap` and `unwrap` has a connection of its own.
 *
 * @returns The wrapper. `unwrap` gives null for what this service did not wrap: when the form is another one, when the
 * plug-in says "invalid argument" or "not found", and when what it gives does not open it. Both reject with
 * {@link RaftLogError} `KEEPER_UNREACHABLE` (nobody listens, no answer in time), `KEEPER_REFUSED` (it said no, or that it is
 * not healthy), `KEEPER_ANSWER_INVALID` (no gRPC, not this API, not what it had encrypted), and `wrap` also with
 * `KEEPER_WRAPPING_TOO_LARGE`.
 * @throws TypeError or RangeError if an option is out of its bounds.
 * @see Kubernetes, `k8s.io/kms/apis/v2`
 */
export function kmsWrapper(options: KmsWrapperOptions): KeyWrapper {
  const { socketPath, name, timeoutMs = DEFAULT_TIMEOUT_MS, clock = systemClock, random = systemRandom } = options
  const pathBytes = new TextEncoder().encode(socketPath).length
  if (pathBytes === 0 || pathBytes > MAX_SOCKET_PATH_BYTES || socketPath.includes('\0')) {
    throw new RangeError(`socket path must have 1 to ${MAX_SOCKET_PATH_BYTES} bytes, none of them zero`)
  }
  if (name !== undefined && !NAME.test(name)) throw new RangeError('name must be 1 to 63 of a-z, 0-9 and -')
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS) {
    throw new RangeError(`timeoutMs must be 1 to ${MAX_TIMEOUT_MS}`)
  }
  const calls = { socketPath, timeoutMs, clock, signal: options.signal ?? new AbortController().signal }
  const uid = (): string => formatHex(random.bytes(UID_BYTES))

  const decrypt = async (call: UnaryCall, sealed: KmsCiphertext): Promise<Uint8Array<ArrayBuffer> | null> => {
    const answer = await call(`${SERVICE}/Decrypt`, encodeDecryptRequest(sealed, uid()))
    if (answer.status === INVALID_ARGUMENT || answer.status === NOT_FOUND) return null
    const message = messageOf('Decrypt', answer)
    const seed = decodeDecryptResponse(message)
    message.fill(0)
    if (seed === null) throw invalid('answered Decrypt with something else')
    return seed
  }

  const encrypt = async (call: UnaryCall, seed: Uint8Array): Promise<KmsCiphertext> => {
    const request = encodeEncryptRequest(seed, uid())
    const answer = await call(`${SERVICE}/Encrypt`, request).finally(() => request.fill(0))
    const sealed = decodeEncryptResponse(messageOf('Encrypt', answer))
    if (sealed === null) throw invalid('answered Encrypt with something else')
    const again = await decrypt(call, sealed)
    const same = again !== null && equalBytes(again, seed)
    again?.fill(0)
    if (!same) throw invalid('does not decrypt what it encrypted')
    return sealed
  }

  return {
    id: name === undefined ? 'kms-v2' : `kms-v2-${name}`,
    wrap: async (key) => {
      const seed = random.bytes(KMS_SEED_BYTES)
      try {
        const sealed = await withUnaryCalls(calls, async (call) => {
          await proveHealthy(call)
          return await encrypt(call, seed)
        })
        if (!fitsWrapping(sealed, key.length)) {
          throw new RaftLogError(
            'KEEPER_WRAPPING_TOO_LARGE',
            'annotations of the key service do not fit; let it annotate less',
          )
        }
        return sealWithSeed(key, { sealed, seed, nonce: random.bytes(BOX_NONCE_BYTES) })
      } finally {
        seed.fill(0)
      }
    },
    unwrap: async (wrapped) => {
      const wrapping = decodeKmsWrapping(wrapped)
      if (wrapping === null) {
        calls.signal.throwIfAborted()
        return null
      }
      const seed = await withUnaryCalls(calls, async (call) => await decrypt(call, wrapping.sealed))
      const key = seed === null ? null : openWithSeed(wrapping, seed)
      seed?.fill(0)
      return key
    },
  }
}
