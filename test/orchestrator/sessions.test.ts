import { parseNodeId } from '@leastwise/identity'
import { memoryLog } from '@leastwise/raftlog'
import type { SessionUpdate } from '@leastwise/swarm'
import { createId } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import { expect, it } from 'vitest'
import { newCluster } from '../../examples/orchestrator/manager/founding/genesis.ts'
import { createIssuing } from '../../examples/orchestrator/manager/issuing/issuing.ts'
import { createPresenceBoard } from '../../examples/orchestrator/manager/presence-board.ts'
import { openStore } from '../../examples/orchestrator/manager/store.ts'
import { createSwarmManager } from '../../examples/orchestrator/manager/swarm-manager.ts'
import { mintToken } from './cluster-support.ts'

it('a session hears of a manager that comes, and of nothing that is about others', async () => {
  const now = Date.now()
  const store = await openStore(memoryLog())
  const { orders, nodeId } = await newCluster(now)
  await store.commit(() => orders)
  const stop = new AbortController()
  const { signal } = stop
  const issuing = createIssuing({ store, now: () => now, outside: null, signal })
  const managers = () => [...store.state().managers].map(([id, address]) => ({ nodeId: id, address, weight: 1 }))
  await store.commit(() => [{ part: 'managers', command: { type: 'announce', nodeId, address: '127.0.0.1:1' } }])
  const manager = createSwarmManager({
    ...{ store, issuing, presence: createPresenceBoard(), now: () => now },
    managers: managers as never,
  })

  const heard: SessionUpdate[] = []
  const session = manager.session({ nodeId: parseNodeId(nodeId) } as never, {} as never, { signal })
  const listening = (async () => {
    for await (const update of session) heard.push(update)
  })()
  const settled = async (count: number): Promise<void> => {
    while (heard.length < count) await new Promise<void>((resolve) => setImmediate(resolve))
    for (let turn = 0; turn < 10; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  await settled(1)
  expect(heard[0]?.managers).toEqual([{ nodeId, address: '127.0.0.1:1', weight: 1 }])
  for (let number = 0; number < 5; number += 1) await store.commit(() => [mintToken()])
  await settled(1)
  expect(heard).toHaveLength(1)

  const second = createId(systemRandom)
  await store.commit(() => [
    { part: 'managers', command: { type: 'announce', nodeId: second, address: '127.0.0.1:2' } },
  ])
  await settled(2)
  expect(heard[1]?.managers.map(({ address }) => address)).toEqual(['127.0.0.1:1', '127.0.0.1:2'])
  await store.commit(() => [{ part: 'managers', command: { type: 'withdraw', nodeId: second } }])
  await settled(3)
  expect(heard[2]?.managers).toHaveLength(1)
  stop.abort()
  await listening.catch(() => undefined)
})
