import {
  type AuthorityCommand,
  type AuthorityEvent,
  type AuthorityState,
  authorityEvents,
  authorityLife,
  type Certificate,
  createCsr,
  DEFAULT_LIFETIME_MS,
  DEFAULT_ROTATION_POLICY,
  evictionsDue,
  type FoundedAuthority,
  issueCertificate,
  issuingPartsOf,
  JOIN_BUNDLE_TURN_MS,
  joinBundleAt,
  joinBundlesOf,
  observePresented,
  openAuthority,
  planRotation,
  type RotationPolicy,
  rootIdOf,
  rotationRootsOf,
  stragglersOf,
  trustBundleOf,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  apply,
  calm,
  crossed,
  DAY_MS,
  founded,
  foundedOn,
  HOUR_MS,
  member,
  policy,
  replay,
  restored,
  rootOfCluster,
  start,
  strain,
  type TestRoot,
  testRoot,
} from './rotation-support.ts'

const NOW = Date.UTC(2026, 11, 1)

let cluster: TestCluster
let old: TestRoot
let next: TestRoot
let third: TestRoot
let crossNext: Certificate
let crossThird: Certificate
let thirdByNext: Certificate
let stable: FoundedAuthority
beforeAll(async () => {
  cluster = await testCluster({ now: NOW })
  old = rootOfCluster(cluster)
  next = await testRoot('swarm-ca-2', NOW)
  third = await testRoot('swarm-ca-3', NOW)
  crossNext = await crossed(next, old, NOW)
  crossThird = await crossed(third, old, NOW)
  thirdByNext = await crossed(third, next, NOW)
  stable = foundedOn(old, NOW)
})

const at = (ms: number): number => NOW + ms
const nodes = (count: number): readonly string[] => Array.from({ length: count }, (_, number) => testNodeId(number + 1))
const members = (count: number) => nodes(count).map((nodeId) => member(nodeId))
const plan = (change: Partial<RotationPolicy> = {}): AuthorityCommand => ({
  type: 'plan-rotation',
  policy: policy(change),
  now: NOW,
})
const begin: AuthorityCommand = { type: 'begin-reissue', now: NOW }
const abort: AuthorityCommand = { type: 'abort-rotation', now: NOW }
const close: AuthorityCommand = { type: 'close-rotation', now: NOW }
const seen = (nodeIds: readonly string[], root: TestRoot, now = NOW): AuthorityCommand => ({
  type: 'observe',
  nodes: nodeIds.map((nodeId) => ({ nodeId, rootId: rootIdOf(root.certificate), notAfter: at(DEFAULT_LIFETIME_MS) })),
  now,
})
const finish = (nodeIds: readonly string[], now = NOW): AuthorityCommand => ({
  type: 'finish-rotation',
  members: nodeIds,
  now,
})
const batch = (count: number, now = NOW, load = calm): AuthorityCommand => ({
  type: 'next-batch',
  members: members(count),
  load,
  now,
})
const reissuing = (change: Partial<RotationPolicy> = {}): FoundedAuthority =>
  founded(apply(stable, plan(change), start(next, crossNext, NOW), begin))
const rotationOf = (state: AuthorityState) => founded(state).rotation!
const decided = (state: AuthorityState, command: AuthorityCommand): readonly AuthorityEvent[] =>
  authorityLife.decide(state, command)

/** A certificate that the root issued to the first node. */
async function testNodeUnder({ certificate, privateKey }: TestRoot) {
  const authority = await openAuthority({ certificate, signer: openSigner(privateKey) }, { verifier: systemVerifier })
  const grant = {
    nodeId: testNodeId(1),
    role: 'worker',
    clusterId: testClusterId(1),
    lifetimeMs: DEFAULT_LIFETIME_MS,
  } as const
  const options = { random: systemRandom, now: NOW, verifier: systemVerifier, digest: systemDigest }
  const issued = await issueCertificate(authority, await createCsr(createNodeKey()), grant, options)
  return { certificate: issued, nodeId: grant.nodeId }
}

