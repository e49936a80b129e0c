import {
  type AuthorityCommand,
  type AuthorityEvent,
  type AuthorityState,
  authorityLife,
  type Certificate,
  createCsr,
  DEFAULT_LIFETIME_MS,
  evictionsDue,
  issueCertificate,
  issuingPartsOf,
  joinBundlesOf,
  observePresented,
  openAuthority,
  parseTrustBundle,
  rootIdOf,
  rotationRootsOf,
  trustBundleOf,
  verifyPeerSync,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  calm,
  crossed,
  DAY_MS,
  founded,
  foundedOn,
  HOUR_MS,
  member,
  parsed,
  policy,
  replay,
  restored,
  rootOfCluster,
  start,
  strain,
  type TestRoot,
  testRoot,
} from './rotation-support.ts'

const START = Date.UTC(2026, 11, 1)
const ROOTS = 6
const clusterId = testClusterId(1)

let roots: readonly TestRoot[]
const crossings = new Map<string, Certificate>()
const leaves = new Map<string, Certificate>()
const verdicts = new Map<string, boolean>()

beforeAll(async () => {
  const cluster = await testCluster({ now: START })
  const later = Array.from({ length: ROOTS }, async (_, number) => await testRoot(`swarm-ca-${number + 2}`, START))
  roots = [rootOfCluster(cluster), ...(await Promise.all(later))]
  const csr = await createCsr(createNodeKey())
  for (const old of roots) {
    for (const next of roots) {
      if (old === next) continue
      const key = `${rootIdOf(old.certificate)} ${rootIdOf(next.certificate)}`
      crossings.set(key, await crossed(next, old, START, 2000 * DAY_MS))
    }
    const authority = await openAuthority(
      { certificate: old.certificate, signer: openSigner(old.privateKey) },
      { verifier: systemVerifier },
    )
    // One leaf of each root stands for all: whose it is makes no difference to who vouches for it. Its dates are played by the model.
    const grant = { nodeId: testNodeId(1), role: 'worker', clusterId, lifetimeMs: 2000 * DAY_MS } as const
    const options = { random: systemRandom, now: START, verifier: systemVerifier, digest: systemDigest }
    const key = rootIdOf(old.certificate)
    leaves.set(key, await issueCertificate(authority, csr, grant, options))
  }
})

/** Whether a chain verifies for somebody with that bundle: by the real validator, once for each pair. */
function verifies(chain: readonly Certificate[], bundle: string): boolean {
  const key = `${chain.map(({ serial }) => serial).join()} ${bundle}`
  const known = verdicts.get(key)
  if (known !== undefined) return known
  let verdict = true
  try {
    const { roots: trusted } = parseTrustBundle(bundle)
    verifyPeerSync(chain, { roots: trusted, clusterId, now: START, verifier: systemVerifier })
  } catch {
    verdict = false
  }
  verdicts.set(key, verdict)
  return verdict
}

interface SimNode {
  readonly nodeId: string
  chain: readonly Certificate[]
  notAfter: number
  bundle: string
  online: boolean
  evicted: boolean
}

/** A cluster of which each part does what it does when it can, and a log. */
class Simulation {
  now = START
  state: AuthorityState
  readonly log: AuthorityEvent[]
  readonly nodes: SimNode[] = []
  used = 0
  refusals = 0

  constructor() {
    this.state = foundedOn(roots[0]!, START)
    this.log = [
      {
        type: 'authority-founded',
        clusterId,
        certificate: roots[0]!.certificate.pem,
        privateKey: roots[0]!.privateKey,
        lifetimeMs: DEFAULT_LIFETIME_MS,
        at: START,
      },
    ]
    for (let count = 0; count < 3; count += 1) this.join(0)
  }

