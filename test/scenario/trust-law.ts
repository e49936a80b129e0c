import type { Certificate } from '@leastwise/identity'

/** What follows the leaves of one issuer; all of them are verified or refused alike. */
export interface ChainKind {
  readonly number: number
  readonly above: readonly Certificate[]
  /** The youngest leaf, in whose place the kind is verified: it ends last. */
  example: Certificate
}

/** A trust bundle that some node has. */
export interface BundleKind {
  readonly number: number
  readonly pem: string
  readonly roots: readonly Certificate[]
}

/** Whether a chain verifies under the roots; throws when it does not. */
export type Verify = (chain: readonly Certificate[], roots: readonly Certificate[]) => void

/**
 * The law that the scenario is about: whatever any node presents verifies for every other one. There are few kinds of chains and few of bundles at a time, so that
 * all pairs of nodes can be looked at after every step of any of them.
 */
export interface TrustLaw {
  readonly chain: (issuerId: string, above: readonly Certificate[], example: Certificate) => ChainKind
  readonly bundle: (pem: string, parse: (pem: string) => readonly Certificate[]) => BundleKind
  readonly verifies: (chain: ChainKind, bundle: BundleKind) => boolean
  /** A node has these now; throws when that breaks the law. */
  readonly enter: (chain: ChainKind, bundle: BundleKind) => void
  /** A node has these no more. */
  readonly leave: (chain: ChainKind, bundle: BundleKind) => void
  /** Time has passed: each pair is verified anew. */
  readonly renew: () => void
  readonly facts: () => {
    readonly steps: number
    readonly verified: number
    readonly chains: number
    readonly bundles: number
  }
}

export function createTrustLaw(verify: Verify): TrustLaw {
  const chains = new Map<string, ChainKind>()
  const bundles = new Map<string, BundleKind>()
  const presented = new Map<ChainKind, number>()
  const trusted = new Map<BundleKind, number>()
  const verdicts = new Map<string, boolean>()
  let steps = 0
  let verified = 0

  const verifies = (chain: ChainKind, bundle: BundleKind): boolean => {
    const key = `${chain.number} ${bundle.number}`
    const known = verdicts.get(key)
    if (known !== undefined) return known
    let verdict = true
    try {
      verify([chain.example, ...chain.above], bundle.roots)
    } catch {
      verdict = false
    }
    verified += 1
    verdicts.set(key, verdict)
    return verdict
  }

  const check = (): void => {
    steps += 1
    for (const chain of presented.keys())
      for (const bundle of trusted.keys())
        if (!verifies(chain, bundle))
          throw new Error(`chain ${chain.number} of some node is nothing to one with bundle ${bundle.number}`)
  }

  const count = <Kind>(of: Map<Kind, number>, kind: Kind, change: number): void => {
    const now = (of.get(kind) ?? 0) + change
    if (now === 0) of.delete(kind)
    else of.set(kind, now)
  }

  return {
    chain: (issuerId, above, example) => {
      const known = chains.get(issuerId)
      if (known !== undefined) {
        known.example = example
        return known
      }
      const kind = { number: chains.size, above, example }
      chains.set(issuerId, kind)
      return kind
    },
    bundle: (pem, parse) => {
      const kind = bundles.get(pem) ?? { number: bundles.size, pem, roots: parse(pem) }
      bundles.set(pem, kind)
      return kind
    },
    verifies,
    enter: (chain, bundle) => {
      count(presented, chain, 1)
      count(trusted, bundle, 1)
      check()
    },
    leave: (chain, bundle) => {
      count(presented, chain, -1)
      count(trusted, bundle, -1)
    },
    renew: () => {
      verdicts.clear()
      check()
    },
    facts: () => ({ steps, verified, chains: chains.size, bundles: bundles.size }),
  }
}
