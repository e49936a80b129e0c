/** Something that happens at an instant. */
export type Happening = () => void | Promise<void>

/** What is to happen in a simulated world, in the order of its instants; at one instant, in the order in which it was planned. */
export interface EventQueue {
  readonly add: (at: number, happening: Happening) => void
  /** Infinity when nothing is planned. */
  readonly nextAt: () => number
  /** Takes out the next one. */
  readonly take: () => Happening
}

interface Planned {
  readonly at: number
  readonly order: number
  readonly happening: Happening
}

const isBefore = (a: Planned, b: Planned): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** A binary heap. */
export function createEventQueue(): EventQueue {
  const heap: Planned[] = []
  let count = 0
  return {
    nextAt: () => heap[0]?.at ?? Infinity,
    add: (at, happening) => {
      const planned = { at, order: (count += 1), happening }
      let place = heap.push(planned) - 1
      while (place > 0) {
        const above = (place - 1) >> 1
        if (isBefore(heap[above]!, planned)) break
        heap[place] = heap[above]!
        place = above
      }
      heap[place] = planned
    },
    take: () => {
      const first = heap[0]
      const last = heap.pop()
      if (first === undefined || last === undefined) throw new Error('nothing is planned')
      if (heap.length === 0) return first.happening
      let place = 0
      for (;;) {
        let child = 2 * place + 1
        if (child >= heap.length) break
        if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
        if (isBefore(last, heap[child]!)) break
        heap[place] = heap[child]!
        place = child
      }
      heap[place] = last
      return first.happening
    },
  }
}
