const ROWS = 64
const COLUMNS = 64

type Shard<Value> = ReadonlyMap<string, Value>
type Row<Value> = readonly (Shard<Value> | null)[]

/**
 * A map that is never changed: adding or removing copies one row of 64 and one shard, and shares the other 4095 shards
 * with the map before. 100 000 entries make shards of about 25, so one change copies some 150 references.
 *
 * Equal contents have equal shape whatever their history, so two maps can be compared by their structure.
 */
export interface ShardedMap<Value> {
  readonly size: number
  readonly rows: readonly (Row<Value> | null)[]
}

/** The map without entries. */
export const emptyShardedMap = <Value>(): ShardedMap<Value> => ({ size: 0, rows: new Array<null>(ROWS).fill(null) })

/** FNV-1a with a final mix, so that keys that differ in few letters spread as well as random ones. */
function shardNumber(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) & (ROWS * COLUMNS - 1)
}

const shardOf = <Value>(map: ShardedMap<Value>, number: number): Shard<Value> | null =>
  map.rows[Math.trunc(number / COLUMNS)]?.[number % COLUMNS] ?? null

function withShard<Value>(
  map: ShardedMap<Value>,
  number: number,
  shard: Shard<Value>,
  size: number,
): ShardedMap<Value> {
  const at = Math.trunc(number / COLUMNS)
  const row = map.rows[at]?.slice() ?? new Array<Shard<Value> | null>(COLUMNS).fill(null)
  row[number % COLUMNS] = shard.size === 0 ? null : shard
  const rows = map.rows.slice()
  rows[at] = row.every((each) => each === null) ? null : row
  return { size, rows }
}

/** The value under `key`, or `null`. */
export const lookUp = <Value>(map: ShardedMap<Value>, key: string): Value | null =>
  shardOf(map, shardNumber(key))?.get(key) ?? null

/** A map in which `key` holds `value`. */
export function withEntry<Value>(map: ShardedMap<Value>, key: string, value: Value): ShardedMap<Value> {
  const number = shardNumber(key)
  const shard = new Map(shardOf(map, number))
  const added = shard.has(key) ? 0 : 1
  return withShard(map, number, shard.set(key, value), map.size + added)
}

/** A map without `key`; the same map when it had none. */
export function withoutEntry<Value>(map: ShardedMap<Value>, key: string): ShardedMap<Value> {
  const number = shardNumber(key)
  const shard = new Map(shardOf(map, number))
  return shard.delete(key) ? withShard(map, number, shard, map.size - 1) : map
}

/** All values, in no promised order. */
export function* valuesOf<Value>(map: ShardedMap<Value>): Generator<Value, void, void> {
  for (const row of map.rows) {
    if (row === null) continue
    for (const shard of row) if (shard !== null) yield* shard.values()
  }
}

/**
 * The keys that have another value, or are in one of the maps only, in no promised order. What both maps share is not looked at: the cost is that
 * of the changes between them, whichever came first.
 */
export function* changedKeys<Value>(
  before: ShardedMap<Value>,
  after: ShardedMap<Value>,
): Generator<string, void, void> {
  if (before === after) return
  for (let at = 0; at < ROWS; at += 1) {
    const [old, row] = [before.rows[at] ?? null, after.rows[at] ?? null]
    if (old === row) continue
    for (let column = 0; column < COLUMNS; column += 1) {
      const [oldShard, shard] = [old?.[column] ?? null, row?.[column] ?? null]
      if (oldShard !== shard) yield* changedIn(oldShard, shard)
    }
  }
}

function* changedIn<Value>(before: Shard<Value> | null, after: Shard<Value> | null): Generator<string, void, void> {
  if (after !== null) for (const [key, value] of after) if (before?.get(key) !== value) yield key
  if (before !== null) for (const key of before.keys()) if (after?.has(key) !== true) yield key
}

/**
 * A question about each row of a map, which is asked once for as long as that row lives: of a map that came of another one only the rows that changed are looked at.
 *
 * @param find - Given the values of one row, in no promised order.
 */
export function perRow<Value, Found>(
  find: (values: readonly Value[]) => Found,
): (map: ShardedMap<Value>) => readonly Found[] {
  const known = new WeakMap<Row<Value>, { readonly found: Found }>()
  return ({ rows }) => {
    const all: Found[] = []
    for (const row of rows) {
      if (row === null) continue
      let answer = known.get(row)
      if (answer === undefined) {
        answer = { found: find(row.flatMap((shard) => (shard === null ? [] : [...shard.values()]))) }
        known.set(row, answer)
      }
      all.push(answer.found)
    }
    return all
  }
}
