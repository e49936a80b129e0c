import { member, type Role } from '@leastwise/identity'
import type { JoinToken } from '@leastwise/tokens'
import { evictByHand, judged, LIST_SPACING_MS, prolong, push } from './evicting.ts'
import { found } from './founding.ts'
import { join, mintToken } from './joining.ts'
import { crash, MANAGERS, tell } from './leading.ts'
import { due } from './nodes.ts'
import { NODES_PER_TOKEN } from './requests.ts'
import { planRotation } from './rotations.ts'
import { END, EVICTIONS, LONG_OUTAGE_MS, NODES, ROLE_CHANGES, ROTATIONS, START } from './scale.ts'
import { codeOf, DAY_MS, HOUR_MS, later, MINUTE_MS, SECOND_MS, type Sim, type SimNode } from './sim.ts'
import { anyWorker, at, replace } from './workers.ts'

/** Managers first, then the others in the course of the first day. */
function planJoins(sim: Sim): void {
  const tokens = new Map<Role, { token: JoinToken; left: number }>()
  const tokenFor = (role: Role): JoinToken => {
    let stock = tokens.get(role)
    if (stock === undefined || stock.left === 0) stock = { token: mintToken(sim, role), left: NODES_PER_TOKEN }
    tokens.set(role, { token: stock.token, left: stock.left - 1 })
    return stock.token
  }
  for (let number = 0; number < MANAGERS; number += 1)
    at(sim, START + number * SECOND_MS, () => {
      join(sim, tokenFor('manager'))
    })
  for (let number = MANAGERS; number < NODES; number += 1)
    at(sim, START + sim.draws.between(MINUTE_MS, DAY_MS), () => {
      join(sim, tokenFor('worker'))
    })
}

function planEvictions(sim: Sim): void {
  const instants = ROTATIONS.flatMap((start) =>
    Array.from({ length: 5 }, () => start + sim.draws.between(66 * SECOND_MS, 100 * SECOND_MS)),
  )
  while (instants.length < EVICTIONS) instants.push(START + sim.draws.between(2 * DAY_MS, 364 * DAY_MS))
  for (const instant of instants)
    at(sim, instant, async () => {
      await evictByHand(sim, anyWorker(sim))
      replace(sim)
    })
}

function planRoleChanges(sim: Sim): void {
  for (let number = 0; number < ROLE_CHANGES; number += 1) {
    const first = START + sim.draws.between(3 * DAY_MS, 300 * DAY_MS)
    at(sim, first, async () => {
      const node = anyWorker(sim)
      const worker = node.held!.peer
      await setRole(sim, node, 'manager')
      at(sim, first + 20 * DAY_MS, async () => {
        await setRole(sim, node, 'worker')
        // What it had before it was a manager says the right role, and is of another epoch.
        sim.facts.staleCodes.push(
          codeOf(() => {
            member(() => sim.replica.state().membership)(worker)
          }),
        )
      })
    })
  }
}

/** What it had is refused at once, by managers and by peers; what it gets a few seconds later passes. */
async function setRole(sim: Sim, node: SimNode, role: Role): Promise<void> {
  const { replica } = sim
  const before = node.held?.peer
  if (node.life !== 'up' || before === undefined || !sim.leader.up) return
  const judge = (): string =>
    codeOf(() => {
      member(() => replica.state().membership)(node.held!.peer)
    })
  const base = replica.state().book.sequence
  const command = { type: 'set-role', nodeId: node.nodeId, role, now: sim.now } as const
  await push(sim, base, replica.commit([{ part: 'membership', command }], sim.now))
  const { peers, agreed } = judged(sim, before, 'PEER_EVICTED')
  const refused = `${judge()} ${peers === agreed ? 'by all' : 'by some'}`
  tell(sim, node.nodeId)
  later(sim, MINUTE_MS, () => {
    sim.facts.roleCodes.push(`${refused}, then ${judge()}`)
  })
}

function planRoutine(sim: Sim): void {
  for (let day = 1; day < 365; day += 1)
    at(sim, START + day * DAY_MS, () => {
      sweep(sim)
    })
  for (let when = START + DAY_MS; when < END; when += LIST_SPACING_MS)
    at(sim, when, async () => {
      await prolong(sim)
    })
  for (let day = 30; day < 365; day += 30)
    at(sim, START + day * DAY_MS + HOUR_MS, () => {
      const { now } = sim
      sim.replica.commit(
        [
          { part: 'membership', command: { type: 'prune', now } },
          { part: 'book', command: { type: 'forget-ended', now } },
          { part: 'tokens', command: { type: 'prune', now } },
        ],
        now,
      )
      sim.facts.snapshotsSame.push(sim.replica.compact())
    })
  at(sim, START + 57 * DAY_MS + 12_345, () => {
    crash(sim, LONG_OUTAGE_MS)
  })
}

/** Every running node has a certificate that is valid now, and time has not broken the law. */
function sweep(sim: Sim): void {
  for (const { life, held, nodeId } of sim.nodes) {
    if (life !== 'up') continue
    if (held === null || held.peer.notBefore > sim.now || held.peer.notAfter < sim.now)
      throw new Error(`${nodeId} runs without a valid certificate`)
    sim.facts.swept += 1
  }
  sim.law.renew()
}

/** Plays a year and gives what there is to see at its end. Throws at the step that breaks a law. */
export async function playYear(): Promise<Sim> {
  const sim = await found()
  planJoins(sim)
  planEvictions(sim)
  planRoleChanges(sim)
  for (const [number, start] of ROTATIONS.entries()) planRotation(sim, number, start)
  planRoutine(sim)
  for (;;) {
    const next = Math.min(sim.queue.nextAt(), sim.renewals.nextAt() ?? Infinity)
    if (next >= END) return sim
    sim.now = next
    for (const number of sim.renewals.take(next, NODES)) due(sim, sim.nodes[number]!)
    while (sim.queue.nextAt() <= next) {
      const waits = sim.queue.take()()
      // Most wait for nothing, and there are many.
      if (waits !== undefined) await waits
    }
  }
}
