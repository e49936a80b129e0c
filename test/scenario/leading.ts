import {
  createRotationRoster,
  evictionsDue,
  formatCertificateChain,
  listNodes,
  type NodeId,
  nodeOf,
  type RotationMembers,
  type RotationRoster,
  stragglersOf,
} from '@leastwise/identity'
import { evictMany } from './evicting.ts'
import { ask, connect, take, takeBundle } from './nodes.ts'
import { codeOf, type Leader, later, MINUTE_MS, type RotationFacts, SECOND_MS, type Sim, type SimNode } from './sim.ts'

/** One certificate in ten is signed with P-256 and verified, and all of the managers; SCENARIO_REAL=all does it for each. */
const REAL_EVERY = process.env['SCENARIO_REAL'] === 'all' ? 1 : 10
export const MANAGERS = 3

const CERTIFICATES_PER_SECOND = 200
export const TICK_MS = 4 * SECOND_MS
/** Between two looks while only a few come back from sleep. */
const TAIL_TICK_MS = MINUTE_MS
/** Between two looks at nodes that do not come. */
const IDLE_TICK_MS = 60 * MINUTE_MS
/** All bundles are told by then; it would hold without waiting, too. */
const BEFORE_REISSUE_MS = MINUTE_MS
/** When so few are behind, the reasons are asked for each time. */
const FEW = 300
const OUTAGE_MS = 20 * SECOND_MS
/** A machine takes so long from hearing that it is to renew to asking for it. */
const SLOWEST_NODE_MS = 4 * SECOND_MS

export function createLeader(sim: () => Sim): Leader {
  return {
    boot: 0,
    up: true,
    perSecond: CERTIFICATES_PER_SECOND,
    busyUntil: 0,
    waiting: new Set(),
    worstLatencyMs: 0,
    seen: [],
    receive: (node) => {
      receive(sim(), node)
    },
  }
}

/** A request arrives: it is durable before it is signed. */
function receive(sim: Sim, node: SimNode): void {
  const { nodeId } = node
  const renew = (): void => {
    const { pem, publicKeyHash } = sim.requests.of(node.number, node.key)
    const command = { type: 'renew', nodeId, csr: pem, publicKeyHash } as const
    sim.replica.commit([{ part: 'membership', command }], sim.now)
  }
  // The answer to an earlier request was lost, and the manager wants another one by now.
  const code = codeOf(renew)
  if (code === 'NODE_KEY_REUSED') {
    node.key += 1
    renew()
  } else if (code !== 'passed') throw new Error(`${nodeId} may not renew: ${code}`)
  sign(sim, nodeId)
}

/** Signs when those before it have been. */
function sign(sim: Sim, nodeId: NodeId): void {
  const { leader, now } = sim
  const { boot } = leader
  // It may ask again while it waits.
  if (leader.waiting.has(nodeId)) return
  leader.waiting.add(nodeId)
  leader.busyUntil = Math.max(now, leader.busyUntil) + SECOND_MS / leader.perSecond
  const at = Math.ceil(leader.busyUntil)
  sim.queue.add(at, async () => {
    if (leader.boot !== boot) return
    leader.waiting.delete(nodeId)
    leader.worstLatencyMs = Math.max(leader.worstLatencyMs, at - now)
    await signed(sim, nodeId)
  })
}

async function signed(sim: Sim, nodeId: NodeId): Promise<void> {
  const node = sim.byId.get(nodeId)
  const record = nodeOf(sim.replica.state().membership, nodeId)
  if (node === undefined || record?.certificate !== null) return
  const real = node.number < MANAGERS || node.number % REAL_EVERY === 0
  const issued = await sim.issuer.issue(sim.replica.authority(), record, real, sim.now)
  const { serial, notAfter } = issued.leaf
  const { csr, roleEpoch } = record
  const certificate = formatCertificateChain([issued.leaf, ...issued.above])
  const command = { type: 'record-certificate', nodeId, csr, certificate, serial, notAfter, roleEpoch } as const
  sim.replica.commit([{ part: 'membership', command }], sim.now)
  sim.curve.count(sim.now, node.awaits ?? 'scheduled')
  take(sim, node, issued)
}

/** Tells a node in its session that it is to renew. */
export function tell(sim: Sim, nodeId: string): void {
  const { boot } = sim.leader
  const node = sim.byId.get(nodeId)
  if (node === undefined) return
  later(sim, sim.draws.between(200, SLOWEST_NODE_MS), () => {
    if (sim.leader.boot === boot) ask(sim, node, 'asked')
  })
}

/** Tells all sessions the bundle that holds now. */
export function pushBundle(sim: Sim): void {
  const { boot } = sim.leader
  for (const node of sim.nodes) {
    if (node.life !== 'up' || node.held === null) continue
    later(sim, sim.draws.between(0, 5 * SECOND_MS), () => {
      if (sim.leader.boot === boot) takeBundle(sim, node)
    })
  }
}

