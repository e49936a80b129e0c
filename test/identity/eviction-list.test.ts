import { inspect } from 'node:util'
import {
  type Certificate,
  type Eviction,
  type EvictionList,
  type EvictionView,
  formatCertificateChain,
  isNodeEvicted,
  MAX_EVICTION_LIST_BYTES,
  MAX_EVICTION_LIST_LIFE_MS,
  noEvictions,
  signEvictionList,
  verifyEvictionList,
  withEvictionList,
  withEvictions,
} from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, type TestNode, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000
let ours: TestCluster
let foreign: TestCluster
let manager: TestNode
let worker: TestNode
let now: number
beforeAll(async () => {
  now = Math.floor(Date.now() / 1000) * 1000
  ours = await testCluster({ clusterId: testClusterId(1), now })
  foreign = await testCluster({ clusterId: testClusterId(1), now, commonName: 'swarm-ca-2' })
  ;[manager, worker] = [await ours.issue({ role: 'manager' }), await ours.issue()]
})

const node = (number: number): Eviction => ({
  kind: 'node',
  nodeId: testNodeId(number),
  reason: 'privilege-withdrawn',
  at: now - HOUR_MS,
  until: now + 90 * HOUR_MS,
})
const certificate = (serial: string): Eviction => ({
  kind: 'certificate',
  serial,
  issuerKeyId: 'abcd',
  reason: 'superseded',
  at: now - HOUR_MS,
  until: now + 90 * HOUR_MS,
})
const listOf = (sequence: number, evictions: readonly Eviction[] = [node(7), certificate('4a01')]): EvictionList => ({
  clusterId: ours.clusterId,
  sequence,
  base: 0,
  issuedAt: now,
  validUntil: now + HOUR_MS,
  evictions,
})
const byRoot = () => ({ signer: openSigner(ours.rootKey), chain: [] })
const by = (who: TestNode, chain: readonly Certificate[] = [who.certificate]) => ({
  signer: openSigner(who.privateKey),
  chain,
})
const verify = async (bytes: Uint8Array, view: EvictionView = noEvictions, at: number = now): Promise<EvictionList> =>
  await verifyEvictionList(bytes, {
    roots: [ours.root],
    clusterId: ours.clusterId,
    now: at,
    verifier: systemVerifier,
    view,
  })