describe('a rotation', () => {
  it('is planned, trusts both, re-issues, finishes and ends, and each step has its roots', () => {
    const pem = { old: old.certificate.pem, next: next.certificate.pem }
    const issuer = (state: AuthorityState): Certificate => issuingPartsOf(founded(state), NOW).certificate
    const chain = (state: AuthorityState): readonly string[] =>
      issuingPartsOf(founded(state), NOW).intermediates.map((each) => each.pem)
    const bundles = (state: AuthorityState): unknown => ({
      members: trustBundleOf(founded(state)),
      joining: joinBundlesOf(founded(state), NOW),
    })

    const planned = apply(stable, plan())
    expect(rotationOf(planned).phase).toBe('planned')
    expect(bundles(planned)).toEqual({ members: pem.old, joining: [pem.old] })

    const both = apply(planned, start(next, crossNext, NOW))
    expect(rotationOf(both).phase).toBe('cross-signed')
    expect(bundles(both)).toEqual({ members: pem.old + pem.next, joining: [pem.old] })
    expect(issuer(both).pem).toBe(pem.old)
    expect(chain(both)).toEqual([])

    const under = apply(both, begin)
    expect(rotationOf(under).phase).toBe('reissuing')
    expect(bundles(under)).toEqual({ members: pem.old + pem.next, joining: [pem.old] })
    expect(issuer(under).pem).toBe(pem.next)
    expect(chain(under)).toEqual([crossNext.pem])

    const finishing = apply(under, seen(nodes(2), next), finish(nodes(2)))
    expect(rotationOf(finishing).phase).toBe('finishing')
    expect(bundles(finishing)).toEqual({ members: pem.next, joining: [pem.next, pem.old] })
    expect(issuer(finishing).pem).toBe(pem.next)
    expect(chain(finishing)).toEqual([crossNext.pem])

    const over = apply(finishing, { type: 'close-rotation', now: at(DEFAULT_ROTATION_POLICY.tokenOverlapMs) })
    expect(founded(over)).toMatchObject({ phase: 'stable', rotation: null, lifetimeMs: DEFAULT_LIFETIME_MS })
    expect(bundles(over)).toEqual({ members: pem.next, joining: [pem.next] })
    // Whoever heard nothing of it for the life of his certificate still verifies the others.
    expect(chain(over)).toEqual([crossNext.pem])
    expect(issuingPartsOf(founded(over), at(DEFAULT_LIFETIME_MS)).intermediates).toEqual([])
  })

  it('keeps the key of the new root as a copy, and none of the root that has gone', () => {
    const mine = next.privateKey.slice()
    const command = start(next, crossNext, NOW)
    const started = apply(stable, { ...command, root: { ...command.root, privateKey: mine } })
    mine.fill(0)
    expect(rotationOf(started).target?.root.privateKey).toEqual(next.privateKey)
    const finishing = apply(started, begin, seen(nodes(1), next), finish(nodes(1)))
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
    const kept = JSON.stringify(authorityEvents(finishing), (_, value: unknown) =>
      value instanceof Uint8Array ? hex(value) : value,
    )
    expect(kept).toContain(hex(next.privateKey))
    expect(kept).not.toContain(hex(old.privateKey))
  })

  it('names what issues, so that a certificate of yesterday’s issuer is not recorded', () => {
    const ids = [stable, apply(stable, start(next, crossNext, NOW)), reissuing()].map(
      (state) => issuingPartsOf(founded(state), NOW).issuerId,
    )
    expect(ids[0]).toBe(ids[1])
    expect(ids[2]).not.toBe(ids[0])
  })

  it('asks nothing of a log that has no cluster', () => {
    for (const command of [plan(), begin, abort, close, batch(1), finish([])])
      expect(() => authorityLife.decide(authorityLife.initial, command)).toThrowCode('CLUSTER_MISSING')
  })

  it('refuses what does not fit its phase', () => {
    for (const command of [begin, abort, close, batch(1), finish([])])
      expect(() => authorityLife.decide(stable, command)).toThrowCode('ROTATION_NONE')
    const planned = apply(stable, plan())
    const both = apply(stable, start(next, crossNext, NOW))
    const finishing = apply(reissuing(), finish([]))
    for (const [state, commands] of [
      [planned, [begin, close, batch(1), finish([])]],
      [both, [close, batch(1), finish([])]],
      [reissuing(), [close]],
      [finishing, [begin, abort, batch(1), finish([])]],
    ] as const)
      for (const command of commands) expect(() => authorityLife.decide(state, command)).toThrowCode('ROTATION_PHASE')
    expect(decided(reissuing(), begin)).toEqual([])
    expect(decided(stable, seen(nodes(1), next))).toEqual([])
  })

  it('refuses an instant that is none, and settings with which it could not end', () => {
    expect(() => authorityLife.decide(stable, { type: 'abort-rotation', now: 0.5 })).toThrow(RangeError)
    const wrong: readonly Partial<RotationPolicy>[] = [
      { minWindow: 0 },
      { startWindow: 0 },
      { maxWindow: 29 },
      { windowStep: 0 },
      { maxIssueLatencyMs: 0 },
      { maxQueueDepth: -1 },
      { retryMs: 0 },
      { tokenOverlapMs: -1 },
      { maxEvictPercent: 101 },
      { stragglers: { mode: 'evict', afterMs: -1 } },
      { windowStep: 1.5 },
    ]
    for (const change of wrong) expect(() => authorityLife.decide(stable, plan(change))).toThrow(RangeError)
  })

  it('counts a node when it presents a certificate of the new root, whatever it was told', () => {
    const state = apply(reissuing(), batch(3))
    expect(rotationOf(state).converged).toBe(0)
    const [first = '', second = ''] = nodes(3)
    const came = apply(state, seen([first], next), seen([second], old))
    expect(rotationOf(came).converged).toBe(1)
    expect(decided(came, seen([first], next))).toEqual([])
    // It came back with its old certificate, from a backup for example.
    expect(rotationOf(apply(came, seen([first], old))).converged).toBe(0)
    expect(() => apply(came, finish(nodes(3)))).toThrowCode('ROTATION_INCOMPLETE')
    // Who was evicted is no member any more.
    expect(rotationOf(apply(came, finish([first]))).phase).toBe('finishing')
  })

  it('keeps tokens of the old root good until told, and no longer', () => {
    const finishing = founded(apply(reissuing({ tokenOverlapMs: HOUR_MS }), finish([])))
    expect(joinBundlesOf(finishing, at(HOUR_MS - 1))).toHaveLength(2)
    expect(joinBundlesOf(finishing, at(HOUR_MS))).toEqual([next.certificate.pem])
    expect(() => authorityLife.decide(finishing, { type: 'close-rotation', now: at(HOUR_MS - 1) })).toThrowCode(
      'ROTATION_INCOMPLETE',
    )
    expect(founded(apply(finishing, { ...close, early: true })).phase).toBe('stable')
    // Five questions, two seconds apart, as a stock engine asks: each bundle comes up, whenever they begin.
    for (let first = 0; first < 2 * JOIN_BUNDLE_TURN_MS; first += 100) {
      const served = new Set([0, 2, 4, 6, 8].map((second) => joinBundleAt(finishing, at(first + second * 1000))))
      expect(served.size).toBe(2)
    }
  })

  it('lets lifetimes change only as far as all that they hang on', () => {
    const lifetime = (lifetimeMs: number): AuthorityCommand => ({ type: 'set-lifetime', lifetimeMs })
    expect(() => apply(reissuing(), lifetime(401 * DAY_MS))).toThrowCode('LIFETIME_EXCEEDS_ISSUER')
    expect(apply(reissuing(), lifetime(100 * DAY_MS))).toMatchObject({ lifetimeMs: 100 * DAY_MS, phase: 'rotating' })
  })
})

