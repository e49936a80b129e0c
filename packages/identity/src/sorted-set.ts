/** Items in a changing order, of which the first and the last ones are wanted. Changed in place, unlike a map of the state. */
export interface SortedSet<Item> {
  readonly size: () => number
  /** Adds what is not in it. */
  readonly add: (item: Item) => void
  /** Removes what is in it, or another item that compares as the same. */
  readonly remove: (item: Item) => void
  readonly clear: () => void
  /** From the first one on. Nothing may be added or removed meanwhile. */
  readonly values: () => Generator<Item, void, void>
  /** How many are at the end for which this holds; it holds for all after the first one for which it does. */
  readonly countLast: (holds: (item: Item) => boolean) => number
}

/** Adding moves this many references at most, and ten thousand items make some hundred chunks. */
const MAX_CHUNK = 128

/** An empty set in the order of `compare`, in which no two items are equal. Adding and removing takes some twenty comparisons. */
export function createSortedSet<Item>(compare: (a: Item, b: Item) => number): SortedSet<Item> {
  // No chunk is ever empty.
  const chunks: Item[][] = []
  let size = 0

  /** The first place for which `isPast` holds, which holds for all after it. */
  const firstOf = <Each>(list: readonly Each[], isPast: (each: Each) => boolean): number => {
    let low = 0
    let high = list.length
    while (low < high) {
      const middle = (low + high) >> 1
      const each = list[middle]
      if (each !== undefined && isPast(each)) high = middle
      else low = middle + 1
    }
    return low
  }
  const endsFrom = (isPast: (item: Item) => boolean): number =>
    firstOf(chunks, (chunk) => {
      const last = chunk.at(-1)
      return last !== undefined && isPast(last)
    })

  return {
    size: () => size,
    clear: () => {
      chunks.length = 0
      size = 0
    },
    add: (item) => {
      const isPast = (each: Item): boolean => compare(each, item) >= 0
      size += 1
      const at = Math.min(endsFrom(isPast), Math.max(0, chunks.length - 1))
      const chunk = chunks[at]
      if (chunk === undefined) {
        chunks.push([item])
        return
      }
      chunk.splice(firstOf(chunk, isPast), 0, item)
      if (chunk.length > MAX_CHUNK) chunks.splice(at + 1, 0, chunk.splice(MAX_CHUNK >> 1))
    },
    remove: (item) => {
      const isPast = (each: Item): boolean => compare(each, item) >= 0
      const at = endsFrom(isPast)
      const chunk = chunks[at]
      const place = chunk === undefined ? -1 : firstOf(chunk, isPast)
      const found = chunk?.[place]
      if (chunk === undefined || found === undefined || compare(found, item) !== 0) return
      size -= 1
      chunk.splice(place, 1)
      if (chunk.length === 0) chunks.splice(at, 1)
    },
    values: function* () {
      for (const chunk of chunks) yield* chunk
    },
    countLast: (holds) => {
      const at = endsFrom(holds)
      const chunk = chunks[at]
      if (chunk === undefined) return 0
      let count = chunk.length - firstOf(chunk, holds)
      for (const { length } of chunks.slice(at + 1)) count += length
      return count
    },
  }
}
