import { RaftLogError } from '../errors.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { UNLOCK_KEY_BYTES } from '../keys/key-wrapper.ts'
import type { RandomSource } from '../ports.ts'
import { equalBytes } from './equal-bytes.ts'
import { labelledHash } from './labelled-hash.ts'
import { polynomialThrough, splitBytes } from './polynomial.ts'
import {
  formatSetId,
  formatShare,
  MAX_SHARES,
  parseShare,
  SET_ID_BYTES,
  type Share,
  type ShareLabel,
} from './share-text.ts'
import { subsets } from './subsets.ts'

/** How a key is split. */
export interface SplitOptions {
  /** How many shares give the key back, 2 to `n`. */
  readonly k: number
  /** How many shares are made, up to {@link MAX_SHARES}. */
  readonly n: number
  /** Draws the coefficients: 32 bytes for each share needed but one. */
  readonly random: RandomSource
}

const SET_LABEL = 'leastwise unlock share set v1'
// Choices of k shares that are tried to find the wrong ones among too many, and products in the field for all of them.
// Finding them is a service; these keep it under about a second.
const MAX_TRIES = 256
const MAX_PRODUCTS = 2 ** 24

/**
 * The id of a set: a hash of the values at 1 to k, which fix the polynomials in every point. It could not be a hash of the
 * key alone: two holders could then change their shares so that the changes cancel out in the key, and others get the blame.
 */
function setIdOf(values: readonly Uint8Array[], { k, n }: { readonly k: number; readonly n: number }): string {
  const all = byteWriter(k * UNLOCK_KEY_BYTES)
  for (const value of values) all.bytes(value)
  const bytes = all.written()
  const id = labelledHash(SET_LABEL, [Uint8Array.of(k, n), bytes], SET_ID_BYTES)
  bytes.fill(0)
  return formatSetId(id)
}

/**
 * Splits an unlock key among `n` people, any `k` of whom can unlock (Shamir's secret sharing over GF(2^8)).
 *
 * Fewer than `k` points fit every key equally well. The set id in every share is a hash over the key and all that was
 * drawn; it could serve to check a guess of the key, which for 32 random bytes is none. So never split anything else.
 *
 * @param key - 32 random bytes; the caller may wipe them afterwards.
 * @returns Texts of the form `LWSHARE-1-3of5-2-…`, each a secret of its own. Splitting again makes another set.
 * @throws TypeError or RangeError if the key is not 32 bytes or the numbers are out of range.
 */
export function splitUnlockKey(key: Uint8Array, { k, n, random }: SplitOptions): readonly string[] {
  if (!(key instanceof Uint8Array)) throw new TypeError('unlock key must be a Uint8Array')
  if (key.length !== UNLOCK_KEY_BYTES) {
    throw new RangeError(`unlock key must have ${UNLOCK_KEY_BYTES} bytes, got ${key.length}`)
  }
  if (!Number.isInteger(n) || n < 2 || n > MAX_SHARES) throw new RangeError(`n must be 2 to ${MAX_SHARES}`)
  if (!Number.isInteger(k) || k < 2 || k > n) throw new RangeError(`k must be 2 to ${n}`)
  const points = splitBytes(key, { k, n, random })
  const setId = setIdOf(
    points.slice(0, k).map(({ y }) => y),
    { k, n },
  )
  return points.map((point) => {
    const text = formatShare({ label: { setId, k, n, index: point.x }, point })
    point.y.fill(0)
    return text
  })
}

/**
 * What a share says about itself, so that a host can say how many are still needed while they come in.
 *
 * @throws {@link RaftLogError} `SHARE_MALFORMED`, `SHARE_UNSUPPORTED_VERSION` or `SHARE_DAMAGED`.
 */
export function describeShare(text: string): ShareLabel {
  const { label, point } = parseShare(text, 1)
  point.y.fill(0)
  return label
}

/**
 * Puts an unlock key together again.
 *
 * Shares beyond the needed ones are checked, too: one that does not belong to the others is refused, and named if the
 * others suffice to know it. With no share to spare a wrong one is noticed, but not which one it is.
 *
 * @param texts - Shares of one set, each once, in any order.
 * @returns The 32 bytes of the key, proven to be the ones that were split.
 * @throws {@link RaftLogError} `SHARE_MALFORMED`, `SHARE_UNSUPPORTED_VERSION` or `SHARE_DAMAGED` for a share that is none;
 * `SHARES_MIXED`, `SHARES_REPEATED` or `SHARES_TOO_FEW` for a list that cannot do; `SHARES_WRONG` if a share is not the one
 * that was made. `shares` of the error says which.
 */
export function combineShares(texts: readonly string[]): Uint8Array<ArrayBuffer> {
  if (texts.length > MAX_SHARES) throw new RangeError(`at most ${MAX_SHARES} shares can be combined`)
  const shares = texts.map((text, at) => parseShare(text, at + 1))
  try {
    return combine(shares)
  } finally {
    for (const { point } of shares) point.y.fill(0)
  }
}

function combine(shares: readonly Share[]): Uint8Array<ArrayBuffer> {
  const label = oneSet(shares)
  const points = shares.map(({ point }) => point)
  const tries = Math.min(MAX_TRIES, Math.ceil(MAX_PRODUCTS / (label.k * label.k * UNLOCK_KEY_BYTES)))
  for (const chosen of subsets(points, label.k, tries)) {
    const valueAt = polynomialThrough(chosen)
    if (!leadsTo(label, valueAt)) continue
    const wrong = points.flatMap(({ x, y }, at) => (equalBytes(valueAt(x), y) ? [] : [at + 1]))
    if (wrong.length === 0) return valueAt(0)
    throw new RaftLogError('SHARES_WRONG', `not what was made: share ${wrong.join(', ')}; leave it out`, {
      shares: wrong,
    })
  }
  throw new RaftLogError('SHARES_WRONG', 'one share or more is not what was made; add a good share to find out which')
}

/** Whether these are the polynomials that were drawn. */
function leadsTo(label: ShareLabel, valueAt: (x: number) => Uint8Array<ArrayBuffer>): boolean {
  const values = Array.from({ length: label.k }, (_, at) => valueAt(at + 1))
  const found = setIdOf(values, label) === label.setId
  for (const value of values) value.fill(0)
  return found
}

/** The label that all shares agree on. */
function oneSet(shares: readonly Share[]): ShareLabel {
  const sets = new Map<string, number[]>()
  shares.forEach(({ label: { setId, k, n } }, at) => {
    const set = `${k}of${n}-${setId}`
    sets.set(set, [...(sets.get(set) ?? []), at + 1])
  })
  const [largest = [], ...others] = [...sets.values()].sort((a, b) => b.length - a.length)
  const foreign = others.flat().sort((a, b) => a - b)
  if (foreign.length > 0) {
    throw new RaftLogError('SHARES_MIXED', `of another set: share ${foreign.join(', ')}; give shares of one set only`, {
      shares: foreign,
    })
  }
  const seen = new Set<number>()
  const repeated = shares.flatMap(({ label: { index } }, at) => (seen.size === seen.add(index).size ? [at + 1] : []))
  if (repeated.length > 0) {
    throw new RaftLogError('SHARES_REPEATED', `given before: share ${repeated.join(', ')}; give each share once`, {
      shares: repeated,
    })
  }
  const label = shares[(largest[0] ?? 1) - 1]?.label
  if (label === undefined || shares.length < label.k) {
    const needed = label === undefined ? 'two or more are' : `${label.k} are`
    throw new RaftLogError('SHARES_TOO_FEW', `got ${shares.length} shares, but ${needed} needed; ask for more`)
  }
  return label
}
