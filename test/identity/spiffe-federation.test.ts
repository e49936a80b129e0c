import {
  type Federation,
  type FederationCommand,
  federatedRoots,
  federationEvents,
  federationOf,
  formatSpiffeBundle,
  MAX_FEDERATED_DOMAINS,
  parseTrustDomain,
  type TrustDomain,
  verifySvidSync,
} from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { NOW, type TestDomain, testDomain } from './spiffe-support.ts'

const OWN = parseTrustDomain('own.test')
const FOREIGN = parseTrustDomain('foreign.test')
const { initial, decide, evolve } = federationOf(OWN)
const run = (state: Federation, ...commands: readonly FederationCommand[]): Federation =>
  commands.reduce((before, command) => decide(before, command).reduce(evolve, before), state)

let own: TestDomain
let foreign: TestDomain
let successor: TestDomain

beforeAll(async () => {
  own = await testDomain('own', 'spiffe://own.test')
  foreign = await testDomain('foreign', 'spiffe://foreign.test')
  successor = await testDomain('foreign', 'spiffe://foreign.test')
})

const documentOf = (sequence: bigint | null, ...domains: readonly TestDomain[]): string =>
  formatSpiffeBundle({ sequence, refreshHintMs: 300_000, roots: domains.map(({ root }) => root) })
