import { join, mintToken } from './joining.ts'
import { MANAGERS } from './leading.ts'
import { HOUR_MS, later, MINUTE_MS, type Sim, type SimNode } from './sim.ts'

/** Something happens at an instant of the script. */
export const at = (sim: Sim, instant: number, happening: () => void | Promise<void>): void => {
  sim.queue.add(instant, happening)
}

/** A running worker, drawn. */
export function anyWorker(sim: Sim): SimNode {
  for (;;) {
    const node = sim.nodes[sim.draws.between(MANAGERS, sim.nodes.length - 1)]!
    if (node.life === 'up' && node.held !== null) return node
  }
}

/** Machines that are gone are replaced within the hour. */
export function replace(sim: Sim): void {
  later(sim, sim.draws.between(MINUTE_MS, HOUR_MS), () => {
    join(sim, mintToken(sim, 'worker'))
  })
}