describe('giving up', () => {
  it('costs nothing before the new root issues', () => {
    expect(founded(apply(stable, plan(), abort))).toEqual(stable)
    const back = founded(apply(stable, start(next, crossNext, NOW), abort))
    expect(back).toEqual({ ...stable, aims: 1 })
  })

  it('brings nodes back once it does, under the old root, which vouched for them all the time', () => {
    const [first = '', second = ''] = nodes(2)
    const reverting = apply(reissuing(), seen([first], next), seen([second], old), abort)
    expect(rotationOf(reverting)).toMatchObject({ phase: 'reverting', target: null, converged: 0 })
    expect(trustBundleOf(founded(reverting))).toBe(old.certificate.pem)
    expect(issuingPartsOf(founded(reverting), NOW)).toMatchObject({ intermediates: [] })
    expect(decided(reverting, abort)).toEqual([])
    // What was presented before the change counts for nothing.
    expect(() => apply(reverting, seen([first], old), finish([first, second]))).toThrowCode('ROTATION_INCOMPLETE')
    const over = founded(apply(reverting, seen([first, second], old), finish([first, second])))
    expect(over).toMatchObject({ phase: 'stable', bridges: [] })
    expect(over.roots).toEqual(stable.roots)
  })

  it('can be another target, at any point', () => {
    const again = start(third, crossThird, NOW)
    for (const before of [
      apply(stable, start(next, crossNext, NOW)),
      apply(reissuing(), seen(nodes(1), next)),
      apply(reissuing(), seen(nodes(1), next), abort),
    ]) {
      const state = founded(apply(before, again))
      expect(state.rotation).toMatchObject({ phase: 'cross-signed', converged: 0 })
      expect(trustBundleOf(state)).toBe(old.certificate.pem + third.certificate.pem)
      const over = founded(apply(state, begin, seen(nodes(1), third), finish(nodes(1))))
      expect(over.roots[0].certificate).toBe(third.certificate.pem)
      expect(issuingPartsOf(over, NOW).intermediates.map(({ pem }) => pem)).toEqual([crossThird.pem])
    }
    // When the old root has gone, the one in force signs the next.
    const finishing = apply(reissuing(), seen(nodes(1), next), finish(nodes(1)))
    const state = founded(apply(finishing, start(third, thirdByNext, NOW), begin))
    expect(issuingPartsOf(state, NOW).intermediates.map(({ pem }) => pem)).toEqual([thirdByNext.pem, crossNext.pem])
  })
})

