import {
  type AuthorityCommand,
  authorityLife,
  type Certificate,
  countBehind,
  createRotationRoster,
  evictionsDue,
  type FoundedAuthority,
  listNodes,
  type Membership,
  type MembershipCommand,
  membership,
  membershipEvents,
  nodeOf,
  type RotationMember,
  type RotationMembers,
  type RotationRoster,
  rootIdOf,
  stragglersOf,
} from '@leastwise/identity'
import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import { testCluster, testNodeId } from '../support/test-authority.ts'
import {
  calm,
  crossed,
  DAY_MS,
  founded,
  foundedOn,
  parsed,
  policy,
  restored,
  rootOfCluster,
  start,
  strain,
  type TestRoot,
  testRoot,
} from './rotation-support.ts'

const START = Date.UTC(2026, 11, 1)
const NODES = 6
const RETRY_MS = 1000

let roots: readonly TestRoot[]
const crossings = new Map<string, Certificate>()

beforeAll(async () => {
  const later = ['swarm-ca-2', 'swarm-ca-3', 'swarm-ca-4'].map(async (name) => await testRoot(name, START))
  roots = [rootOfCluster(await testCluster({ now: START })), ...(await Promise.all(later))]
  for (const old of roots)
    for (const next of roots)
      if (old !== next)
        crossings.set(old.certificate.pem + next.certificate.pem, await crossed(next, old, START, 2000 * DAY_MS))
})

/** A moment of a cluster. */
interface Moment {
  readonly authority: FoundedAuthority
  readonly members: Membership
  readonly now: number
}

/** Everything that is decided by who is behind; a refusal by its message, which has the numbers. */
function answers({ authority, now }: Moment, members: readonly RotationMember[] | RotationMembers): unknown {
  const decided = (command: AuthorityCommand): unknown => {
    try {
      return authorityLife.decide(authority, command)
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error)) throw error
      return error.message
    }
  }
  return {
    calm: decided({ type: 'next-batch', members, load: calm, now }),
    strain: decided({ type: 'next-batch', members, load: strain, now }),
    finish: decided({
      type: 'finish-rotation',
      members: 'behind' in members ? members : members.map(({ nodeId }) => nodeId),
      now,
    }),
    count: countBehind(authority, members, now),
    stragglers: stragglersOf(authority, members, now),
    due: evictionsDue(authority, members, now),
  }
}

class Cluster {
  moment: Moment = { authority: foundedOn(roots[0]!, START), members: membership.initial, now: START }
  readonly past: Moment[] = []
  readonly away = new Set<string>()
  readonly isReachable = (nodeId: string): boolean => !this.away.has(nodeId)

