import { encodeBase36 } from './base36.ts'
import { draw } from './draw.ts'
import { TokenError } from './errors.ts'
import type { RandomSource } from './ports.ts'

// Docker Swarm's ids: a 136-bit number whose top bit is set always has 27 digits in base 36; without the first and the last of them
// 25 remain, about 129 bits.
const ID_RANDOM_BYTES = 17
const ID_NUMBER_DIGITS = 27
const SHAPE = /^[0-9a-z]{25}$/

declare const id: unique symbol

/** A random name of 25 characters, `0-9 a-z`: of a token, a node, a cluster, a secret. Public, and never used twice. */
export type Id = string & { readonly [id]: true }

/** A fresh id, with one draw of 17 bytes. About 129 bits, so nobody has to ask whether it is taken. */
export function createId(random: RandomSource): Id {
  const bytes = draw(random, ID_RANDOM_BYTES)
  bytes[0] = (bytes[0] ?? 0) | 0x80
  return encodeBase36(bytes, ID_NUMBER_DIGITS).slice(1, -1) as Id
}

/**
 * Reads an id.
 *
 * @throws {@link TokenError} `ID_MALFORMED` when it is not 25 characters of `0-9 a-z`.
 */
export function parseId(text: string): Id {
  if (SHAPE.test(text)) return text as Id
  throw new TokenError(
    'ID_MALFORMED',
    'id does not have 25 characters of 0-9 and a-z; copy the whole id as it was printed',
  )
}