describe('the bridge to the root that has gone', () => {
  const seenUntil = (notAfter: number): AuthorityCommand => ({
    type: 'observe',
    nodes: [{ nodeId: testNodeId(1), rootId: rootIdOf(next.certificate), notAfter }],
    now: NOW,
  })
  const bridgedUntil = (...commands: readonly AuthorityCommand[]): number | undefined =>
    founded(apply(reissuing(), ...commands, finish(nodes(1)))).bridges[0]?.until

  it('lasts for as long as any certificate that was seen, also where the same node renewed and lifetimes fell since', () => {
    const shorter: AuthorityCommand = { type: 'set-lifetime', lifetimeMs: HOUR_MS }
    expect(bridgedUntil(seenUntil(at(DAY_MS)), shorter)).toBe(at(DAY_MS))
    expect(bridgedUntil(seenUntil(at(HOUR_MS)), seenUntil(at(90 * DAY_MS)), shorter)).toBe(at(90 * DAY_MS))
    expect(bridgedUntil(seenUntil(at(HOUR_MS)), shorter)).toBe(at(HOUR_MS))
    // What is known already makes no event.
    expect(decided(apply(reissuing(), seenUntil(at(DAY_MS))), seenUntil(at(HOUR_MS)))).toEqual([])
  })
})

describe('a new root is refused', () => {
  const unfit = (target: TestRoot, crossSigned: Certificate, now = NOW): void => {
    expect(() => authorityLife.decide(stable, start(target, crossSigned, now))).toThrowCode('ROTATION_TARGET_UNFIT')
  }

  it('with the name or the key of the one in force', async () => {
    unfit(old, crossNext)
    unfit(await testRoot('swarm-ca', NOW), crossNext)
  })

  it('when it is no CA', async () => {
    const { certificate, privateKey } = await cluster.issue()
    unfit({ certificate, privateKey: Uint8Array.from(privateKey) }, crossNext)
  })

  it('with a cross-signed certificate of another root, or by another root', () => {
    unfit(next, crossThird)
    unfit(third, thirdByNext)
    unfit(next, next.certificate)
  })

  it('when what new certificates hang on ends before they do', async () => {
    unfit(next, await crossed(next, old, NOW, DEFAULT_LIFETIME_MS - 1000))
    unfit(next, crossNext, at(400 * DAY_MS))
  })

  it('while chains would grow too long', async () => {
    const fourth = await testRoot('swarm-ca-4', NOW)
    const fourthByThird = await crossed(fourth, third, NOW)
    const twice = apply(reissuing(), finish([]), start(third, thirdByNext, NOW), begin, finish([]), {
      ...close,
      early: true,
    })
    expect(() => apply(twice, start(fourth, fourthByThird, NOW))).toThrowCode('ROTATION_BRIDGED')
    const later = at(DEFAULT_LIFETIME_MS)
    expect(rotationOf(apply(twice, start(fourth, fourthByThird, later))).phase).toBe('cross-signed')
  })
})