describe('a signed list', () => {
  it('says what was signed, by a root or by a manager', async () => {
    for (const signer of [byRoot(), by(manager)]) {
      const proven = await verify(await signEvictionList(listOf(3), signer))
      expect(proven).toEqual(listOf(3))
    }
  })

  it('has one form, whatever the order and however often its entries were given', async () => {
    const unsigned = async (...evictions: readonly Eviction[]): Promise<Eviction[]> => [
      ...(await verify(await signEvictionList(listOf(1, evictions), byRoot()))).evictions,
    ]
    const [a, b, c] = [node(1), node(2), certificate('4a01')]
    expect(await unsigned(c, b, a, b)).toEqual([a, b, c])
    expect(await unsigned()).toEqual([])
  })

  it('of anybody else is worth nothing', async () => {
    const refused = async (bytes: Uint8Array, view?: EvictionView): Promise<void> => {
      await expect(verify(bytes, view)).rejects.toThrowCode('EVICTION_LIST_UNTRUSTED')
    }
    await refused(await signEvictionList(listOf(1), by(worker)))
    const stranger = await foreign.issue({ role: 'manager' })
    await refused(await signEvictionList(listOf(1), by(stranger)))
    await refused(await signEvictionList(listOf(1), { signer: openSigner(foreign.rootKey), chain: [] }))
    // A manager's chain beside a worker's signature.
    await refused(await signEvictionList(listOf(1), { ...by(worker), chain: [manager.certificate] }))
    const old = await ours.issue({ role: 'manager', now: now - 48 * HOUR_MS, lifetimeMs: 24 * HOUR_MS })
    await refused(await signEvictionList(listOf(1), by(old)))
  })

  it('of a manager that was evicted is worth nothing, by node and by certificate', async () => {
    const bytes = await signEvictionList(listOf(9), by(manager))
    for (const eviction of [
      { ...node(0), nodeId: manager.nodeId } as Eviction,
      certificate(manager.certificate.serial),
    ]) {
      const view = { ...noEvictions, set: withEvictions(noEvictions.set, [eviction]) }
      await expect(verify(bytes, view)).rejects.toThrowCode('EVICTION_LIST_UNTRUSTED')
    }
  })

  it('of another cluster, or one that has ended, is refused', async () => {
    const other = await signEvictionList({ ...listOf(1), clusterId: testClusterId(2) }, byRoot())
    await expect(verify(other)).rejects.toThrowCode('EVICTION_LIST_WRONG_CLUSTER')
    const bytes = await signEvictionList(listOf(1), byRoot())
    await expect(verify(bytes, noEvictions, now + HOUR_MS)).resolves.toBeDefined()
    await expect(verify(bytes, noEvictions, now + HOUR_MS + 1)).rejects.toThrowCode('EVICTION_LIST_EXPIRED')
  })

  it('from the future is refused: it would keep a peer content for as long as its signer likes', async () => {
    const from = async (issuedAt: number): Promise<EvictionList> =>
      await verify(await signEvictionList({ ...listOf(1), issuedAt, validUntil: issuedAt + HOUR_MS }, by(manager)))
    // Clocks differ, by as much as certificates are backdated for.
    await expect(from(now + HOUR_MS)).resolves.toBeDefined()
    await expect(from(now + HOUR_MS + 1000)).rejects.toThrowCode('EVICTION_LIST_NOT_YET_VALID')
    await expect(from(now + 90_000 * HOUR_MS)).rejects.toThrowCode('EVICTION_LIST_NOT_YET_VALID')
  })

  it('cut at any byte, with anything behind it, or with any bit flipped is refused', async () => {
    const bytes = await signEvictionList(listOf(1), by(manager))
    for (let length = 0; length < bytes.length; length += 1)
      await expect(verify(bytes.subarray(0, length))).rejects.toThrowCode('EVICTION_LIST_MALFORMED')
    await expect(verify(Uint8Array.of(...bytes, 0))).rejects.toThrowCode('EVICTION_LIST_MALFORMED')
    const codes = new Set<string>()
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = bytes.slice()
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        await verify(flipped)
        expect.unreachable(`bit ${bit} was not noticed`)
      } catch (error) {
        codes.add((error as { readonly code: string }).code)
      }
    }
    expect([...codes].toSorted()).toEqual([
      'EVICTION_LIST_MALFORMED',
      'EVICTION_LIST_UNTRUSTED',
      'EVICTION_LIST_WRONG_CLUSTER',
    ])
  })

  it('is garbage or a list, whatever comes, and too large beyond its limit', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (noise) => {
        const headed = Uint8Array.of(0x4c, 0x57, 0x45, 0x56, 1, ...noise)
        for (const bytes of [noise, headed]) await expect(verify(bytes)).rejects.toThrowCode('EVICTION_LIST_MALFORMED')
      }),
      { numRuns: 100 },
    )
    await expect(verify(new Uint8Array(MAX_EVICTION_LIST_BYTES + 1))).rejects.toThrowCode('EVICTION_LIST_TOO_LARGE')
  })

  it('of any entries comes back the same', async () => {
    const hex = (least: number, most: number) =>
      fc.uint8Array({ minLength: least, maxLength: most }).map((bytes) => {
        bytes[0] = (bytes[0] ?? 0) | 1
        return Buffer.from(bytes).toString('hex')
      })
    const facts = {
      reason: fc.constantFrom('unspecified' as const, 'ca-compromise' as const, 'privilege-withdrawn' as const),
      at: fc.nat(2 ** 30).map((seconds) => seconds * 1000),
      until: fc.integer({ min: 2 ** 31, max: 2 ** 39 }).map((seconds) => seconds * 1000),
    }
    const eviction = fc.oneof(
      fc.record({ kind: fc.constant('node' as const), nodeId: fc.nat(99).map(testNodeId), ...facts }),
      fc.record({
        kind: fc.constant('certificate' as const),
        serial: hex(1, 20),
        issuerKeyId: fc.option(hex(1, 32)),
        ...facts,
      }),
    )
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(eviction, { selector: (each) => JSON.stringify(each) }), async (evictions) => {
        const back = (await verify(await signEvictionList(listOf(1, evictions), byRoot()))).evictions
        expect(new Set(back.map((each) => JSON.stringify(Object.entries(each).toSorted())))).toEqual(
          new Set(evictions.map((each) => JSON.stringify(Object.entries(each).toSorted()))),
        )
      }),
      { numRuns: 50 },
    )
  })

  it('is not made of what cannot be written down', async () => {
    const refuse = async (list: EvictionList, chain: readonly Certificate[] = []): Promise<void> => {
      await expect(signEvictionList(list, { ...byRoot(), chain })).rejects.toThrow(RangeError)
    }
    await refuse({ ...listOf(1), sequence: -1 })
    await refuse({ ...listOf(1), sequence: 2 ** 48 })
    await refuse({ ...listOf(1), base: 2 })
    await refuse({ ...listOf(1), issuedAt: now + 1 })
    await refuse({ ...listOf(1), validUntil: now - 1000 })
    await refuse({ ...listOf(1), validUntil: now + MAX_EVICTION_LIST_LIFE_MS + 1000 })
    await refuse({ ...listOf(1), evictions: [{ ...node(1), until: now - 2 * HOUR_MS }] })
    await refuse(
      listOf(1),
      Array.from({ length: 4 }, () => manager.certificate),
    )
  })

  it('shows nothing of its bytes in a refusal', async () => {
    const marked = new TextEncoder().encode(`LWEV\u0001${'marked-list-content'.repeat(20)}`)
    const error: unknown = await verify(marked).catch((refusal: unknown) => refusal)
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('marked-list')
    expect(formatCertificateChain([manager.certificate])).toContain('BEGIN')
  })
})

