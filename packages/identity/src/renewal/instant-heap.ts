const FIRST_CAPACITY = 64
/** Four children: half as deep as with two, and the children of one place lie side by side. */
const LOG_CHILDREN = 2
const CHILDREN = 1 << LOG_CHILDREN

/** Numbers and their instants, the earliest first; of equal instants the lowest number. */
export interface InstantHeap {
  readonly size: () => number
  /** The instant of `id`, or `null`. */
  readonly at: (id: number) => number | null
  /** Puts `id` at an instant, wherever it was. */
  readonly set: (id: number, at: number) => void
  /** False when it was not there. */
  readonly remove: (id: number) => boolean
  /** The earliest; -1 when empty. */
  readonly first: () => number
  /** The instant of the earliest; infinity when empty. */
  readonly firstAt: () => number
}

/**
 * A heap in three typed arrays: 8 bytes for an instant, 4 for its number, 4 for where the number is. Arrays double when full.
 */
export function createInstantHeap(capacity: number = FIRST_CAPACITY): InstantHeap {
  let ats = new Float64Array(capacity)
  let ids = new Int32Array(capacity)
  // One more than the place in the heap; 0 for a number that is not in it.
  let places = new Int32Array(capacity)
  let size = 0

  const put = (place: number, id: number, at: number): void => {
    ats[place] = at
    ids[place] = id
    places[id] = place + 1
  }

  /** Moves the hole at `place` up to where the entry may stand, and puts it there. */
  const rise = (from: number, id: number, at: number): number => {
    let place = from
    while (place > 0) {
      const above = (place - 1) >> LOG_CHILDREN
      const aboveAt = ats[above] ?? 0
      const aboveId = ids[above] ?? 0
      if (aboveAt < at || (aboveAt === at && aboveId < id)) break
      put(place, aboveId, aboveAt)
      place = above
    }
    put(place, id, at)
    return place
  }

  /** The same downwards. */
  const sink = (from: number, id: number, at: number): void => {
    let place = from
    for (;;) {
      const first = (place << LOG_CHILDREN) + 1
      if (first >= size) break
      const end = Math.min(first + CHILDREN, size)
      let least = first
      let leastAt = ats[first] ?? 0
      for (let child = first + 1; child < end; child += 1) {
        const childAt = ats[child] ?? 0
        if (childAt < leastAt || (childAt === leastAt && (ids[child] ?? 0) < (ids[least] ?? 0))) {
          least = child
          leastAt = childAt
        }
      }
      const leastId = ids[least] ?? 0
      if (at < leastAt || (at === leastAt && id < leastId)) break
      put(place, leastId, leastAt)
      place = least
    }
    put(place, id, at)
  }

  const growEntries = (): void => {
    const length = Math.max(FIRST_CAPACITY, ats.length * 2)
    const moreAts = new Float64Array(length)
    moreAts.set(ats)
    ats = moreAts
    const moreIds = new Int32Array(length)
    moreIds.set(ids)
    ids = moreIds
  }

  const growPlaces = (id: number): void => {
    const more = new Int32Array(Math.max(FIRST_CAPACITY, places.length * 2, id + 1))
    more.set(places)
    places = more
  }

  return {
    size: () => size,
    at: (id) => {
      const place = places[id] ?? 0
      return place === 0 ? null : (ats[place - 1] ?? 0)
    },
    set: (id, at) => {
      if (id >= places.length) growPlaces(id)
      const place = places[id] ?? 0
      if (place !== 0) {
        if (rise(place - 1, id, at) === place - 1) sink(place - 1, id, at)
        return
      }
      if (size === ats.length) growEntries()
      size += 1
      rise(size - 1, id, at)
    },
    remove: (id) => {
      const place = (places[id] ?? 0) - 1
      if (place < 0) return false
      places[id] = 0
      size -= 1
      if (place === size) return true
      const lastId = ids[size] ?? 0
      const lastAt = ats[size] ?? 0
      if (rise(place, lastId, lastAt) === place) sink(place, lastId, lastAt)
      return true
    },
    first: () => (size === 0 ? -1 : (ids[0] ?? 0)),
    firstAt: () => (size === 0 ? Infinity : (ats[0] ?? 0)),
  }
}