describe('batches', () => {
  const asked = (state: AuthorityState, command: AuthorityCommand): readonly string[] =>
    decided(state, command).flatMap((event) => (event.type === 'batch-asked' ? event.nodes : []))

  it('fill the window, and no node is asked twice in a row', () => {
    const state = reissuing({ startWindow: 2, windowStep: 1 })
    expect(asked(state, batch(5))).toEqual(nodes(2))
    const once = apply(state, batch(5))
    // The window was used up without strain, so it grows by one.
    expect(asked(once, batch(5, at(1)))).toEqual(nodes(3).slice(2))
    expect(decided(apply(once, batch(2, at(1))), batch(2, at(2)))).toEqual([])
  })

  it('shrink to half under strain, and never below the least', () => {
    let state: AuthorityState = reissuing({ startWindow: 8, minWindow: 3 })
    for (const expected of [4, 3, 3]) {
      state = apply(state, batch(100, NOW, strain))
      expect(rotationOf(state).window).toBe(expected)
    }
    expect(rotationOf(apply(state, batch(100, NOW, { issueLatencyMs: 501, queueDepth: 0 }))).window).toBe(3)
    expect(decided(state, batch(100, NOW, strain))).toEqual([])
  })

  it('grow up to the most', () => {
    let state: AuthorityState = reissuing({ startWindow: 10, windowStep: 10, maxWindow: 25 })
    for (const expected of [10, 20, 25, 25]) {
      state = apply(state, batch(100, NOW, calm))
      expect(rotationOf(state).window).toBe(expected)
    }
  })

  it('leave out who is not there, and come again to who did not answer', () => {
    const [first = '', second = ''] = nodes(2)
    const list = [member(first, false), member(second)]
    const state = reissuing({ retryMs: 1000 })
    const ask = (now: number): AuthorityCommand => ({ type: 'next-batch', members: list, load: calm, now })
    const once = apply(state, ask(NOW))
    expect(asked(state, ask(NOW))).toEqual([second])
    expect(asked(once, ask(at(999)))).toEqual([])
    expect(asked(once, ask(at(1000)))).toEqual([second])
    expect(rotationOf(apply(once, ask(at(1000)))).phase).toBe('reissuing')
  })
})

describe('who is behind', () => {
  it('is listed with the reason', () => {
    const [one = '', two = '', three = '', four = '', five = ''] = nodes(5)
    const state = founded(
      apply(
        reissuing({ startWindow: 2, windowStep: 1, retryMs: 1000 }),
        { type: 'next-batch', members: [member(one), member(two)], load: calm, now: NOW },
        seen([one], next),
        seen([two], old),
        { type: 'next-batch', members: [member(three)], load: calm, now: at(1500) },
      ),
    )
    const all = [member(one), member(two), member(three), member(four, false), member(five)]
    expect(stragglersOf(state, all, at(1500)).map(({ nodeId, reason, asks }) => [nodeId, reason, asks])).toEqual([
      [two, 'silent', 1],
      [three, 'asked', 1],
      [four, 'offline', 0],
      [five, 'waiting', 0],
    ])
    expect(stragglersOf(stable, all, NOW)).toEqual([])
  })

  it('is waited for, or evicted at the deadline, unless that would hit too many', () => {
    const [one = '', two = ''] = nodes(2)
    const list = [member(one), member(two, false)]
    const waiting = founded(apply(reissuing(), seen([one], next)))
    expect(evictionsDue(waiting, list, at(1000 * DAY_MS))).toEqual([])
    const evict = { stragglers: { mode: 'evict', afterMs: DAY_MS } } as const
    const strict = founded(apply(reissuing({ ...evict, maxEvictPercent: 50 }), seen([one], next)))
    expect(stragglersOf(strict, list, NOW)).toMatchObject([{ nodeId: two, evictAt: at(DAY_MS) }])
    expect(evictionsDue(strict, list, at(DAY_MS - 1))).toEqual([])
    expect(evictionsDue(strict, list, at(DAY_MS))).toEqual([two])
    const careful = founded(apply(reissuing({ ...evict, maxEvictPercent: 49 }), seen([one], next)))
    expect(evictionsDue(careful, list, at(DAY_MS))).toEqual([])
    expect(planRotation(careful, { members: list, load: calm, now: at(DAY_MS) }).blockers).toContainEqual(
      expect.objectContaining({ code: 'too-many-stragglers', fatal: true, nodes: [two] }),
    )
    // Who is there is evicted after a whole turn, not before: the managers may have been away until the deadline.
    const there = [member(one), member(two)]
    const askedAt = (now: number): AuthorityCommand => ({ type: 'next-batch', members: there, load: calm, now })
    const late = at(2 * DAY_MS)
    expect(evictionsDue(strict, there, late)).toEqual([])
    expect(planRotation(strict, { members: there, load: calm, now: late }).blockers).toEqual([])
    const asked = founded(apply(strict, askedAt(late)))
    expect(evictionsDue(asked, there, late + DEFAULT_ROTATION_POLICY.retryMs - 1)).toEqual([])
    expect(evictionsDue(asked, there, late + DEFAULT_ROTATION_POLICY.retryMs)).toEqual([two])
    const again = founded(apply(asked, askedAt(late + DEFAULT_ROTATION_POLICY.retryMs)))
    expect(evictionsDue(again, there, late + DEFAULT_ROTATION_POLICY.retryMs)).toEqual([two])
    // Going back evicts nobody.
    expect(evictionsDue(founded(apply(strict, abort)), list, at(10 * DAY_MS))).toEqual([])
  })
})

