import { RaftLogError } from '../errors.ts'
import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { formatHex } from '../format/hex.ts'
import type { CipherSuite, KeyWrapper } from '../ports.ts'
import { DEK_BYTES, dekId, KEY_ID_BYTES } from './data-key.ts'
import { isAnyOf, isClear } from './key-wrapper.ts'

/** One data key as it rests: its id and its wrapped bytes. */
export interface WrappedKey {
  readonly id: Uint8Array<ArrayBuffer>
  readonly wrapped: Uint8Array<ArrayBuffer>
}

/** The data keys of one log, all wrapped under the wrapper named; `pending` is there while a rotation runs. */
export interface Keyring {
  readonly wrapperId: string
  readonly current: WrappedKey
  readonly pending: WrappedKey | null
}

/** A data key in the clear, with its id as hexadecimal text. */
export interface OpenKey {
  readonly id: string
  readonly dek: Uint8Array<ArrayBuffer>
}

/** Data keys in the clear. */
export interface OpenKeyring {
  readonly current: OpenKey
  readonly pending: OpenKey | null
}

/** Largest wrapped key: room for what a key management service answers. */
export const MAX_WRAPPED_BYTES = 4096

const MAGIC = 0x4c574b52 // "LWKR"
const VERSION = 1
const WRAPPER_ID = /^[\x21-\x7e]{1,128}$/

const malformed = (what: string): RaftLogError =>
  new RaftLogError('KEYS_MALFORMED', `key ring ${what}; restore it from a backup`)

/**
 * "LWKR" ‖ version(1) ‖ number of keys(1) ‖ length(1) wrapper id ‖ keys, each id(16) ‖ length(2) wrapped.
 *
 * @throws RangeError if the wrapper's id or a length lies outside the format.
 */
export function encodeKeyring(ring: Keyring): Uint8Array<ArrayBuffer> {
  if (!WRAPPER_ID.test(ring.wrapperId)) throw new RangeError('wrapper id must be 1 to 128 visible ASCII characters')
  const keys = ring.pending === null ? [ring.current] : [ring.current, ring.pending]
  const id = new TextEncoder().encode(ring.wrapperId)
  const size = keys.reduce((sum, key) => sum + KEY_ID_BYTES + 2 + key.wrapped.length, 7 + id.length)
  const out = byteWriter(size).u32(MAGIC).u8(VERSION).u8(keys.length).u8(id.length).bytes(id)
  for (const key of keys) {
    if (key.id.length !== KEY_ID_BYTES) throw new RangeError(`key id must have ${KEY_ID_BYTES} bytes`)
    if (key.wrapped.length === 0 || key.wrapped.length > MAX_WRAPPED_BYTES) {
      throw new RangeError(`wrapped key must have 1 to ${MAX_WRAPPED_BYTES} bytes, got ${key.wrapped.length}`)
    }
    out.bytes(key.id).u16(key.wrapped.length).bytes(key.wrapped)
  }
  return out.written()
}

/**
 * Reads what {@link encodeKeyring} wrote; nothing else has this form.
 *
 * @throws {@link RaftLogError} `KEYS_MALFORMED` for anything else, `RECORD_UNSUPPORTED_VERSION` for a later version.
 */
export function decodeKeyring(bytes: Uint8Array): Keyring {
  const cursor = byteCursor(bytes, () => malformed('ends too early'))
  if (cursor.u32() !== MAGIC) throw malformed('does not begin with its mark')
  const version = cursor.u8()
  if (version !== VERSION) {
    throw new RaftLogError('RECORD_UNSUPPORTED_VERSION', `key ring has version ${version}; use a release that knows it`)
  }
  const count = cursor.u8()
  if (count !== 1 && count !== 2) throw malformed('must hold one or two keys')
  const wrapperId = Array.from(cursor.bytes(cursor.u8()), (byte) => String.fromCharCode(byte)).join('')
  if (!WRAPPER_ID.test(wrapperId)) throw malformed('names its wrapper in characters it may not use')
  const readKey = (): WrappedKey => {
    const id = cursor.bytes(KEY_ID_BYTES)
    const length = cursor.u16()
    if (length === 0 || length > MAX_WRAPPED_BYTES) throw malformed('holds a key of an impossible length')
    return { id, wrapped: cursor.bytes(length) }
  }
  const current = readKey()
  const pending = count === 2 ? readKey() : null
  if (cursor.remaining() !== 0) throw malformed('goes on after its end')
  if (pending !== null && formatHex(pending.id) === formatHex(current.id)) throw malformed('holds one key twice')
  return { wrapperId, current, pending }
}

/** Wraps data keys under a wrapper. */
export async function wrapKeyring(keys: OpenKeyring, wrapper: KeyWrapper, suite: CipherSuite): Promise<Keyring> {
  const wrapOne = async (key: OpenKey): Promise<WrappedKey> => ({
    id: dekId(key.dek, suite),
    wrapped: await wrapper.wrap(key.dek),
  })
  return {
    wrapperId: wrapper.id,
    current: await wrapOne(keys.current),
    pending: keys.pending === null ? null : await wrapOne(keys.pending),
  }
}

/**
 * Unwraps one data key of a ring.
 *
 * @throws {@link RaftLogError} `KEYS_LOCKED` if no lock was offered for a locked ring, `KEYS_WRONG` if the wrapper is
 * not the one it is locked with, `KEYS_MALFORMED` if the key is not the one that the ring names.
 */
export async function unwrapKey(
  ring: Keyring,
  key: WrappedKey,
  wrapper: KeyWrapper,
  suite: CipherSuite,
): Promise<OpenKey> {
  if (isClear(wrapper.id) && !isClear(ring.wrapperId)) {
    throw new RaftLogError('KEYS_LOCKED', 'keys are locked; give the unlock key')
  }
  // Otherwise whoever writes the disk could put a ring of his own in the clear where a locked one is expected.
  const dek = isClear(ring.wrapperId) && !isClear(wrapper.id) ? null : await wrapper.unwrap(key.wrapped)
  if (dek === null) {
    const isAmongOthers = isAnyOf(ring.wrapperId) && !isAnyOf(wrapper.id)
    const cure = isAmongOthers ? 'they have several keepers, so give yours in a list of them' : 'give the right one'
    throw new RaftLogError('KEYS_WRONG', `keys do not open with this unlock key; ${cure}`)
  }
  if (dek.length !== DEK_BYTES) throw malformed('holds a data key of a wrong length')
  const id = formatHex(key.id)
  if (formatHex(dekId(dek, suite)) !== id) throw malformed('names a key that it does not hold')
  return { id, dek }
}

/**
 * Unwraps all data keys of a ring.
 *
 * @throws {@link RaftLogError} `KEYS_LOCKED`, `KEYS_WRONG` or `KEYS_MALFORMED`, as {@link unwrapKey}.
 */
export async function openKeyring(ring: Keyring, wrapper: KeyWrapper, suite: CipherSuite): Promise<OpenKeyring> {
  return {
    current: await unwrapKey(ring, ring.current, wrapper, suite),
    pending: ring.pending === null ? null : await unwrapKey(ring, ring.pending, wrapper, suite),
  }
}
