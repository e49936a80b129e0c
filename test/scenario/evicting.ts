import {
  type Eviction,
  type EvictionView,
  evictionsIn,
  IdentityError,
  mayRenew,
  member,
  noEvictions,
  notEvicted,
  type PeerIdentity,
  signEvictionList,
  verifyEvictionList,
  withEvictionList,
} from '@leastwise/identity'
import type { Change, Order } from './replica.ts'
import { codeOf, DAY_MS, later, SECOND_MS, type Sim, type SimNode } from './sim.ts'
import type { BundleKind } from './trust-law.ts'

/** How long a list is good for; a new one is signed long before. */
const LIST_LIFE_MS = 7 * DAY_MS
export const LIST_SPACING_MS = 3 * DAY_MS

const views = new WeakMap<Sim, Map<string, EvictionView>>()

/** One view for all that know the same, however they came to know it. */
function shared(sim: Sim, view: EvictionView): EvictionView {
  const known = views.get(sim) ?? new Map<string, EvictionView>()
  views.set(sim, known)
  const key = `${view.sequence} ${view.validUntil} ${view.set.size}`
  const same = known.get(key) ?? view
  known.set(key, same)
  return same
}

/** Waits for nothing where another node with the same view and the same trust has read the list. */
type Receive = (node: SimNode) => Promise<void> | undefined

/** Signs a list as the first manager, so that it verifies under whichever root a node trusts. */
async function sign(sim: Sim, base: number, evictions: readonly Eviction[]): Promise<Receive> {
  const { clusterId, replica, requests, nodes } = sim
  const issuedAt = Math.floor(sim.now / SECOND_MS) * SECOND_MS
  const { sequence } = replica.state().book
  const { key, held } = nodes[0]!
  const bytes = await signEvictionList(
    { clusterId, sequence, base, issuedAt, validUntil: issuedAt + LIST_LIFE_MS, evictions },
    { signer: requests.of(0, key).signer, chain: [held!.leaf, ...held!.chain.above] },
  )
  // Nodes that know the same and trust the same come to know the same.
  const known = new Map<BundleKind, Map<EvictionView, EvictionView>>()
  const read = async (node: SimNode, views: Map<EvictionView, EvictionView>): Promise<void> => {
    const { bundle, view } = node
    const trust = { roots: bundle.roots, clusterId, now: sim.now, verifier: sim.verifier, view }
    const next = shared(sim, withEvictionList(view, await verifyEvictionList(bytes, trust)))
    views.set(view, next)
    node.view = next
  }
  return (node) => {
    const { bundle, view } = node
    const views = known.get(bundle) ?? new Map<EvictionView, EvictionView>()
    known.set(bundle, views)
    const next = views.get(view)
    if (next === undefined) return read(node, views)
    node.view = next
    return undefined
  }
}

const whole = new WeakMap<Sim, { readonly sequence: number; readonly at: number; readonly receive: Receive }>()

/** A node asks for the whole list. The manager signs one a day, or when there are news. */
export function fetchList(sim: Sim, node: SimNode): Promise<void> | undefined {
  const { book } = sim.replica.state()
  const list = whole.get(sim)
  if (list?.sequence === book.sequence && sim.now - list.at <= DAY_MS) return list.receive(node)
  // Before the first manager has a certificate there is nobody to sign, and nobody evicted.
  return sim.nodes[0]!.held === null ? undefined : signWhole(sim, node)
}

async function signWhole(sim: Sim, node: SimNode): Promise<void> {
  const { book } = sim.replica.state()
  const receive = await sign(sim, 0, [...evictionsIn(book)])
  whole.set(sim, { sequence: book.sequence, at: sim.now, receive })
  await receive(node)
}

/** A list without news, so that those who have it need not think that something was kept from them. */
export async function prolong(sim: Sim): Promise<void> {
  if (!sim.leader.up) return
  for (const node of sim.nodes) {
    const waits = node.life === 'up' && node.held !== null ? fetchList(sim, node) : undefined
    if (waits !== undefined) await waits
  }
}

