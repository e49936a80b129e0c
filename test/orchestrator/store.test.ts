import { clearWrapper, memoryLog, RaftLogError, type SealedLog } from '@leastwise/raftlog'
import { inspectSecret, listSecrets, secretByName } from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'
import type { ClusterState } from '../../examples/orchestrator/manager/cluster-state.ts'
import { openStore } from '../../examples/orchestrator/manager/store.ts'
import { createSecret, createSecretWithId, mintToken } from './cluster-support.ts'

const names = (state: ClusterState): readonly string[] => listSecrets(state.secrets).map(({ name }) => name)

interface FaultyLog {
  readonly log: SealedLog
  /** Every append from now on is refused. */
  readonly breakDown: () => void
  /** Appends are held back until the returned function is called. */
  readonly hold: () => () => void
  readonly appends: () => number
}

/** A log in memory that can be slow, and that can fail for good, as the one on disk does. */
function faultyLog(): FaultyLog {
  const inner = memoryLog()
  let broken = false
  let appends = 0
  let gate: Promise<void> = Promise.resolve()
  const log = Object.create(inner, {
    append: {
      value: async (...given: Parameters<SealedLog['append']>) => {
        appends += 1
        await gate
        if (broken) throw new RaftLogError('DISK_FULL', 'the disk is full')
        return await inner.append(...given)
      },
    },
  }) as SealedLog
  return {
    log,
    appends: () => appends,
    breakDown: () => {
      broken = true
    },
    hold: () => {
      let open = (): void => undefined
      gate = new Promise((resolve) => {
        open = resolve
      })
      return open
    },
  }
}

