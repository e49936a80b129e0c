import { RaftLogError } from '../errors.ts'
import { UNLOCK_KEY_BYTES } from '../keys/key-wrapper.ts'
import { formatBase36, parseBase36 } from './base36.ts'
import { labelledHash } from './labelled-hash.ts'
import type { Point } from './polynomial.ts'

/** Most shares of one key: the field has 255 elements besides 0. */
export const MAX_SHARES = 255

/** What a share says about itself; nothing of it is secret. */
export interface ShareLabel {
  /**
   * Names the splitting it comes from, 25 digits of base 36: a hash of everything that was split and drawn. Only shares of
   * one set go together.
   */
  readonly setId: string
  /** How many shares are needed. */
  readonly k: number
  /** How many shares were made. */
  readonly n: number
  /** Which one this is, from 1 to `n`. */
  readonly index: number
}

/** A share: its label and its point of the polynomial. */
export interface Share {
  readonly label: ShareLabel
  readonly point: Point
}

/** Bytes of a set id: nobody makes other shares that lead to a given one. */
export const SET_ID_BYTES = 16

const PREFIX = 'LWSHARE'
const VERSION = '1'
// ceil(bits / log2(36)): 128 bits, 256 bits, 40 bits.
const SET_ID_DIGITS = 25
const VALUE_DIGITS = 50
const CHECK_DIGITS = 8
// A typing error stays unseen once in 10^12; against a forger no checksum helps, the set id does.
const CHECK_BYTES = 5
const CHECK_LABEL = 'leastwise unlock share check v1'
// The longest text in this form has 110 characters; no later version is expected to need ten times as many.
const MAX_CHARS = 1024

const VERSIONED = /^LWSHARE-(\d{1,4})-/
const SHAPE = new RegExp(
  `^${PREFIX}-${VERSION}-([1-9]\\d{0,2})of([1-9]\\d{0,2})-([1-9]\\d{0,2})-([0-9a-z]{${SET_ID_DIGITS}})` +
    `-([0-9a-z]{${VALUE_DIGITS}})-([0-9a-z]{${CHECK_DIGITS}})$`,
)

/** The text of a set id. */
export const formatSetId = (bytes: Uint8Array): string => formatBase36(bytes, SET_ID_DIGITS)

const checkOf = (body: string): string =>
  formatBase36(labelledHash(CHECK_LABEL, [new TextEncoder().encode(body)], CHECK_BYTES), CHECK_DIGITS)

/** `LWSHARE-1-<k>of<n>-<index>-<set id: 25>-<value: 50>-<check: 8>`, the last three in base 36. */
export function formatShare({ label, point }: Share): string {
  const head = `${PREFIX}-${VERSION}-${label.k}of${label.n}-${label.index}-${label.setId}`
  const body = `${head}-${formatBase36(point.y, VALUE_DIGITS)}`
  return `${body}-${checkOf(body)}`
}

/**
 * Reads what {@link formatShare} wrote; nothing else has this form.
 *
 * @param nth - The place of the text in the list that was given, for the error.
 * @throws {@link RaftLogError} `SHARE_MALFORMED`, `SHARE_UNSUPPORTED_VERSION` or `SHARE_DAMAGED`.
 */
export function parseShare(text: string, nth: number): Share {
  const blame = { shares: [nth] }
  const malformed = (what: string): RaftLogError =>
    new RaftLogError('SHARE_MALFORMED', `share ${nth} ${what}; copy the whole share as it was printed`, blame)
  if (text.length > MAX_CHARS) throw malformed('is too long')
  const version = VERSIONED.exec(text)?.[1]
  if (version !== undefined && version !== VERSION) {
    throw new RaftLogError('SHARE_UNSUPPORTED_VERSION', `share ${nth} is not of version 1; use a later release`, blame)
  }
  const parts = SHAPE.exec(text)
  if (parts === null) throw malformed('does not have its parts')
  const [, k = '', n = '', index = '', setId = '', value = '', check = ''] = parts
  if (check !== checkOf(text.slice(0, -CHECK_DIGITS - 1))) {
    throw new RaftLogError('SHARE_DAMAGED', `share ${nth} has a wrong character; compare it with its original`, blame)
  }
  const label: ShareLabel = { setId, k: Number(k), n: Number(n), index: Number(index) }
  if (label.k < 2 || label.k > label.n || label.n > MAX_SHARES || label.index > label.n) {
    throw malformed('has numbers that do not fit together')
  }
  const y = parseBase36(value, UNLOCK_KEY_BYTES)
  if (y === null || parseBase36(setId, SET_ID_BYTES) === null) throw malformed('holds a value that is too large')
  return { label, point: { x: label.index, y } }
}
