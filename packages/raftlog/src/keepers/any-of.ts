import { RaftLogError } from '../errors.ts'
import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { formatHex } from '../format/hex.ts'
import { ANY_OF_PREFIX, isClear } from '../keys/key-wrapper.ts'
import { MAX_WRAPPED_BYTES } from '../keys/keyring.ts'
import type { KeyWrapper } from '../ports.ts'
import { labelledHash } from './labelled-hash.ts'

/** Most keepers of one key: a few people, a service and a machine; more belong into shares. */
export const MAX_KEEPERS = 8

const MARK = 0x4c574b41 // "LWKA"
const VERSION = 1
const ID = /^[\x21-\x7e]{1,128}$/
const ID_LABEL = 'leastwise any of keepers id v1'
const ID_BYTES = 8
const HEAD_BYTES = 6

interface Wrapping {
  readonly id: string
  readonly wrapped: Uint8Array<ArrayBuffer>
}

/** "LWKA" ‖ version(1) ‖ number of wrappings(1) ‖ wrappings, each length(1) keeper id ‖ length(2) wrapped key. */
function encode(wrappings: readonly Wrapping[]): Uint8Array<ArrayBuffer> {
  const size = wrappings.reduce((sum, { id, wrapped }) => sum + 3 + id.length + wrapped.length, HEAD_BYTES)
  if (size > MAX_WRAPPED_BYTES || wrappings.some(({ wrapped }) => wrapped.length === 0)) {
    throw new RaftLogError(
      'KEEPER_WRAPPING_TOO_LARGE',
      `wrappings have ${size} bytes, but each must have some and all at most ${MAX_WRAPPED_BYTES}; use fewer keepers`,
    )
  }
  const out = byteWriter(size).u32(MARK).u8(VERSION).u8(wrappings.length)
  for (const { id, wrapped } of wrappings) {
    out.u8(id.length).bytes(new TextEncoder().encode(id)).u16(wrapped.length).bytes(wrapped)
  }
  return out.written()
}

/** The wrappings, or null if the bytes are not exactly what {@link encode} writes. */
function decode(bytes: Uint8Array): readonly Wrapping[] | null {
  if (bytes.length > MAX_WRAPPED_BYTES) return null
  const short = new RangeError('ends too early')
  const cursor = byteCursor(bytes, () => short)
  try {
    if (cursor.u32() !== MARK || cursor.u8() !== VERSION) return null
    const count = cursor.u8()
    if (count === 0 || count > MAX_KEEPERS) return null
    const wrappings = Array.from({ length: count }, (): Wrapping => {
      const id = Array.from(cursor.bytes(cursor.u8()), (byte) => String.fromCharCode(byte)).join('')
      return { id, wrapped: cursor.bytes(cursor.u16()) }
    })
    const proper = wrappings.every(({ id, wrapped }) => ID.test(id) && wrapped.length > 0)
    return proper && cursor.remaining() === 0 ? wrappings : null
  } catch (error) {
    if (error === short) return null
    throw error
  }
}

/**
 * The ids of the keepers that can open a wrapped key, or null if it was not wrapped by {@link anyOf}. With it a host can
 * say which of several keys to bring.
 */
export const keepersOf = (wrapped: Uint8Array): readonly string[] | null => decode(wrapped)?.map(({ id }) => id) ?? null

/**
 * A wrapper made of several, each of which can unlock alone: say a passphrase, and a key management service.
 *
 * `wrap` asks every keeper and fails if one does: a key that a keeper was promised and did not get would be noticed only
 * when it is needed. `unwrap` asks the keepers in the order given, as far as they are named in what was wrapped, until one
 * opens it. It fails only if none opens it and one was out of reach.
 *
 * What is wrapped next is for the keepers of this list and no others. To open with some of them is fine; to rotate,
 * give all of them, or the others are out. In this way a keeper is added or removed: `rewrap` with the new list.
 *
 * @param keepers - One to {@link MAX_KEEPERS} wrappers with a lock; two of them may have one id.
 * @returns The wrapper. Its id depends on the set of ids alone.
 * @throws TypeError if one of them is the wrapper without a lock, RangeError if there are none or too many, or if an id is
 * not 1 to 128 visible ASCII characters.
 */
export function anyOf(keepers: readonly KeyWrapper[]): KeyWrapper {
  const all = [...keepers]
  if (all.length === 0 || all.length > MAX_KEEPERS) throw new RangeError(`keepers must be 1 to ${MAX_KEEPERS}`)
  for (const { id } of all) {
    if (isClear(id)) throw new TypeError('a keeper must have a lock; the clear wrapper would open for everybody')
    if (!ID.test(id)) throw new RangeError('id of a keeper must be 1 to 128 visible ASCII characters')
  }
  const ids = new TextEncoder().encode(
    all
      .map(({ id }) => id)
      .sort()
      .join('\n'),
  )
  return {
    id: `${ANY_OF_PREFIX}${formatHex(labelledHash(ID_LABEL, [ids], ID_BYTES))}`,
    wrap: async (key) => {
      const wrappings: Wrapping[] = []
      for (const keeper of all) wrappings.push({ id: keeper.id, wrapped: await keeper.wrap(key) })
      return encode(wrappings)
    },
    unwrap: async (wrapped) => {
      const failures: { readonly error: unknown }[] = []
      const wrappings = decode(wrapped) ?? []
      for (const keeper of all) {
        for (const wrapping of wrappings.filter(({ id }) => id === keeper.id)) {
          try {
            const key = await keeper.unwrap(wrapping.wrapped)
            if (key !== null) return key
          } catch (error) {
            failures.push({ error })
          }
        }
      }
      const [first] = failures
      if (first !== undefined) throw first.error
      return null
    },
  }
}
