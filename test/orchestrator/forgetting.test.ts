import { setMaxListeners } from 'node:events'
import { parseNodeId } from '@leastwise/identity'
import { memoryLog } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import type { ClusterCommand } from '../../examples/orchestrator/manager/cluster-state.ts'
import { FORGET_EVERY_MS, forgetEnded } from '../../examples/orchestrator/manager/eviction/forgetting.ts'
import { openStore, type Store } from '../../examples/orchestrator/manager/store.ts'
import { manualClock } from '../support/manual-clock.ts'
import { nodeId } from './cluster-support.ts'

const DAY_MS = 86_400_000

const admitted = (number: number, now: number): readonly ClusterCommand[] => {
  const key = { nodeId: parseNodeId(nodeId(number)), csr: 'csr', publicKeyHash: `key ${number}` }
  const certificate = { certificate: 'c', serial: `0a${number}f`, notAfter: now + DAY_MS }
  return [
    { part: 'membership', command: { type: 'admit', role: 'worker', now, ...key } },
    { part: 'membership', command: { type: 'record-certificate', ...key, ...certificate }, now },
    { part: 'membership', command: { type: 'evict', nodeId: key.nodeId, reason: 'test', now } },
  ]
}

describe('evictions that have ended', () => {
  it('are forgotten by time alone, and nothing is written when none has', async () => {
    const clock = manualClock()
    const log = memoryLog()
    const store = await openStore(log)
    await store.commit(() => admitted(1, clock.now()))
    await clock.advance(DAY_MS)
    await store.commit(() => admitted(2, clock.now()))
    const stop = new AbortController()
    // The clock of tests forgets none of them.
    setMaxListeners(0, stop.signal)
    const running = forgetEnded({ store, now: clock.now, sleep: clock.sleep, announce: () => undefined }, stop.signal)
    const sizes = () => {
      const { membership, evictions } = store.state()
      return { nodes: membership.evictions.size, book: evictions.size, set: evictions.set.size }
    }
    await clock.advance(DAY_MS)
    expect(sizes()).toEqual({ nodes: 2, book: 4, set: 4 })
    expect(log.lastIndex).toBe(2n)
    // Seven days after the last certificate of the first one; the other one has a day left.
    await clock.advance(6 * DAY_MS + 2 * FORGET_EVERY_MS)
    expect(sizes()).toEqual({ nodes: 1, book: 2, set: 2 })
    await clock.advance(DAY_MS)
    expect(sizes()).toEqual({ nodes: 0, book: 0, set: 0 })
    expect(store.state().evictions.sequence).toBe(2)
    expect(log.lastIndex).toBe(4n)
    stop.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })

  it('wait an hour when the log cannot be written now', async () => {
    const clock = manualClock()
    const told: string[] = []
    let tries = 0
    const store = {
      commit: async () => {
        tries += 1
        await Promise.reject(Object.assign(new Error('no leader'), { code: 'ETCD_UNREACHABLE' }))
      },
    } as unknown as Store
    const stop = new AbortController()
    const announce = ({ event, code }: { readonly event: string; readonly [fact: string]: unknown }): void => {
      told.push(`${event} ${String(code)}`)
    }
    const running = forgetEnded({ store, now: clock.now, sleep: clock.sleep, announce }, stop.signal)
    await clock.advance(FORGET_EVERY_MS)
    expect(tries).toBe(2)
    expect(told).toEqual(Array<string>(2).fill('forgetting-delayed ETCD_UNREACHABLE'))
    stop.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
  })
})
