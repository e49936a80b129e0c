import {
  type Certificate,
  type FoundedAuthority,
  mayRenew,
  nodeOf,
  noEvictions,
  observePresented,
  parseTrustBundle,
  renewalDelay,
  retryDelay,
  rotationRootsOf,
  trustBundleOf,
  verifyPeerSync,
} from '@leastwise/identity'
import { testNodeId } from '../support/test-authority.ts'
import { fetchList } from './evicting.ts'
import type { Issued } from './issuer.ts'
import type { Cause } from './load-curve.ts'
import { type Held, later, SECOND_MS, type Sim, type SimNode } from './sim.ts'
import type { BundleKind } from './trust-law.ts'

/** A node gives up waiting for an answer after this. */
const ANSWER_MS = 10 * SECOND_MS
/** From a new certificate to the session that is opened with it. */
export const RECONNECT_MS = 300
/** From the opened session to what the manager tells in it. */
export const ANSWERED_MS = 200
const NO_MANAGER_MS = 5 * SECOND_MS

export const bundleKind = (sim: Sim, pem: string): BundleKind =>
  sim.law.bundle(pem, (text) => parseTrustBundle(text).roots)

/** A node that trusts the bundle of its join token, and has nothing else yet. */
export function newNode(sim: Sim, bundle: string): SimNode {
  const number = sim.nodes.length
  const node: SimNode = {
    number,
    nodeId: testNodeId(number),
    life: 'up',
    held: null,
    bundle: bundleKind(sim, bundle),
    view: noEvictions,
    key: 0,
    awaits: null,
    failures: 0,
  }
  sim.nodes.push(node)
  sim.byId.set(node.nodeId, node)
  return node
}

function failed(sim: Sim, node: SimNode): void {
  node.failures += 1
  sim.facts.failures += 1
  const remainingMs = (node.held?.peer.notAfter ?? 0) - sim.now
  const pause = retryDelay({ failures: node.failures, remainingMs, unit: sim.draws.unit() })
  sim.renewals.add(node.number, Math.ceil(sim.now + pause))
}

/** Asks for a certificate, with a new key unless an answer to the last one is still open. */
export function ask(sim: Sim, node: SimNode, cause: Cause): void {
  if (node.life !== 'up') return
  if (node.awaits === null) node.key += 1
  node.awaits ??= cause
  if (!sim.leader.up) {
    failed(sim, node)
    return
  }
  sim.renewals.add(node.number, sim.now + ANSWER_MS)
  sim.leader.receive(node)
}

/** The schedule says that the node's time has come. */
export function due(sim: Sim, node: SimNode): void {
  ask(sim, node, node.held === null ? 'join' : 'scheduled')
}

/** The node verifies what it got as it would a peer's, puts it to use, and plans the next renewal. */
export function take(sim: Sim, node: SimNode, { leaf, above, issuerId }: Issued): void {
  const cause = node.awaits
  if (node.life !== 'up' || cause === null) return
  const trust = { roots: node.bundle.roots, clusterId: sim.clusterId, now: sim.now, verifier: sim.verifier }
  const peer = verifyPeerSync([leaf, ...above], trust)
  if (peer.nodeId !== node.nodeId) throw new Error(`${node.nodeId} was given the certificate of ${peer.nodeId}`)
  const held: Held = { leaf, peer, chain: sim.law.chain(issuerId, above, leaf) }
  if (node.held !== null) {
    sim.facts.leastLeftMs = Math.min(sim.facts.leastLeftMs, node.held.peer.notAfter - sim.now)
    sim.law.leave(node.held.chain, node.bundle)
  }
  node.held = held
  sim.law.enter(held.chain, node.bundle)
  node.awaits = null
  node.failures = 0
  plan(sim, node, held)
  later(sim, RECONNECT_MS, () => {
    connect(sim, node)
  })
}

function plan(sim: Sim, node: SimNode, { peer }: Held): void {
  sim.renewals.add(node.number, Math.ceil(sim.now + renewalDelay(peer, sim.now, sim.draws.unit())))
}

const read = new WeakMap<object, readonly Certificate[]>()

/** Read once for each target, so that the verifier need not import their keys again. */
function rootsOf(authority: FoundedAuthority): readonly Certificate[] {
  const key = authority.rotation?.target ?? authority.roots
  const roots = read.get(key) ?? rotationRootsOf(authority)
  read.set(key, roots)
  return roots
}

/** Opens a session: the manager sees what the node presents, and tells it what it has missed. */
export function connect(sim: Sim, node: SimNode): void {
  const { held } = node
  if (node.life !== 'up' || held === null) return
  if (!sim.leader.up) {
    later(sim, NO_MANAGER_MS, () => {
      connect(sim, node)
    })
    return
  }
  const { membership } = sim.replica.state()
  mayRenew(() => membership)(held.peer)
  const authority = sim.replica.authority()
  const phase = authority.rotation?.phase
  if (phase === 'reissuing' || phase === 'reverting') {
    const trust = { roots: rootsOf(authority), clusterId: sim.clusterId, now: sim.now, verifier: sim.verifier }
    sim.leader.seen.push(observePresented([held.leaf, ...held.chain.above], trust))
  }
  const { boot } = sim.leader
  later(sim, ANSWERED_MS, async () => {
    if (node.life !== 'up' || sim.leader.boot !== boot) return
    takeBundle(sim, node)
    await fetchList(sim, node)
    const asked = nodeOf(sim.replica.state().membership, node.nodeId)?.status === 'rotate'
    if (asked && node.awaits === null) ask(sim, node, 'asked')
  })
}

/** A node takes a bundle from its session when that vouches for its own certificate. */
export function takeBundle(sim: Sim, node: SimNode): void {
  const { held } = node
  if (node.life !== 'up' || held === null || !sim.leader.up) return
  const told = bundleKind(sim, trustBundleOf(sim.replica.authority()))
  if (told === node.bundle) return
  if (!sim.law.verifies(held.chain, told)) throw new Error(`${node.nodeId} cannot take the bundle that it is told`)
  sim.law.leave(held.chain, node.bundle)
  node.bundle = told
  sim.law.enter(held.chain, told)
}

/** The machine stops, or hangs; nothing is lost but time. */
export function stop(sim: Sim, node: SimNode, life: 'asleep' | 'dead' | 'hung'): void {
  node.life = life
  node.awaits = null
  sim.renewals.cancel(node.number)
}

/** A machine that slept goes on with what it had. */
export function resume(sim: Sim, node: SimNode): void {
  if (node.life !== 'asleep' || node.held === null) return
  node.life = 'up'
  plan(sim, node, node.held)
  connect(sim, node)
}