describe('the plan', () => {
  const codes = (
    state: FoundedAuthority,
    change: Partial<Parameters<typeof planRotation>[1]> = {},
  ): readonly string[] =>
    planRotation(state, { members: members(3), load: calm, now: NOW, ...change }).blockers.map(({ code }) => code)

  it('says before anything happens how many, how fast and until when', () => {
    const before = planRotation(stable, { members: members(3000), load: calm, now: NOW })
    expect(before).toMatchObject({
      phase: 'idle',
      affected: 3000,
      converged: 0,
      remaining: 3000,
      window: 30,
      pacePerSecond: 30,
      etaMs: 100_000,
      blockers: [],
      abort: 'free',
    })
    const slow = planRotation(stable, {
      members: members(3000),
      load: { issueLatencyMs: 2000, queueDepth: 0 },
      now: NOW,
      policy: policy({ startWindow: 60 }),
    })
    expect(slow).toMatchObject({ window: 60, pacePerSecond: 30 })
  })

  it('measures once nodes have come', () => {
    const state = founded(apply(reissuing(), seen(nodes(20), next)))
    const running = planRotation(state, { members: members(100), load: calm, now: at(10_000) })
    expect(running).toMatchObject({ converged: 20, remaining: 80, pacePerSecond: 2, etaMs: 40_000, abort: 'reverts' })
    const done = planRotation(founded(apply(state, finish(nodes(20)))), { members: members(20), load: calm, now: NOW })
    expect(done).toMatchObject({ phase: 'finishing', converged: 20, remaining: 0, etaMs: 0, abort: 'too-late' })
  })

  it('names dead nodes, and knows no end while they are waited for', () => {
    const list = [member(testNodeId(1)), member(testNodeId(2), false)]
    const waiting = planRotation(stable, { members: list, load: calm, now: NOW })
    expect(waiting.etaMs).toBeNull()
    expect(waiting.blockers).toEqual([{ code: 'dead-nodes', fatal: true, nodes: [testNodeId(2)], until: null }])
    const strict = policy({ stragglers: { mode: 'evict', afterMs: DAY_MS } })
    const ending = planRotation(stable, { members: list, load: calm, now: NOW, policy: strict })
    expect(ending).toMatchObject({ etaMs: DAY_MS, blockers: [{ code: 'dead-nodes', fatal: false }] })
    const running = planRotation(reissuing({ stragglers: { mode: 'evict', afterMs: DAY_MS } }), {
      members: list,
      load: calm,
      now: at(HOUR_MS),
    })
    expect(running).toMatchObject({ etaMs: DAY_MS - HOUR_MS, blockers: [{ until: at(DAY_MS) }] })
  })

  it('names whatever else stands in the way', () => {
    expect(codes(stable, { externalAuthority: { reachable: false } })).toEqual(['external-ca-unreachable'])
    expect(codes(stable, { externalAuthority: { reachable: true } })).toEqual([])
    const keyless = foundedOn({ ...old, privateKey: null as unknown as TestRoot['privateKey'] }, NOW)
    expect(planRotation(keyless, { members: [], load: calm, now: NOW }).blockers).toMatchObject([
      { code: 'root-key-elsewhere', fatal: true },
    ])
    expect(codes(stable, { now: old.certificate.notAfter - DAY_MS })).toEqual(['root-ends-soon'])
    const bridged = founded(apply(reissuing(), finish([])))
    expect(codes(bridged)).toEqual(['bridge-pending'])
    expect(codes(bridged, { now: at(DEFAULT_LIFETIME_MS) })).toEqual([])
  })
})