  order(command: AuthorityCommand): boolean {
    try {
      const events = authorityLife.decide(this.state, command)
      this.log.push(...events)
      this.state = events.reduce(authorityLife.evolve, this.state)
      return true
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error)) throw error
      this.refusals += 1
      return false
    }
  }

  issued(): readonly Certificate[] {
    const parts = issuingPartsOf(founded(this.state), this.now)
    return [leaves.get(rootIdOf(parts.certificate))!, ...parts.intermediates]
  }

  join(which: number): void {
    const bundles = joinBundlesOf(founded(this.state), this.now)
    const bundle = bundles[which % bundles.length]!
    const chain = this.issued()
    expect(verifies(chain, bundle), 'a joining node can use its certificate').toBe(true)
    const nodeId = testNodeId(this.nodes.length + 1)
    this.nodes.push({ nodeId, chain, notAfter: this.now + DEFAULT_LIFETIME_MS, bundle, online: true, evicted: false })
  }

  living(): readonly SimNode[] {
    return this.nodes.filter(({ evicted, notAfter }) => !evicted && this.now <= notAfter)
  }

  members(): readonly SimNode[] {
    return this.nodes.filter(({ evicted }) => !evicted)
  }

  pick(which: number): SimNode | null {
    const present = this.living().filter(({ online }) => online)
    return present[which % Math.max(1, present.length)] ?? null
  }

  renew(node: SimNode): void {
    const chain = this.issued()
    expect(verifies(chain, node.bundle), 'a node can use its new certificate').toBe(true)
    node.chain = chain
    node.notAfter = this.now + DEFAULT_LIFETIME_MS
  }

  push(node: SimNode): void {
    const bundle = trustBundleOf(founded(this.state))
    expect(verifies(node.chain, bundle), 'a node can take the bundle').toBe(true)
    node.bundle = bundle
  }

  present(node: SimNode): void {
    const options = { roots: rotationRootsOf(founded(this.state)), clusterId, now: START, verifier: systemVerifier }
    const { rootId } = observePresented(node.chain, options)
    this.order({ type: 'observe', nodes: [{ nodeId: node.nodeId, rootId, notAfter: node.notAfter }], now: this.now })
  }

  /** Each pair of nodes can complete a mutual handshake. */
  check(): void {
    const living = this.living()
    for (const one of living)
      for (const other of living)
        if (!verifies(one.chain, other.bundle)) throw new Error(`${other.nodeId} shares no root with ${one.nodeId}`)
  }

  step([kind, which]: readonly [string, number]): void {
    const { now } = this
    const node = this.pick(which)
    const current = founded(this.state)
    switch (kind) {
      case 'join':
        if (this.nodes.length < 8) this.join(which)
        break
      case 'switch': {
        const all = this.members()
        const chosen = all[which % all.length]
        if (chosen !== undefined) chosen.online = which % 3 !== 0 || !chosen.online
        break
      }
      case 'renew':
        if (node !== null) this.renew(node)
        break
      case 'push':
        if (node !== null) this.push(node)
        break
      case 'present':
        if (node !== null) this.present(node)
        break
      case 'come':
        // What a node does that is asked, all at once.
        if (node !== null) {
          this.renew(node)
          this.present(node)
        }
        break
      case 'present-all':
        for (const each of this.living().filter(({ online }) => online)) this.present(each)
        break
      case 'come-all':
        for (const each of this.living().filter(({ online }) => online)) {
          this.renew(each)
          this.present(each)
        }
        break
      case 'wait':
        this.now += [HOUR_MS, DAY_MS, 20 * DAY_MS][which % 3]!
        // Who is there renews in time; who is not may expire.
        for (const each of this.living())
          if (each.online && each.notAfter - this.now < DEFAULT_LIFETIME_MS / 2) this.renew(each)
        break
      case 'plan': {
        const stragglers = which % 2 === 0 ? ({ mode: 'wait' } as const) : ({ mode: 'evict', afterMs: DAY_MS } as const)
        this.order({
          type: 'plan-rotation',
          policy: policy({ stragglers, maxEvictPercent: 50, tokenOverlapMs: (which % 3) * DAY_MS }),
          now,
        })
        break
      }
      case 'start': {
        const next = roots[this.used + 1]
        const key = `${rootIdOf(parsed(current.roots[0].certificate))} ${next === undefined ? '' : rootIdOf(next.certificate)}`
        if (next !== undefined && this.order(start(next, crossings.get(key)!, now))) this.used += 1
        break
      }
      case 'begin':
        this.order({ type: 'begin-reissue', now })
        break
      case 'batch': {
        const members = this.members().map(({ nodeId, online }) => member(nodeId, online))
        this.order({ type: 'next-batch', members, load: which % 2 === 0 ? calm : strain, now })
        break
      }
      case 'abort':
        this.order({ type: 'abort-rotation', now })
        break
      case 'finish':
        if (this.order({ type: 'finish-rotation', members: this.members().map(({ nodeId }) => nodeId), now })) {
          // What counted was real: nobody hangs on a root that has gone, or was given up.
          const stays = rootIdOf(parsed(founded(this.state).roots[0].certificate))
          for (const { chain } of this.members()) expect(leaves.get(stays)).toBe(chain[0])
        }
        break
      case 'close':
        this.order({ type: 'close-rotation', now, ...(which % 2 === 0 ? {} : { early: true as const }) })
        break
      case 'evict': {
        // Who slept past his expiry is let in again elsewhere, as a new node.
        for (const each of this.members()) if (this.now > each.notAfter) each.evicted = true
        const members = this.members().map(({ nodeId, online }) => member(nodeId, online))
        for (const nodeId of evictionsDue(current, members, now))
          this.nodes.find((each) => each.nodeId === nodeId)!.evicted = true
        break
      }
      case 'crash':
        this.state = which % 2 === 0 ? replay(this.log) : restored(this.state)
        break
    }
  }
}

