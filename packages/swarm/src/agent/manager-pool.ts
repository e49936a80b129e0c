import type { ManagerPeer } from '../session-update.ts'

/** Score of a manager after nothing but good or bad experience; it moves half the way at each one, as Docker's nodes do. */
const FULL_SCORE = 10

/** Which managers a node knows, and how it fared with them. */
export interface ManagerPool {
  /** The address to try next; `unit` in [0, 1) decides among equals. */
  readonly pick: (unit: number) => string
  readonly observe: (address: string, experience: 'bad' | 'good') => void
  /** Takes over a new list; an empty one changes nothing, because a node without managers is lost. */
  readonly replace: (managers: readonly ManagerPeer[]) => boolean
}

/** A pool that knows these addresses. */
export function createManagerPool(addresses: readonly [string, ...string[]]): ManagerPool {
  let scores = new Map<string, number>(addresses.map((address) => [address, 0]))
  return {
    pick: (unit) => {
      const best = Math.max(...scores.values())
      const candidates = [...scores].filter(([, score]) => score === best).map(([address]) => address)
      return candidates[Math.floor(unit * candidates.length)] ?? addresses[0]
    },
    observe: (address, experience) => {
      const score = scores.get(address)
      if (score !== undefined) scores.set(address, (score + (experience === 'good' ? FULL_SCORE : -FULL_SCORE)) / 2)
    },
    replace: (managers) => {
      const next = new Map(managers.map(({ address }) => [address, scores.get(address) ?? 0]))
      if (next.size === 0) return false
      const changed = next.size !== scores.size || [...next.keys()].some((address) => !scores.has(address))
      if (changed) scores = next
      return changed
    },
  }
}
