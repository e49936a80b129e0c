/** One way of doing the job that is measured. */
export interface Contestant {
  readonly name: string
  /** Units of work (records, certificates) that one call of `run` does. */
  readonly units: number
  /** Does the work. A contestant is either always synchronous or always returns a promise. */
  readonly run: () => void | Promise<void>
}

/** How long and how often is measured. */
export interface Effort {
  /** At least 7, so that the median of the rounds means something. */
  readonly rounds: number
  /** How long each contestant runs in each round. */
  readonly sliceMs: number
  /** How long each contestant runs before the first round. */
  readonly warmUpMs: number
}

export const THOROUGH: Effort = { rounds: 9, sliceMs: 250, warmUpMs: 300 }
export const QUICK: Effort = { rounds: 7, sliceMs: 60, warmUpMs: 60 }

/** What one contestant reached: units per second, one figure a round, in the order of the rounds. */
export interface Standing {
  readonly name: string
  readonly rates: readonly number[]
}

/** A middle and how far the middle half of the figures spreads around it, as a share of it. */
export interface Summary {
  readonly median: number
  readonly spread: number
}

const quantile = (sorted: readonly number[], q: number): number => {
  const at = (sorted.length - 1) * q
  const below = sorted[Math.floor(at)]!
  const above = sorted[Math.ceil(at)]!
  return below + (above - below) * (at - Math.floor(at))
}

/** Median, and interquartile range over median. */
export function summarize(figures: readonly number[]): Summary {
  if (figures.length === 0) throw new RangeError('there must be at least one figure')
  const sorted = figures.toSorted((a, b) => a - b)
  const median = quantile(sorted, 0.5)
  return { median, spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / median }
}

/**
 * How many times as fast one contestant was: the median of the ratios of the single rounds. Whatever else the machine
 * did in a round slowed both, so the ratio stands where the rates do not.
 */
export function ratio(of: Standing, to: Standing): Summary {
  return summarize(of.rates.map((rate, round) => rate / to.rates[round]!))
}

/** The order of a round: everyone starts as often as anyone else (A B C, B C A, C A B, …). */
export const rotated = <T>(items: readonly T[], round: number): readonly T[] =>
  items.map((_, at) => items[(at + round) % items.length]!)

/** Calls `run` until the time is over and returns units per second. */
async function slice(contestant: Contestant, ms: number): Promise<number> {
  const started = performance.now()
  let calls = 0
  // Looking at the clock costs as much as a fast operation: look once per burst, and let the bursts grow to about 1 ms.
  let burst = 1
  for (;;) {
    const before = performance.now()
    for (let i = 0; i < burst; i += 1) {
      const pending = contestant.run()
      if (pending !== undefined) await pending
    }
    calls += burst
    const now = performance.now()
    if (now - started >= ms) return (calls * contestant.units * 1000) / (now - started)
    if (now - before < 1) burst *= 2
  }
}

/** Lets the contestants run in turns, in one process, in rotating order. */
export async function race(contestants: readonly Contestant[], effort: Effort): Promise<readonly Standing[]> {
  for (const contestant of contestants) await slice(contestant, effort.warmUpMs)
  const rates = new Map<Contestant, number[]>(contestants.map((contestant) => [contestant, []]))
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const contestant of rotated(contestants, round))
      rates.get(contestant)!.push(await slice(contestant, effort.sliceMs))
  }
  return contestants.map((contestant) => ({ name: contestant.name, rates: rates.get(contestant)! }))
}
