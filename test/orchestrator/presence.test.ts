import { parseNodeId } from '@leastwise/identity'
import { memoryLog } from '@leastwise/raftlog'
import { createId } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import { expect, it, onTestFinished } from 'vitest'
import { newCluster } from '../../examples/orchestrator/manager/founding/genesis.ts'
import { forgetPresence } from '../../examples/orchestrator/manager/membership/forget-presence.ts'
import { createPresenceBoard } from '../../examples/orchestrator/manager/presence-board.ts'
import { openStore } from '../../examples/orchestrator/manager/store.ts'
import { createSwarmManager } from '../../examples/orchestrator/manager/swarm-manager.ts'

it('what is known of a node that was thrown out is forgotten, whether it was connected or not', async () => {
  const now = Date.now()
  const store = await openStore(memoryLog())
  const { orders } = await newCluster(now)
  await store.commit(() => orders)
  const admitted = async (): Promise<string> => {
    const nodeId = parseNodeId(createId(systemRandom))
    const request = { role: 'worker', csr: 'csr', publicKeyHash: nodeId, availability: 'active' } as const
    await store.commit(() => [{ part: 'membership', command: { type: 'admit', nodeId, ...request, now } }])
    return nodeId
  }
  const [away, here] = [await admitted(), await admitted()]
  const presence = createPresenceBoard()
  const manager = createSwarmManager({ store, presence, now: () => now } as never)
  const stop = new AbortController()
  const forgetting = forgetPresence({ store, presence, signal: stop.signal })
  onTestFinished(async () => {
    stop.abort()
    await forgetting.catch(() => undefined)
  })
  manager.presence?.(away, 'ready')
  manager.presence?.(away, 'disconnected')
  manager.presence?.(here, 'ready')
  expect([presence.get(away), presence.get(here)]).toEqual(['disconnected', 'ready'])

  for (const nodeId of [away, here].map(parseNodeId))
    await store.commit(() => [{ part: 'membership', command: { type: 'evict', nodeId, reason: 'test', now } }])
  await expect.poll(() => [presence.get(away), presence.get(here)]).toEqual([undefined, undefined])
  // Its session ends when it is out already.
  manager.presence?.(here, 'disconnected')
  expect(presence.get(here)).toBeUndefined()
})