  order(command: AuthorityCommand): void {
    const { authority } = this.moment
    try {
      const events = authorityLife.decide(authority, command)
      this.moment = { ...this.moment, authority: founded(events.reduce(authorityLife.evolve, authority)) }
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error)) throw error
    }
  }

  change(command: MembershipCommand): void {
    const { members } = this.moment
    const next = membership.decide(members, command).reduce(membership.evolve, members)
    this.moment = { ...this.moment, members: next }
  }

  /** All members, as a host lists them for a full walk. */
  listed({ members }: Moment): readonly RotationMember[] {
    return listNodes(members).map(({ nodeId }) => ({ nodeId, reachable: this.isReachable(nodeId) }))
  }

  /** What the roster says is what the full walk says. */
  check(roster: RotationRoster, moment: Moment): void {
    const walked = answers(moment, this.listed(moment))
    expect(answers(moment, roster.of(moment.members))).toEqual(walked)
  }

  step([kind, which]: readonly [string, number]): void {
    this.past.push(this.moment)
    const { authority, members, now } = this.moment
    const nodeId = testNodeId(which % NODES)
    switch (kind) {
      case 'admit':
        // Of two ages, so that neither age nor id alone makes the order.
        if (nodeOf(members, nodeId) === null) {
          const at = START + (which % 2)
          this.change({ type: 'admit', nodeId, role: 'worker', csr: 'a', publicKeyHash: 'b', now: at })
        }
        break
      case 'touch':
        if (nodeOf(members, nodeId) !== null)
          this.change({ type: 'renew', nodeId, csr: `c ${now} ${which}`, publicKeyHash: `d ${now} ${which}` })
        break
      case 'evict':
        if (nodeOf(members, nodeId) !== null) {
          this.change({ type: 'evict', nodeId, reason: '', now })
          this.change({ type: 'prune', now: Infinity })
        }
        break
      case 'switch':
        if (!this.away.delete(nodeId)) this.away.add(nodeId)
        break
      case 'come': {
        const { target } = authority.rotation ?? { target: null }
        const root = target?.root.certificate ?? authority.roots[0].certificate
        const all = listNodes(members).map((node) => node.nodeId)
        for (const each of which > 8 ? all : [nodeId]) this.observe(each, rootIdOf(parsed(root)))
        break
      }
      case 'observe':
        this.observe(nodeId, rootIdOf(roots[which % roots.length]!.certificate))
        break
      case 'batch':
        this.order({
          type: 'next-batch',
          members: this.listed(this.moment),
          load: which % 3 === 0 ? strain : calm,
          now,
        })
        break
      case 'wait':
        this.moment = { ...this.moment, now: now + [1, RETRY_MS - 1, RETRY_MS, DAY_MS][which % 4]! }
        break
      case 'back':
        // Another manager goes on, whose clock is behind.
        this.moment = { ...this.moment, now: Math.max(START, now - [1, RETRY_MS][which % 2]!) }
        break
      case 'plan': {
        const stragglers =
          which % 3 === 0 ? ({ mode: 'wait' } as const) : ({ mode: 'evict', afterMs: RETRY_MS } as const)
        const pace = { startWindow: 1 + (which % 4), windowStep: 1, retryMs: RETRY_MS * (1 + (which % 3)) }
        this.order({
          type: 'plan-rotation',
          policy: policy({ ...pace, stragglers, maxEvictPercent: 50 * (1 + (which % 2)) }),
          now,
        })
        break
      }
      case 'start': {
        const next = roots[which % roots.length]!
        const crossSigned = crossings.get(authority.roots[0].certificate + next.certificate.pem)
        if (crossSigned !== undefined) this.order(start(next, crossSigned, now))
        break
      }
      case 'begin':
        this.order({ type: 'begin-reissue', now })
        break
      case 'abort':
        this.order({ type: 'abort-rotation', now })
        break
      case 'finish':
        this.order({ type: 'finish-rotation', members: listNodes(members).map((node) => node.nodeId), now })
        break
      case 'crash':
        this.moment = {
          authority: founded(restored(authority)),
          members: [...membershipEvents(members)].reduce(membership.evolve, membership.initial),
          now,
        }
        break
    }
  }

  observe(nodeId: string, rootId: string): void {
    const { now } = this.moment
    this.order({ type: 'observe', nodes: [{ nodeId, rootId, notAfter: now + DAY_MS }], now })
  }
}

/** Three nodes, and a rotation that asks them. */
const BEGIN = [
  ...([0, 1, 2] as const).map((node) => ['admit', node] as const),
  ...([
    ['plan', 1],
    ['start', 1],
    ['begin', 0],
  ] as const),
]
const often = ['admit', 'come', 'come', 'finish', 'batch', 'batch', 'batch', 'wait', 'wait', 'begin', 'begin']
const sometimes = ['start', 'touch', 'evict', 'switch', 'observe', 'back', 'plan', 'abort', 'finish', 'crash']
const kinds = [...often, ...sometimes]
const steps = fc.array(fc.tuple(fc.constantFrom(...kinds), fc.nat(11), fc.nat(9)), { minLength: 20, maxLength: 80 })

it('law: after any history a roster says what a walk over all members says, whichever state it was asked about before', () => {
  const seen = { asked: 0, due: 0, behind: 0, finished: 0 }
  fc.assert(
    fc.property(steps, (sequence) => {
      const cluster = new Cluster()
      for (const first of BEGIN) cluster.step(first)
      const { isReachable } = cluster
      // One is asked after each step; one now and then, and about the past, too.
      const [eager, lazy] = [createRotationRoster({ isReachable }), createRotationRoster({ isReachable })]
      for (const [kind, which, look] of sequence) {
        cluster.step([kind, which])
        const { moment, past } = cluster
        cluster.check(eager, moment)
        if (look === 0) cluster.check(lazy, moment)
        if (look === 1) cluster.check(lazy, past[Math.floor(past.length / 2)]!)
        // Who begins with nothing, as after a restart, says the same.
        if (look === 2) cluster.check(createRotationRoster({ isReachable }), moment)
        const { authority, members, now } = moment
        const all = eager.of(members)
        seen.behind += Math.min(1, countBehind(authority, all, now))
        seen.due += Math.min(1, evictionsDue(authority, all, now).length)
        if (kind === 'batch' && authority !== past.at(-1)?.authority) seen.asked += 1
        if (authority.rotation?.phase === 'finishing') seen.finished += 1
      }
    }),
    { numRuns: 150 },
  )
  // The histories were not idle.
  for (const [what, count] of Object.entries(seen)) expect({ what, enough: count > 25 }).toEqual({ what, enough: true })
})
