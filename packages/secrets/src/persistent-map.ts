/** Five bits of the hash choose a branch. */
const FANOUT_BITS = 5
const FANOUT = 1 << FANOUT_BITS
/** Leaves stay small enough to be copied for next to nothing. */
const LEAF_ENTRIES = 8
/** After six levels the 32 bits are used up; a leaf then grows. */
const MAX_SHIFT = 30

type Entry<V> = readonly [key: string, value: V]
type Node<V> = { readonly entries: readonly Entry<V>[] } | { readonly children: readonly (Node<V> | undefined)[] }

/** FNV-1a over UTF-16 units: even spread, no secret in it, the same on every machine. */
function hash(key: string): number {
  let h = 0x811c9dc5
  for (let at = 0; at < key.length; at += 1) h = Math.imul(h ^ key.charCodeAt(at), 0x01000193)
  return h ^ (h >>> 15)
}

const slot = (h: number, shift: number): number => (h >>> shift) & (FANOUT - 1)

function split<V>(entries: readonly Entry<V>[], shift: number): Node<V> {
  if (entries.length <= LEAF_ENTRIES || shift > MAX_SHIFT) return { entries }
  const groups: Entry<V>[][] = []
  for (const entry of entries) (groups[slot(hash(entry[0]), shift)] ??= []).push(entry)
  return {
    children: Array.from({ length: FANOUT }, (_, at) =>
      groups[at] === undefined ? undefined : split(groups[at], shift + FANOUT_BITS),
    ),
  }
}

function insert<V>(node: Node<V> | undefined, h: number, shift: number, entry: Entry<V>): Node<V> {
  if (node === undefined) return { entries: [entry] }
  if ('entries' in node) return split([...node.entries.filter(([key]) => key !== entry[0]), entry], shift)
  const at = slot(h, shift)
  return { children: node.children.with(at, insert(node.children[at], h, shift + FANOUT_BITS, entry)) }
}

function remove<V>(node: Node<V>, h: number, shift: number, key: string): Node<V> | undefined {
  if ('entries' in node) {
    const entries = node.entries.filter((entry) => entry[0] !== key)
    return entries.length === 0 ? undefined : { entries }
  }
  const at = slot(h, shift)
  const child = node.children[at]
  const children = node.children.with(at, child === undefined ? undefined : remove(child, h, shift + FANOUT_BITS, key))
  return children.every((one) => one === undefined) ? undefined : { children }
}

function* walk<V>(node: Node<V> | undefined): Generator<Entry<V>, void, void> {
  if (node === undefined) return
  if ('entries' in node) yield* node.entries
  else for (const child of node.children) yield* walk(child)
}

/**
 * An immutable map from text to values that shares its structure with the map it was made from.
 *
 * A change copies one path of the tree (at most 32 references a level) instead of the whole, so that a catalogue with a hundred
 * thousand grants changes as fast as an empty one. The order of iteration follows from the keys and the history.
 */
export class PersistentMap<V> {
  readonly #root: Node<V> | undefined
  readonly size: number

  private constructor(root: Node<V> | undefined, size: number) {
    this.#root = root
    this.size = size
  }

  /** The map without entries. */
  static empty<V>(): PersistentMap<V> {
    return new PersistentMap<V>(undefined, 0)
  }

  /** The value of a key, or `undefined`. */
  get(key: string): V | undefined {
    const h = hash(key)
    let node = this.#root
    for (let shift = 0; node !== undefined; shift += FANOUT_BITS) {
      if ('entries' in node) return node.entries.find((entry) => entry[0] === key)?.[1]
      node = node.children[slot(h, shift)]
    }
    return undefined
  }

  /** Whether the key is present. */
  has(key: string): boolean {
    return this.get(key) !== undefined
  }

  /** A map in which `key` has `value`. */
  with(key: string, value: V): PersistentMap<V> {
    return new PersistentMap(insert(this.#root, hash(key), 0, [key, value]), this.has(key) ? this.size : this.size + 1)
  }

  /** A map without `key`. */
  without(key: string): PersistentMap<V> {
    if (this.#root === undefined || !this.has(key)) return this
    return new PersistentMap(remove(this.#root, hash(key), 0, key), this.size - 1)
  }

  /** All entries, in no order that a caller may rely on. */
  entries(): Generator<Entry<V>, void, void> {
    return walk(this.#root)
  }
}
