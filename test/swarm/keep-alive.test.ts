import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { probeAgent } from '../support/swarm-probe.ts'
import { startManager } from '../support/swarm-server.ts'

const CONNECTIONS = '/proc/net/tcp'
const ESTABLISHED = '01'
const ASKS_WHETHER_IT_LIVES = '02'

/** The ends of the open connections to a port of this machine, and the timer that the system has for each. */
function timersAt(port: number): readonly string[] {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return readFileSync(CONNECTIONS, 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local = '', remote = '', state]) => state === ESTABLISHED && `${local} ${remote} `.includes(`${hex} `))
    .map(([, , , , , timer = '']) => timer.slice(0, 2))
}

// What the system does about a silent connection can be seen on Linux alone.
describe.runIf(existsSync(CONNECTIONS))('a connection of a node', () => {
  it('is asked for by the system at both ends when it is silent, before and after a renewal', async () => {
    const { address, port, member, manager } = await startManager()
    const credentials = await member()
    const agent = probeAgent({ credentials, managers: [address] })
    await agent.next('session')
    // While something is on its way there is another timer.
    const timers = () => timersAt(port)
    await expect.poll(timers, { timeout: 5000 }).toEqual(Array.from({ length: 2 }, () => ASKS_WHETHER_IT_LIVES))
    manager.rotate(credentials.nodeId)
    await agent.next('renewed')
    await expect.poll(timers, { timeout: 5000 }).toEqual(Array.from({ length: 4 }, () => ASKS_WHETHER_IT_LIVES))
  })
})