/** The manager that leads is gone; after a while another one goes on with what is in the journal, and nothing else. */
export function crash(sim: Sim, outageMs: number = OUTAGE_MS): void {
  const { leader, replica, facts } = sim
  const { rotation } = replica.authority()
  const { sinceSnapshot } = replica.length()
  const lost = leader.waiting.size + leader.seen.length
  Object.assign(leader, {
    boot: leader.boot + 1,
    up: false,
    busyUntil: 0,
    waiting: new Set(),
    worstLatencyMs: 0,
    seen: [],
  })
  const rebuiltSame = replica.crash()
  const { phase = 'idle', converged = 0 } = rotation ?? {}
  facts.crashes.push({ at: sim.now, phase, converged, sinceSnapshot, rebuiltSame, lost })
  later(sim, outageMs, () => {
    takeOver(sim)
  })
}

function takeOver(sim: Sim): void {
  const { leader, replica } = sim
  leader.up = true
  for (const { nodeId, certificate } of listNodes(replica.state().membership))
    if (certificate === null) sign(sim, nodeId)
  for (const node of sim.nodes)
    if (node.life === 'up')
      later(sim, sim.draws.between(0, 8000), () => {
        connect(sim, node)
      })
  if (replica.authority().rotation !== null) drive(sim)
}

const rosters = new WeakMap<Sim, { readonly boot: number; readonly roster: RotationRoster }>()

/** All members, as the manager that leads keeps them. The next one begins with nothing but the state. */
function membersOf(sim: Sim): RotationMembers {
  const { boot } = sim.leader
  let known = rosters.get(sim)
  if (known?.boot !== boot) {
    const isReachable = (nodeId: string): boolean => {
      const life = sim.byId.get(nodeId)?.life
      return life === 'up' || life === 'hung'
    }
    known = { boot, roster: createRotationRoster({ isReachable }) }
    rosters.set(sim, known)
  }
  return known.roster.of(sim.replica.state().membership)
}

/** What whichever manager leads does for a rotation, until it is over or the manager is gone. */
export function drive(sim: Sim): void {
  const { boot } = sim.leader
  later(sim, TICK_MS, async function tick() {
    if (sim.leader.boot !== boot) return
    const pause = await step(sim, sim.facts.rotations.at(-1)!)
    if (pause !== null) later(sim, pause, tick)
    sim.watch()
  })
}

async function step(sim: Sim, facts: RotationFacts): Promise<number | null> {
  const { replica, now, leader } = sim
  const order = (command: Parameters<typeof replica.commit>[0][number] & { part: 'authority' }) =>
    replica.commit([command], now)
  const { rotation } = replica.authority()
  if (rotation === null) return null
  if (rotation.phase === 'cross-signed') {
    const wait = facts.startedAt + BEFORE_REISSUE_MS - now
    if (wait > 0) return wait
    order({ part: 'authority', command: { type: 'begin-reissue', now } })
    facts.reissueAt = now
    return TICK_MS
  }
  if (rotation.phase === 'finishing') {
    const wait = (rotation.tokensUntil ?? 0) - now
    if (wait > 0) return wait
    order({ part: 'authority', command: { type: 'close-rotation', now } })
    facts.closedAt = now
    return null
  }
  if (rotation.phase !== 'reissuing') return TICK_MS
  const nodes = leader.seen
  leader.seen = []
  order({ part: 'authority', command: { type: 'observe', nodes, now } })
  const load = { issueLatencyMs: leader.worstLatencyMs, queueDepth: leader.waiting.size }
  leader.worstLatencyMs = 0
  const evicting = evictionsDue(replica.authority(), membersOf(sim), now)
  if (evicting.length > 0) {
    facts.atDeadline = stragglersOf(replica.authority(), membersOf(sim), now).map(({ nodeId, reason }) => ({
      nodeId,
      reason,
      life: sim.byId.get(nodeId)!.life,
    }))
    facts.evictedByPolicy = evicting
    await evictMany(sim, evicting, 'did not come over to the new root in time')
    for (const _ of evicting) sim.replaceNode()
  }
  const all = membersOf(sim)
  const asked = order({ part: 'authority', command: { type: 'next-batch', members: all, load, now } }).flatMap(
    (change) => (change.part === 'authority' && change.event.type === 'batch-asked' ? change.event.nodes : []),
  )
  for (const nodeId of asked) {
    const node = sim.byId.get(nodeId)!
    replica.commit([{ part: 'membership', command: { type: 'request-renewal', nodeId: node.nodeId } }], now)
    tell(sim, nodeId)
  }
  const { window, converged } = replica.authority().rotation!
  facts.mostWaiting = Math.max(facts.mostWaiting, load.queueDepth)
  facts.leastWindow = Math.min(facts.leastWindow, window)
  facts.mostWindow = Math.max(facts.mostWindow, window)
  // Who is behind, and why, is asked now and then while most are.
  facts.ticks += 1
  if (all.size - converged > FEW && facts.ticks % 10 !== 0) return TICK_MS
  const stragglers = stragglersOf(replica.authority(), all, now)
  for (const { reason } of stragglers) facts.reasons.add(reason)
  if (stragglers.length > 0) {
    const live = stragglers.some(({ nodeId }) => sim.byId.get(nodeId)!.life === 'up')
    if (live) facts.liveOverAt = now
    if (live) return all.size - converged > FEW ? TICK_MS : TAIL_TICK_MS
    return IDLE_TICK_MS
  }
  order({
    part: 'authority',
    command: { type: 'finish-rotation', members: all, now },
  })
  facts.finishedAt = now
  pushBundle(sim)
  return TICK_MS
}
