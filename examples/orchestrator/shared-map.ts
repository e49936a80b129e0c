/** A leaf, or sixteen branches by four bits of the key's hash. */
type Tree<Value> = ReadonlyMap<string, Value> | readonly (Tree<Value> | null)[]

/** A map that is never changed: another one with an entry more or less copies one path of it and shares the rest. */
export interface SharedMap<Value> {
  readonly size: number
  readonly tree: Tree<Value>
}

const LEAF_ENTRIES = 16
const BITS = 4
const BRANCHES = 16
const HASH_BITS = 32

export const emptySharedMap = <Value>(): SharedMap<Value> => ({ size: 0, tree: new Map() })

const isLeaf = <Value>(tree: Tree<Value>): tree is ReadonlyMap<string, Value> => tree instanceof Map

/** FNV-1a with a final mix: ids that differ in few letters spread, too. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}

const branchAt = (hash: number, depth: number): number => (hash >>> depth) & (BRANCHES - 1)

export function lookUp<Value>(map: SharedMap<Value>, key: string): Value | null {
  const hash = hashOf(key)
  let tree: Tree<Value> | null = map.tree
  for (let depth = 0; tree !== null; depth += BITS) {
    if (isLeaf(tree)) return tree.get(key) ?? null
    tree = tree[branchAt(hash, depth)] ?? null
  }
  return null
}

function grown<Value>(tree: Tree<Value>, hash: number, depth: number, key: string, value: Value): Tree<Value> {
  if (isLeaf(tree)) {
    const leaf = new Map(tree).set(key, value)
    if (leaf.size <= LEAF_ENTRIES || depth >= HASH_BITS) return leaf
    const branches = Array.from({ length: BRANCHES }, () => new Map<string, Value>())
    for (const [each, held] of leaf) branches[branchAt(hashOf(each), depth)]?.set(each, held)
    return branches.map((branch) => (branch.size === 0 ? null : branch))
  }
  const at = branchAt(hash, depth)
  return tree.with(at, grown(tree[at] ?? new Map<string, Value>(), hash, depth + BITS, key, value))
}

function shrunk<Value>(tree: Tree<Value>, hash: number, depth: number, key: string): Tree<Value> | null {
  if (isLeaf(tree)) {
    const leaf = new Map(tree)
    leaf.delete(key)
    return leaf.size === 0 ? null : leaf
  }
  const at = branchAt(hash, depth)
  const branch = tree[at] ?? null
  const branches = tree.with(at, branch === null ? null : shrunk(branch, hash, depth + BITS, key))
  return branches.every((each) => each === null) ? null : branches
}

export function withEntry<Value>(map: SharedMap<Value>, key: string, value: Value): SharedMap<Value> {
  const size = lookUp(map, key) === null ? map.size + 1 : map.size
  return { size, tree: grown(map.tree, hashOf(key), 0, key, value) }
}

/** The same map when it has no such key. */
export function withoutEntry<Value>(map: SharedMap<Value>, key: string): SharedMap<Value> {
  if (lookUp(map, key) === null) return map
  return { size: map.size - 1, tree: shrunk(map.tree, hashOf(key), 0, key) ?? new Map() }
}

function* walk<Value>(tree: Tree<Value> | null): Generator<Value, void, void> {
  if (tree === null) return
  if (isLeaf(tree)) yield* tree.values()
  else for (const branch of tree) yield* walk(branch)
}

/** In no order that means anything. */
export const valuesOf = <Value>(map: SharedMap<Value>): Generator<Value, void, void> => walk(map.tree)
