import { join } from 'node:path'
import { clearWrapper, openKeyFile } from '@leastwise/identity/node'
import { RaftLogError, unlockKeyWrapper } from '@leastwise/raftlog'
import { createLog, openLog, systemRandom } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { type BackgroundWork, fileEngine } from '../../examples/orchestrator/manager/engine.ts'
import { newCluster } from '../../examples/orchestrator/manager/founding/genesis.ts'
import { managerKeys } from '../../examples/orchestrator/manager/manager-keys.ts'
import type { Store } from '../../examples/orchestrator/manager/store.ts'
import { tempDir } from '../support/temp-dir.ts'

const full = (): never => {
  throw new RaftLogError('DISK_FULL', 'disk is full: a fault of this test')
}

/** A manager with its key file and its log, as it is before anybody locks it. */
async function setting() {
  const { identity, orders } = await newCluster(Date.now())
  const root = tempDir()
  const file = await openKeyFile(join(root, 'node.key'))
  const content = { ...identity, companion: {} }
  await file.save(content, clearWrapper)
  const keys = managerKeys({ file, wrapper: clearWrapper, content })
  const place = { directory: join(root, 'log'), clusterId: 'cluster-1', logId: 'node-1' }
  const log = await createLog({ ...place, keys: keys.keyStore, wrapper: clearWrapper })
  const engine = fileEngine(log, keys)
  const stop = new AbortController()
  const store = await engine.openStore({ signal: stop.signal, fail: () => undefined })
  await store.commit(() => orders)
  return { root, place, identity, log, engine, store, keys, file, stop }
}

/** What the background needs, and the codes that it announces. */
function work(store: Store) {
  const codes: unknown[] = []
  const announce: BackgroundWork['announce'] = (event) => {
    codes.push(event['code'] ?? null)
  }
  const issuing = {
    issueAll: async () => {
      await Promise.resolve()
    },
  } as unknown as BackgroundWork['issuing']
  return { codes, work: { store, announce, issuing, now: () => 0 } satisfies BackgroundWork }
}

describe('a manager with a log of its own', () => {
  it('does not lose its new unlock key when the disk is full behind the key file, and finishes later', async () => {
    const { engine, identity, keys, file, log, store, stop, place } = await setting()
    const wrapper = unlockKeyWrapper(systemRandom.bytes(32), systemRandom)
    expect(await engine.lock(wrapper, { identity, snapshot: full })).toBe('DISK_FULL')
    expect(keys.locked()).toBe(true)
    expect(log.rotating).toBe(true)

    const { codes, work: parts } = work(store)
    const background = engine.background(parts, { signal: stop.signal })
    await expect.poll(() => log.rotating).toBe(false)
    expect(codes).toEqual([])
    stop.abort()
    await background.catch(() => undefined)
    await engine.close()

    const kept = await file.load(wrapper)
    expect(kept?.certificateChain).toEqual(identity.certificateChain)
    const again = managerKeys({ file, wrapper, content: kept! })
    await (await openLog({ ...place, keys: again.keyStore, wrapper })).close()
  })

  it('keeps the key of before when not even the key file could be written', async () => {
    const { engine, identity, keys, log, store, stop } = await setting()
    const broken = { id: 'broken', wrap: full, unwrap: () => null }
    await expect(engine.lock(broken, { identity, snapshot: store.snapshot })).rejects.toThrowCode('DISK_FULL')
    expect([keys.locked(), log.rotating]).toEqual([false, false])
    stop.abort()
    await engine.close()
  })

  it('finishes after its next start what a crash cut short', async () => {
    const { engine, identity, keys, store, place, file, stop } = await setting()
    const wrapper = unlockKeyWrapper(systemRandom.bytes(32), systemRandom)
    await engine.lock(wrapper, { identity, snapshot: full })
    expect(keys.wrapper()).toBe(wrapper)
    stop.abort()
    await engine.close()

    const content = await file.load(wrapper)
    const next = managerKeys({ file, wrapper, content: content! })
    const log = await openLog({ ...place, keys: next.keyStore, wrapper })
    expect(log.rotating).toBe(true)
    const started = fileEngine(log, next)
    const stopNext = new AbortController()
    const opened = await started.openStore({ signal: stopNext.signal, fail: () => undefined })
    const background = started.background(work(opened).work, { signal: stopNext.signal })
    await expect.poll(() => log.rotating).toBe(false)
    expect(opened.state()).toEqual(store.state())
    stopNext.abort()
    await background.catch(() => undefined)
    await started.close()
  })
})
