/** No pause between two sessions is drawn from more than this, in milliseconds. */
export const MAX_SESSION_BACKOFF_MS = 8000

/** A session that lived this long counts as a good one: the next failure starts the pauses from small again. */
export const GOOD_SESSION_MS = 8000

/** The next bound of the pause between sessions, as Docker's nodes have it: 100 ms, 300 ms, 700 ms … 8 s. */
export function nextSessionBackoff(previousMs: number): number {
  return Math.min(100 + 2 * previousMs, MAX_SESSION_BACKOFF_MS)
}

/** Bound of the pause before status poll number `attempt` (from 1): 2 s, 3 s, 5 s … 30 s. */
export function statusPollBackoff(attempt: number): number {
  return Math.min(30_000, 1000 + 1000 * 2 ** Math.min(attempt - 1, 10))
}

/** An even draw from [0, 1) out of four random bytes. */
export function unitOf(random: { readonly bytes: (length: number) => Uint8Array }): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4)
  return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) / 2 ** 32
}