describe('what a peer has heard', () => {
  const delta = (base: number, sequence: number, ...evictions: readonly Eviction[]): EvictionList => ({
    ...listOf(sequence, evictions),
    base,
  })

  it('grows with each list, and lives as long as the youngest one', () => {
    const first = withEvictionList(noEvictions, listOf(3, [node(1)]))
    const second = withEvictionList(first, { ...delta(3, 4, node(2)), validUntil: now + 2 * HOUR_MS })
    expect([second.sequence, second.validUntil]).toEqual([4, now + 2 * HOUR_MS])
    for (const number of [1, 2]) expect(isNodeEvicted(second.set, testNodeId(number), now)).toBe(true)
    // The same list again, from a manager whose copy is older: nothing is lost.
    const again = withEvictionList(second, delta(3, 4, node(2)))
    expect(again).toEqual(second)
    expect(withEvictionList(second, { ...delta(4, 4), validUntil: now + 3 * HOUR_MS }).validUntil).toBe(
      now + 3 * HOUR_MS,
    )
  })

  it('never goes back', () => {
    const view = withEvictionList(noEvictions, listOf(3, [node(1)]))
    for (const old of [listOf(2, []), delta(1, 2)])
      expect(() => withEvictionList(view, old)).toThrowCode('EVICTION_LIST_ROLLED_BACK')
    // A whole list takes nobody back either.
    expect(isNodeEvicted(withEvictionList(view, listOf(4, [])).set, testNodeId(1), now)).toBe(true)
  })

  it('has no holes', () => {
    const view = withEvictionList(noEvictions, listOf(3, [node(1)]))
    expect(() => withEvictionList(view, delta(4, 5, node(2)))).toThrowCode('EVICTION_LIST_GAP')
    expect(() => withEvictionList(noEvictions, delta(1, 5, node(2)))).toThrowCode('EVICTION_LIST_GAP')
  })
})
