/**
 * The choices of `size` items, in the order of their places, at most `limit` of them. The last items change first, so that
 * the first choice is the first `size` items.
 */
export function* subsets<T>(items: readonly T[], size: number, limit: number): Generator<readonly T[], void, void> {
  const places = Array.from({ length: size }, (_, at) => at)
  for (let made = 0; made < limit; made += 1) {
    yield places.flatMap((place) => items.slice(place, place + 1))
    // The last place that can still move on; those behind it follow it closely.
    const moving = places.findLastIndex((place, at) => place < items.length - size + at)
    if (moving < 0) return
    const from = (places[moving] ?? 0) + 1
    for (let at = moving; at < size; at += 1) places[at] = from + at - moving
  }
}