/** Lets everything run that only waits for other promises. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve))
}

describe('the store', () => {
  it('gives what was committed back after it is opened anew', async () => {
    const log = memoryLog()
    const store = await openStore(log)
    await store.commit(() => [createSecret('a'), mintToken()])
    await store.commit(() => [createSecret('b')])
    const again = await openStore(log)
    expect(again.state()).toEqual(store.state())
    expect(names(again.state())).toEqual(['a', 'b'])
  })

  it('writes all events of a commit as one entry, and none for a commit without any', async () => {
    const log = memoryLog()
    const store = await openStore(log)
    await store.commit(() => [createSecret('a'), createSecret('b'), mintToken()])
    expect(log.lastIndex).toBe(1n)
    await store.commit(() => [])
    expect(log.lastIndex).toBe(1n)
  })

  it('writes nothing when one of the commands is refused', async () => {
    const log = memoryLog()
    const store = await openStore(log)
    await store.commit(() => [createSecret('a')])
    const before = store.state()
    await expect(store.commit(() => [createSecret('b'), createSecret('a')])).rejects.toThrowCode('SECRET_EXISTS')
    await expect(
      store.commit(() => {
        throw new RangeError('the plan itself')
      }),
    ).rejects.toThrow('the plan itself')
    expect(store.state()).toBe(before)
    expect(log.lastIndex).toBe(1n)
  })

  it('shows a change only when it is durable', async () => {
    const { log, hold } = faultyLog()
    const store = await openStore(log)
    const open = hold()
    const committed = store.commit(() => [createSecret('a')])
    await settle()
    expect(names(store.state())).toEqual([])
    open()
    expect(names(await committed)).toEqual(['a'])
    expect(names(store.state())).toEqual(['a'])
  })

  it('decides commits that come together one after the other, each on what the ones before it made', async () => {
    const { log, hold, appends } = faultyLog()
    const store = await openStore(log)
    const open = hold()
    const seen: (readonly string[])[] = []
    const commits = ['a', 'b', 'c'].map(async (name) => {
      const state = await store.commit((before) => {
        seen.push(names(before))
        return [createSecret(name)]
      })
      return names(state).includes(name)
    })
    const second = expect(store.commit(() => [createSecret('B')])).rejects.toThrowCode('SECRET_EXISTS')
    await settle()
    // All of them are on their way at once, so that one write to the disk can carry them.
    expect(appends()).toBe(3)
    open()
    expect(await Promise.all(commits)).toEqual([true, true, true])
    await second
    expect(seen).toEqual([[], ['a'], ['a', 'b']])
  })

  it('keeps the order of two hundred commits', async () => {
    const log = memoryLog()
    const store = await openStore(log)
    const done: number[] = []
    await Promise.all(
      Array.from({ length: 200 }, async (_, at) => {
        await store.commit(() => [createSecret(`s-${at}`)])
        done.push(at)
      }),
    )
    expect(done).toEqual(Array.from({ length: 200 }, (_, at) => at))
    expect((await openStore(log)).state()).toEqual(store.state())
  })

  it('lets a commit that changes nothing wait for what it saw', async () => {
    const { log, hold } = faultyLog()
    const store = await openStore(log)
    const open = hold()
    const first = store.commit(() => [createSecret('a')])
    let saw: readonly string[] | null = null
    const second = store.commit((state) => {
      saw = names(state)
      return []
    })
    let done = false
    void second.then(() => {
      done = true
    })
    await settle()
    expect({ saw, done }).toEqual({ saw: ['a'], done: false })
    open()
    await Promise.all([first, second])
  })
})

describe('a store whose log fails', () => {
  it('stays at what is durable and refuses every commit from then on', async () => {
    const { log, breakDown } = faultyLog()
    const store = await openStore(log)
    await store.commit(() => [createSecret('a')])
    breakDown()
    await expect(store.commit(() => [createSecret('b')])).rejects.toThrowCode('DISK_FULL')
    await expect(store.commit(() => [createSecret('c')])).rejects.toThrowCode('DISK_FULL')
    // Also what asks for nothing: it may have seen what never became durable.
    await expect(store.commit(() => [])).rejects.toThrowCode('DISK_FULL')
    expect(names(store.state())).toEqual(['a'])
  })

  it('refuses nothing for what never became durable: the failure comes first', async () => {
    const { log, breakDown, hold } = faultyLog()
    const store = await openStore(log)
    await store.commit(() => [createSecret('a')])
    const open = hold()
    breakDown()
    const first = store.commit(() => [createSecret('b')])
    // The name is taken only by the one that is about to fail.
    const second = store.commit(() => [createSecret('b')])
    open()
    for (const commit of await Promise.allSettled([first, second, store.commit(() => [createSecret('b')])]))
      expect(commit).toMatchObject({ status: 'rejected', reason: { code: 'DISK_FULL' } })
  })

  it('says so once, and what an operator does about it', async () => {
    const { log, breakDown } = faultyLog()
    const heard: Error[] = []
    const store = await openStore(log, (error) => void heard.push(error))
    breakDown()
    const commits = await Promise.allSettled([1, 2, 3].map(async () => await store.commit(() => [createSecret('a')])))
    expect(commits.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(heard.map(({ message }) => message)).toEqual([
      'the disk of the manager is full; make room and restart the manager',
    ])
  })

  it('refuses all commits that were on their way, and leaves no rejection without a listener', async () => {
    const { log, breakDown, hold } = faultyLog()
    const store = await openStore(log)
    const unheard: unknown[] = []
    const listen = (reason: unknown): void => void unheard.push(reason)
    process.on('unhandledRejection', listen)
    const open = hold()
    const commits = ['a', 'b', 'c'].map(async (name) => await store.commit(() => [createSecret(name)]))
    breakDown()
    open()
    for (const outcome of await Promise.allSettled(commits))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'DISK_FULL' } })
    await settle()
    process.off('unhandledRejection', listen)
    expect(unheard).toEqual([])
    expect(names(store.state())).toEqual([])
  })
})

describe('the snapshots of a store', () => {
  it('come after a thousand entries, and replace the log before them', async () => {
    const log = memoryLog()
    const store = await openStore(log)
    await Promise.all(
      Array.from({ length: 1_000 }, async (_, at) => await store.commit(() => [createSecret(`s-${at}`)])),
    )
    await settle()
    expect(log.snapshotAt?.index).toBe(1_000n)
    expect(log.firstIndex).toBe(1_001n)
    await store.commit(() => [createSecret('after')])
    const again = await openStore(log)
    expect(again.state()).toEqual(store.state())
    expect(secretByName(again.state().secrets, 's-0')?.sizeBytes).toBe(3)
    // And the next ones count from there.
    await again.commit(() => [createSecret('after-2')])
    expect(log.snapshotAt?.index).toBe(1_000n)
  })

  it('reach as far as they are asked to, also while commits are on their way', async () => {
    const log = memoryLog()
    const store = await openStore(log)
    const commits = ['a', 'b', 'c'].map(async (name) => await store.commit(() => [createSecret(name)]))
    // The log has all three entries already; the store has applied none of them.
    expect(log.lastIndex).toBe(3n)
    await log.lock(clearWrapper, { snapshot: store.snapshot })
    await Promise.all(commits)
    expect(names((await openStore(log)).state())).toEqual(['a', 'b', 'c'])
  })

  it('stop the store when they cannot be kept: a log without an end helps nobody', async () => {
    const inner = memoryLog()
    const log = Object.create(inner, {
      saveSnapshot: { value: async () => await Promise.reject(new RaftLogError('DISK_FULL', 'the disk is full')) },
    }) as SealedLog
    const store = await openStore(log)
    await Promise.all(
      Array.from({ length: 1_000 }, async (_, at) => await store.commit(() => [createSecret(`s-${at}`)])),
    )
    await settle()
    await expect(store.commit(() => [createSecret('more')])).rejects.toThrowCode('DISK_FULL')
    expect((await openStore(inner)).state()).toEqual(store.state())
  })

  it('and records that nobody can read are refused at the door', async () => {
    const log = memoryLog()
    await log.append([new TextEncoder().encode('{"no":"journal')])
    await expect(openStore(log)).rejects.toThrowCode('JOURNAL_UNREADABLE')
  })
})

describe('watching a store', () => {
  it('gives the state now, then after changes, and skips what was passed over', async () => {
    const store = await openStore(memoryLog())
    const stop = new AbortController()
    const watch = store.watch({ signal: stop.signal })
    const next = async (): Promise<readonly string[]> => names((await watch.next()).value as ClusterState)
    expect(await next()).toEqual([])
    const waiting = next()
    await store.commit(() => [createSecret('a')])
    expect(await waiting).toEqual(['a'])
    await store.commit(() => [createSecret('b')])
    await store.commit(() => [createSecret('c')])
    expect(await next()).toEqual(['a', 'b', 'c'])
    stop.abort(new Error('enough'))
    await expect(watch.next()).rejects.toThrow('enough')
  })

  it('ends a wait with the reason of the signal', async () => {
    const store = await openStore(memoryLog())
    const stop = new AbortController()
    const watch = store.watch({ signal: stop.signal })
    await watch.next()
    const waiting = watch.next()
    stop.abort(new Error('the stream was cut'))
    await expect(waiting).rejects.toThrow('the stream was cut')
  })

  it('reaches every watcher', async () => {
    const store = await openStore(memoryLog())
    const stop = new AbortController()
    const watches = Array.from({ length: 5 }, () => store.watch({ signal: stop.signal }))
    await Promise.all(watches.map(async (watch) => await watch.next()))
    const waiting = watches.map(async (watch) => names((await watch.next()).value as ClusterState))
    await store.commit(() => [createSecretWithId('s1', 'a')])
    expect(await Promise.all(waiting)).toEqual(Array.from({ length: 5 }, () => ['a']))
    expect(inspectSecret(store.state().secrets, 's1')?.name).toBe('a')
    stop.abort()
  })
})
