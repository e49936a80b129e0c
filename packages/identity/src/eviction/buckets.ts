const ROWS = 64
const COLUMNS = 64

/** How many there are. A million entries make buckets of about 244. */
export const BUCKETS: number = ROWS * COLUMNS

/** 4096 places that are never changed: replacing one copies one row of 64 and shares the rest. */
export interface Buckets<Bucket> {
  readonly rows: readonly (readonly (Bucket | null)[] | null)[]
}

/** All places empty. */
export const emptyBuckets = <Bucket>(): Buckets<Bucket> => ({ rows: new Array<null>(ROWS).fill(null) })

/** What stands in place `number`, or `null`. */
export const bucketOf = <Bucket>(buckets: Buckets<Bucket>, number: number): Bucket | null =>
  buckets.rows[number >> 6]?.[number & 63] ?? null

/** Buckets in which the given places hold something else; `null` empties one. */
export function withBuckets<Bucket>(
  buckets: Buckets<Bucket>,
  changes: Iterable<readonly [number, Bucket | null]>,
): Buckets<Bucket> {
  const rows = buckets.rows.slice()
  const fresh = new Map<number, (Bucket | null)[]>()
  for (const [number, bucket] of changes) {
    const at = number >> 6
    const row = fresh.get(at) ?? rows[at]?.slice() ?? new Array<Bucket | null>(COLUMNS).fill(null)
    fresh.set(at, row)
    row[number & 63] = bucket
  }
  // Equal contents have equal shape whatever their history.
  for (const [at, row] of fresh) rows[at] = row.every((each) => each === null) ? null : row
  return { rows }
}

/** The places that hold something, in their order. */
export function* occupied<Bucket>(buckets: Buckets<Bucket>): Generator<readonly [number, Bucket], void, void> {
  for (const [at, row] of buckets.rows.entries()) {
    if (row === null) continue
    for (const [column, bucket] of row.entries()) if (bucket !== null) yield [at * COLUMNS + column, bucket]
  }
}

/** Where a key belongs, and 64 bits that tell it from the others there. */
export interface Placed {
  readonly bucket: number
  readonly high: number
  readonly low: number
}

/**
 * 76 bits of a key. Not a cryptographic hash, and none is needed: ids and serial numbers are drawn by the managers at random, nobody
 * who gains by a collision chooses one. By chance, among a million entries and as many peers, two meet once in 10^11 clusters.
 *
 * @param kind - A letter that tells kinds of keys apart.
 */
export function place(kind: 'n' | 's', key: string): Placed {
  const first = kind.charCodeAt(0)
  let a = 0x811c9dc5 ^ first
  let b = 0x6b43a9b5 + first
  let c = 0x9e3779b9 - first
  for (let at = 0; at < key.length; at += 1) {
    const code = key.charCodeAt(at)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 13)
    c = Math.imul(c ^ code, 0xc2b2ae35) ^ (c >>> 15)
  }
  return { bucket: mix(a) & (BUCKETS - 1), high: mix(b ^ (a >>> 7)), low: mix(c ^ (b >>> 11)) }
}

/** Lets each bit of the input act on each bit of the result, as a number from 0 to 2^32 - 1. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39)
  return (hash ^ (hash >>> 15)) >>> 0
}