describe('what a peer presents', () => {
  const options = (...roots: readonly TestRoot[]) => ({
    roots: roots.map(({ certificate }) => certificate),
    clusterId: testClusterId(1),
    now: NOW,
    verifier: systemVerifier,
  })

  it('is held against each root alone, the new one first', async () => {
    const node = await cluster.issue()
    expect(observePresented([node.certificate], options(next, old))).toEqual({
      nodeId: node.nodeId,
      rootId: rootIdOf(old.certificate),
      notAfter: node.certificate.notAfter,
    })
    // A cross-signed certificate beside an old leaf makes it no newer one.
    expect(observePresented([node.certificate, crossNext], options(next, old)).rootId).toBe(rootIdOf(old.certificate))
    expect(() => observePresented([node.certificate], options(next))).toThrowCode('PEER_UNTRUSTED')
    expect(() => observePresented([node.certificate], options())).toThrowCode('PEER_UNTRUSTED')
  })
})

describe('what a peer presents while nodes are called back', () => {
  it('under a root that was given up is not taken for one of the root in force, which vouches for it, too', async () => {
    const { certificate, nodeId } = await testNodeUnder(next)
    const reverting = founded(apply(reissuing(), seen([nodeId], next), abort))
    const options = {
      roots: rotationRootsOf(reverting),
      clusterId: testClusterId(1),
      now: NOW,
      verifier: systemVerifier,
    }
    expect(observePresented([certificate, crossNext], options).rootId).toBe(rootIdOf(next.certificate))
    const again = founded(apply(reverting, start(third, crossThird, NOW)))
    expect(rotationRootsOf(again).map(({ pem }) => pem)).toEqual([third, next, old].map((root) => root.certificate.pem))
    expect(rotationRootsOf(founded(apply(stable, start(next, crossNext, NOW), abort)))).toHaveLength(1)
  })
})

describe('a manager that dies', () => {
  it('at any event is followed by another one with the same state, and the same end', () => {
    const commands: readonly AuthorityCommand[] = [
      plan({ startWindow: 2 }),
      start(next, crossNext, NOW),
      begin,
      batch(4, at(1)),
      seen(nodes(2), next, at(2)),
      abort,
      seen(nodes(1), old, at(3)),
      start(third, crossThird, at(4)),
      { type: 'begin-reissue', now: at(5) },
      batch(4, at(6)),
      batch(4, at(7), strain),
      seen(nodes(4), third, at(8)),
      finish(nodes(4), at(9)),
      { type: 'close-rotation', now: at(DAY_MS + 9) },
    ]
    const straight = apply(stable, ...commands)
    for (let crash = 0; crash <= commands.length; crash += 1) {
      const log: AuthorityEvent[] = [...authorityEvents(stable)]
      let state: AuthorityState = stable
      for (const command of commands.slice(0, crash)) {
        const events = authorityLife.decide(state, command)
        log.push(...events)
        state = events.reduce(authorityLife.evolve, state)
      }
      for (const heir of [replay(log), restored(state)]) {
        expect(heir).toEqual(state)
        // The last command may have been heard already: its answer was lost.
        const repeated = commands[crash - 1]
        const again = repeated?.type === 'observe' || repeated?.type === 'begin-reissue' ? [repeated] : []
        expect(apply(heir, ...again, ...commands.slice(crash))).toEqual(straight)
      }
    }
  })

  it('loses nothing of ten thousand nodes in a snapshot', () => {
    const many = nodes(10_000)
    let state: AuthorityState = reissuing({ startWindow: 2000, maxWindow: 10_000, windowStep: 2000 })
    for (let turn = 0; turn < 4; turn += 1) state = apply(state, batch(10_000, at(turn)))
    state = apply(state, seen(many.slice(0, 5000), next))
    expect(rotationOf(state).converged).toBe(5000)
    expect(restored(state)).toEqual(state)
    expect(() => apply(state, finish(many))).toThrowCode('ROTATION_INCOMPLETE')
    expect(rotationOf(apply(state, seen(many.slice(5000), next), finish(many))).phase).toBe('finishing')
  })
})
