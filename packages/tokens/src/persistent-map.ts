// A map that shares all but one path with its predecessor: `put` on ten thousand entries copies four small objects, not ten thousand
// entries. A trie over the characters of the key; a branch has at most one child for each character and one, '', for a key that ends
// there. Plain objects only, so that a state made of it goes through JSON unharmed. Keys are hashes and random ids, which keeps it flat.

interface Leaf<V> {
  readonly key: string
  readonly value: V
}

interface Branch<V> {
  readonly children: Readonly<Record<string, MapNode<V>>>
}

export type MapNode<V> = Leaf<V> | Branch<V>

/** An immutable map with string keys. */
export interface PersistentMap<V> {
  readonly size: number
  readonly root: MapNode<V> | null
}

const EMPTY: PersistentMap<never> = { size: 0, root: null }

export const emptyMap = <V>(): PersistentMap<V> => EMPTY

export function get<V>(map: PersistentMap<V>, key: string): V | null {
  let node = map.root
  for (let depth = 0; node !== null; depth += 1) {
    if ('key' in node) return node.key === key ? node.value : null
    node = node.children[key.charAt(depth)] ?? null
  }
  return null
}

export function put<V>(map: PersistentMap<V>, key: string, value: V): PersistentMap<V> {
  const leaf = { key, value }
  if (map.root === null) return { size: 1, root: leaf }
  const size = get(map, key) === null ? map.size + 1 : map.size
  return { size, root: putAt(map.root, leaf, 0) }
}

export function remove<V>(map: PersistentMap<V>, key: string): PersistentMap<V> {
  if (map.root === null || get(map, key) === null) return map
  return { size: map.size - 1, root: removeAt(map.root, key, 0) }
}

export function* values<V>(map: PersistentMap<V>): Generator<V, void, void> {
  if (map.root !== null) yield* valuesOf(map.root)
}

function putAt<V>(node: MapNode<V>, leaf: Leaf<V>, depth: number): MapNode<V> {
  const step = leaf.key.charAt(depth)
  if ('key' in node) {
    if (node.key === leaf.key) return leaf
    return putAt({ children: { [node.key.charAt(depth)]: node } }, leaf, depth)
  }
  const child = node.children[step]
  return { children: { ...node.children, [step]: child === undefined ? leaf : putAt(child, leaf, depth + 1) } }
}

function removeAt<V>(node: MapNode<V>, key: string, depth: number): MapNode<V> | null {
  if ('key' in node) return null
  const step = key.charAt(depth)
  const { [step]: child, ...others } = node.children
  const rest = child === undefined ? null : removeAt(child, key, depth + 1)
  const children = rest === null ? others : { ...others, [step]: rest }
  const left = Object.values(children)
  // A branch that is left with one leaf becomes that leaf: the shape depends on the keys alone, not on the way there.
  const only = left.length === 1 ? left[0] : undefined
  if (only !== undefined && 'key' in only) return only
  return { children }
}

function* valuesOf<V>(node: MapNode<V>): Generator<V, void, void> {
  if ('key' in node) {
    yield node.value
    return
  }
  for (const child of Object.values(node.children)) yield* valuesOf(child)
}