/** Evicts nodes in one entry of the journal, and pushes what is new to everybody with a session. */
export async function evictMany(sim: Sim, nodeIds: readonly string[], reason: string): Promise<void> {
  const { now, replica } = sim
  const victims = nodeIds.map((nodeId) => sim.byId.get(nodeId)!)
  const base = replica.state().book.sequence
  const changes = replica.commit(
    victims.map(({ nodeId }) => ({ part: 'membership', command: { type: 'evict', nodeId, reason, now } })),
    now,
  )
  for (const node of victims) {
    if (node.held !== null) sim.law.leave(node.held.chain, node.bundle)
    sim.renewals.cancel(node.number)
    node.life = 'evicted'
  }
  await push(sim, base, changes)
}

/** Pushes the evictions among `changes`. */
export async function push(sim: Sim, base: number, changes: readonly Change[]): Promise<void> {
  const news = changes.flatMap((change) =>
    change.part === 'book' && change.event.type === 'evictions-added' ? change.event.evictions : [],
  )
  const receive = await sign(sim, base, news)
  for (const node of sim.nodes) {
    const waits = node.life === 'up' && node.held !== null ? receive(node) : undefined
    if (waits !== undefined) await waits.catch(orWhole(sim, node))
  }
}

/** A node that has just joined lacks what came before, and asks for all of it. */
const orWhole =
  (sim: Sim, node: SimNode) =>
  async (error: unknown): Promise<void> => {
    if (!(error instanceof IdentityError) || error.code !== 'EVICTION_LIST_GAP') throw error
    await fetchList(sim, node)
  }

/** For how many of the running nodes the judge finds this code for a certificate. */
export function judged(
  sim: Sim,
  peer: PeerIdentity,
  code: string,
): { readonly peers: number; readonly agreed: number } {
  const verdicts = new Map<EvictionView, string>()
  let peers = 0
  let agreed = 0
  for (const { life, held, view, nodeId } of sim.nodes) {
    // Who has joined this moment has heard of nothing yet, and lets nobody in.
    if (life !== 'up' || held === null || nodeId === peer.nodeId || view === noEvictions) continue
    const judge = notEvicted({ readView: () => view, now: () => sim.now, whenStale: 'refuse' })
    const verdict =
      verdicts.get(view) ??
      codeOf(() => {
        judge(peer)
      })
    verdicts.set(view, verdict)
    peers += 1
    if (verdict === code) agreed += 1
  }
  return { peers, agreed }
}

/** The operator throws out a node that runs; notes who refuses it at once, peers and managers. */
export async function evictByHand(sim: Sim, victim: SimNode): Promise<void> {
  if (!sim.leader.up) {
    later(sim, 30 * SECOND_MS, async () => {
      await evictByHand(sim, victim)
    })
    return
  }
  const { nodeId, held } = victim
  if (victim.life !== 'up' || held === null) throw new Error('only a running node is evicted by hand')
  const before = judged(sim, held.peer, 'passed')
  await evictMany(sim, [nodeId], 'removed by the operator')
  const { peers, agreed: refusedAfter } = judged(sim, held.peer, 'PEER_EVICTED')
  const state = (): ReturnType<typeof sim.replica.state> => sim.replica.state()
  const { pem, publicKeyHash } = sim.requests.of(victim.number, victim.key + 1)
  const order = (command: (Order & { part: 'membership' })['command']) => (): unknown =>
    sim.replica.commit([{ part: 'membership', command }], sim.now)
  const { now } = sim
  sim.facts.evictions.push({
    at: now,
    phase: sim.replica.authority().rotation?.phase ?? 'idle',
    peers,
    refusedBefore: before.peers - before.agreed,
    refusedAfter,
    codes: [
      codeOf(() => {
        member(() => state().membership)(held.peer)
      }),
      codeOf(() => {
        mayRenew(() => state().membership)(held.peer)
      }),
      codeOf(order({ type: 'renew', nodeId, csr: pem, publicKeyHash })),
      codeOf(order({ type: 'admit', nodeId, role: 'worker', csr: pem, publicKeyHash, now })),
    ],
  })
}