const federate = (document: string, trustDomain: TrustDomain = FOREIGN): FederationCommand => ({
  ...{ type: 'federate', trustDomain, document, now: NOW },
})
const refresh = (document: string, trustDomain: TrustDomain = FOREIGN): FederationCommand => ({
  ...{ type: 'refresh', trustDomain, document, now: NOW + 1 },
})
const verifies = async (state: Federation, by: TestDomain, id: string): Promise<string> => {
  const domains = federatedRoots({ trustDomain: OWN, roots: [own.root] }, state)
  try {
    return verifySvidSync([await by.leaf({ names: [id] })], { domains, now: NOW, verifier: systemVerifier }).spiffeId
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}

describe('two clusters that exchange bundles', () => {
  it('know each other’s workloads, and only by their own roots', async () => {
    const state = run(initial, federate(documentOf(1n, foreign)))
    expect(await verifies(state, own, 'spiffe://own.test/a')).toBe('spiffe://own.test/a')
    expect(await verifies(state, foreign, 'spiffe://foreign.test/b')).toBe('spiffe://foreign.test/b')
    expect(await verifies(state, foreign, 'spiffe://own.test/a')).toBe('PEER_UNTRUSTED')
    expect(await verifies(state, own, 'spiffe://foreign.test/b')).toBe('PEER_UNTRUSTED')
    expect(await verifies(state, foreign, 'spiffe://third.test/c')).toBe('PEER_WRONG_TRUST_DOMAIN')
    expect(await verifies(initial, foreign, 'spiffe://foreign.test/b')).toBe('PEER_WRONG_TRUST_DOMAIN')
  })

  it('follow a rotation, and a revocation of everything', async () => {
    const state = run(initial, federate(documentOf(1n, foreign)), refresh(documentOf(2n, foreign, successor)))
    expect(await verifies(state, foreign, 'spiffe://foreign.test/b')).toBe('spiffe://foreign.test/b')
    expect(await verifies(state, successor, 'spiffe://foreign.test/b')).toBe('spiffe://foreign.test/b')
    const after = run(state, refresh(documentOf(3n, successor)))
    expect(await verifies(after, foreign, 'spiffe://foreign.test/b')).toBe('PEER_UNTRUSTED')
    expect(await verifies(after, successor, 'spiffe://foreign.test/b')).toBe('spiffe://foreign.test/b')
    const none = run(after, refresh(documentOf(4n)))
    expect(await verifies(none, successor, 'spiffe://foreign.test/b')).toBe('PEER_UNTRUSTED')
  })

  it('never go back to an older bundle', () => {
    const state = run(initial, federate(documentOf(5n, foreign)))
    for (const stale of [documentOf(4n, foreign), documentOf(5n, foreign, successor), documentOf(null, successor)])
      expect(() => run(state, refresh(stale))).toThrowCode('SPIFFE_BUNDLE_STALE')
    expect(decide(state, refresh(documentOf(5n, foreign)))).toEqual([])
    const unnumbered = run(initial, federate(documentOf(null, foreign)))
    expect(run(unnumbered, refresh(documentOf(null, successor))).get(FOREIGN)?.bundle.sequence).toBeNull()
    expect(run(unnumbered, refresh(documentOf(0n, successor))).get(FOREIGN)?.bundle.sequence).toBe(0n)
  })

  it('begin by decision, not by a refresh', () => {
    expect(() => run(initial, refresh(documentOf(1n, foreign)))).toThrowCode('FEDERATION_UNKNOWN')
    expect(() => run(initial, { type: 'end', trustDomain: FOREIGN })).toThrowCode('FEDERATION_UNKNOWN')
    const state = run(initial, federate(documentOf(1n, foreign)))
    expect(() => run(state, federate(documentOf(2n, foreign)))).toThrowCode('FEDERATION_EXISTS')
    const ended = run(state, { type: 'end', trustDomain: FOREIGN })
    expect(ended.size).toBe(0)
    expect(run(ended, federate(documentOf(1n, successor))).get(FOREIGN)?.updatedAt).toBe(NOW)
  })

  it('never take a bundle for the own trust domain, and its own roots come first in any case', () => {
    expect(() => run(initial, federate(documentOf(1n, own), OWN))).toThrowCode('FEDERATION_OWN_DOMAIN')
    const forged = new Map(run(initial, federate(documentOf(1n, foreign))))
    forged.set(OWN, forged.get(FOREIGN)!)
    const roots = federatedRoots({ trustDomain: OWN, roots: [own.root] }, forged)
    expect(roots.rootsOf(OWN)).toEqual([own.root])
  })

  it('refuse a bundle whose root names another trust domain', async () => {
    expect(() => run(initial, federate(documentOf(1n, own)))).toThrowCode('SPIFFE_BUNDLE_FOREIGN')
    const unnamed = await testDomain('foreign')
    expect(run(initial, federate(documentOf(1n, unnamed))).size).toBe(1)
    const workload = await testDomain('foreign', 'spiffe://foreign.test/ca')
    expect(() => run(initial, federate(documentOf(1n, workload)))).toThrowCode('SPIFFE_BUNDLE_FOREIGN')
  })

  it('refuse what is no bundle, and change nothing then', () => {
    const state = run(initial, federate(documentOf(1n, foreign)))
    const before = federationEvents(state)
    expect(() => run(state, refresh('{}'))).toThrowCode('SPIFFE_BUNDLE_MALFORMED')
    expect(() => run(state, refresh(documentOf(2n, own)))).toThrowCode('SPIFFE_BUNDLE_FOREIGN')
    expect(federationEvents(state)).toEqual(before)
  })

  it('are bounded in number', () => {
    const document = documentOf(null)
    let state = initial
    for (let number = 0; number < MAX_FEDERATED_DOMAINS; number += 1)
      state = run(state, federate(document, parseTrustDomain(`d${number}.test`)))
    expect(() => run(state, federate(document))).toThrowCode('FEDERATION_FULL')
    expect(run(state, refresh(document, parseTrustDomain('d0.test'))).size).toBe(MAX_FEDERATED_DOMAINS)
  })

  it('come back from their events, which are plain data', () => {
    const state = run(
      initial,
      federate(documentOf(1n, foreign)),
      refresh(documentOf(2n, foreign, successor)),
      federate(documentOf(null), parseTrustDomain('third.test')),
    )
    const events = JSON.parse(JSON.stringify(federationEvents(state))) as ReturnType<typeof federationEvents>
    const again = events.reduce(evolve, initial)
    expect(federationEvents(again)).toEqual(federationEvents(state))
    expect([...again.keys()]).toEqual([...state.keys()])
  })

  it('law: a sequence number never falls, whatever arrives in which order', () => {
    const sequences = fc.array(fc.option(fc.bigInt(0n, 6n)), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(sequences, ([first = null, ...rest]) => {
        let state = run(initial, federate(documentOf(first, foreign)))
        for (const [index, sequence] of rest.entries()) {
          const before = state.get(FOREIGN)!.bundle
          const roots = index % 2 === 0 ? [successor] : [foreign]
          try {
            state = run(state, refresh(documentOf(sequence, ...roots)))
          } catch (error) {
            expect(error).toMatchObject({ code: 'SPIFFE_BUNDLE_STALE' })
            expect(state.get(FOREIGN)!.bundle).toBe(before)
          }
          const after = state.get(FOREIGN)!.bundle
          if (before.sequence !== null) {
            expect(after.sequence! >= before.sequence).toBe(true)
            if (after.sequence === before.sequence)
              expect(after.roots.map(({ serial }) => serial)).toEqual(before.roots.map(({ serial }) => serial))
          }
        }
      }),
      { numRuns: 50 },
    )
  })
})