const KINDS = [
  ...[
    'join',
    'switch',
    'renew',
    'push',
    'push',
    'present',
    'present-all',
    'wait',
    'plan',
    'batch',
    'evict',
    'close',
    'crash',
  ],
  ...[
    'start',
    'begin',
    'begin',
    'abort',
    'come',
    'come',
    'come-all',
    'come-all',
    'come-all',
    'finish',
    'finish',
    'finish',
  ],
]
const steps = fc.array(fc.tuple(fc.constantFrom(...KINDS), fc.nat(11)), { minLength: 20, maxLength: 90 })

it('law: at no step is there a pair of nodes that cannot complete a mutual handshake', () => {
  const happened = new Set<string>()
  fc.assert(
    fc.property(steps, (sequence) => {
      const simulation = new Simulation()
      for (const step of sequence) {
        simulation.step(step)
        simulation.check()
      }
      for (const { type } of simulation.log) happened.add(type)
    }),
    { numRuns: 250 },
  )
  // The runs were not idle: rotations began, were given up, and ended.
  for (const type of [
    'rotation-started',
    'reissue-begun',
    'rotation-aborted',
    'rotation-finished',
    'rotation-reverted',
  ])
    expect({ type, happened: happened.has(type) }).toEqual({ type, happened: true })
})

it('law: whatever came before, a rotation with all nodes there ends with the new root alone', () => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const simulation = new Simulation()
      for (const step of sequence.slice(0, 40)) simulation.step(step)
      const run = (): void => {
        for (const node of simulation.members()) {
          node.online = true
          // Who slept past his expiry is let in again elsewhere.
          if (simulation.now > node.notAfter) node.evicted = true
        }
        for (const node of simulation.members()) {
          simulation.push(node)
          simulation.renew(node)
          simulation.present(node)
          simulation.check()
        }
        simulation.step(['finish', 0])
        simulation.check()
        for (const node of simulation.members()) {
          simulation.push(node)
          simulation.check()
        }
        simulation.step(['close', 1])
        simulation.check()
      }
      simulation.step(['begin', 0])
      run()
      if (founded(simulation.state).phase !== 'stable') {
        simulation.step(['abort', 0])
        run()
      }
      const { phase } = founded(simulation.state)
      expect(phase).toBe('stable')
    }),
    { numRuns: 100 },
  )
})

it('law: a replayed log and a restored snapshot are the same state, after every event', () => {
  fc.assert(
    fc.property(steps, (sequence) => {
      const simulation = new Simulation()
      for (const step of sequence) simulation.step(step)
      let state: AuthorityState = authorityLife.initial
      for (const event of simulation.log) {
        state = authorityLife.evolve(state, event)
        expect(restored(state)).toEqual(state)
      }
      expect(state).toEqual(simulation.state)
    }),
    { numRuns: 60 },
  )
})
