import { EtcdLogError } from '@leastwise/raftlog-etcd'
import { listSecrets, SecretsError, secretByName } from '@leastwise/secrets'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ClusterState } from '../../examples/orchestrator/manager/cluster-state.ts'
import { openSharedStore } from '../../examples/orchestrator/manager/etcd/shared-store.ts'
import type { Store } from '../../examples/orchestrator/manager/store.ts'
import { testCluster } from '../raftlog-etcd/etcd-support.ts'
import { createSecret, mintToken } from './cluster-support.ts'

const names = (state: ClusterState): readonly string[] => listSecrets(state.secrets).map(({ name }) => name)

const ends = new AbortController()

interface Managers {
  readonly stores: readonly Store[]
  readonly logs: readonly Awaited<ReturnType<ReturnType<typeof testCluster>['create']>>[]
  readonly failures: unknown[]
}

/** Managers of one cluster, each with a handle and a store of its own. */
async function managers(count: number, cluster: ReturnType<typeof testCluster> = testCluster()): Promise<Managers> {
  const first = await cluster.create('m1')
  const logs = [first]
  for (let number = 2; number <= count; number += 1) {
    const id = `m${number}`
    const { key } = cluster.parts(id).member
    await first.membership.admit({ id, publicKey: key.publicKey })
    logs.push(await cluster.open(id))
  }
  const failures: unknown[] = []
  const stores = await Promise.all(
    logs.map(
      async (log) =>
        await openSharedStore(log, {
          signal: ends.signal,
          fail: (error) => {
            failures.push(error)
          },
        }),
    ),
  )
  return { stores, logs, failures }
}

const at = <T>(list: readonly T[], index: number): T => {
  const found = list[index]
  if (found === undefined) throw new Error(`there is no ${index}`)
  return found
}

describe('a store that managers share', () => {
  it('shows each manager what the others commit', async () => {
    const { stores } = await managers(3)
    await at(stores, 0).commit(() => [createSecret('a')])
    await at(stores, 1).commit(() => [createSecret('b'), mintToken()])
    const last = await at(stores, 2).commit(() => [createSecret('c')])
    expect(names(last)).toEqual(['a', 'b', 'c'])
    await at(stores, 0).commit(() => [])
    expect(at(stores, 0).state()).toEqual(last)
  })

  it('decides anew when another manager was faster, and never on what it remembers', async () => {
    const { stores, logs } = await managers(2)
    const [one, two] = [at(stores, 0), at(stores, 1)]
    await one.commit(() => [createSecret('taken')])
    // Both want the same name; a manager that slept may have seen neither.
    const seen: string[][] = []
    const plan = (state: ClusterState) => {
      seen.push([...names(state)])
      return secretByName(state.secrets, 'wanted') === null ? [createSecret('wanted')] : []
    }
    const made = await Promise.all([one.commit(plan), two.commit(plan), one.commit(plan), two.commit(plan)])
    for (const state of made) expect(names(state).filter((name) => name === 'wanted')).toEqual(['wanted'])
    expect(seen.some((list) => list.includes('wanted'))).toBe(true)
    expect(at(logs, 0).lastIndex).toBe(2n)
  })

  it('refuses on the newest state alone', async () => {
    const { stores } = await managers(2)
    const [one, two] = [at(stores, 0), at(stores, 1)]
    await one.commit(() => [createSecret('a')])
    await expect(two.commit(() => [createSecret('a')])).rejects.toBeInstanceOf(SecretsError)
    await two.commit(() => [createSecret('b')])
    await expect(one.commit(() => [createSecret('b')])).rejects.toThrowCode('SECRET_EXISTS')
  })

  it('keeps the events of one commit together, and lets a refused one leave nothing behind', async () => {
    const { stores, logs } = await managers(1)
    const store = at(stores, 0)
    await store.commit(() => [createSecret('a'), createSecret('b')])
    expect(at(logs, 0).lastIndex).toBe(1n)
    const both = [store.commit(() => [createSecret('a')]), store.commit(() => [createSecret('c')])]
    const [refused, done] = await Promise.allSettled(both)
    expect([refused?.status, done?.status]).toEqual(['rejected', 'fulfilled'])
    expect(names(store.state())).toEqual(['a', 'b', 'c'])
    expect(at(logs, 0).lastIndex).toBe(2n)
  })

  it('takes commands together that are too large for one append, and refuses what is too large by itself', async () => {
    const { stores } = await managers(1)
    const store = at(stores, 0)
    const large = new Uint8Array(400_000)
    const made = ['a', 'b', 'c', 'd', 'e'].map(async (name) => await store.commit(() => [createSecret(name, large)]))
    const huge = store.commit(() => ['f', 'g', 'h'].map((name) => createSecret(name, large)))
    const small = store.commit(() => [createSecret('small')])
    await expect(huge).rejects.toThrowCode('ENTRY_TOO_LARGE')
    await Promise.all([...made, small])
    expect(names(store.state())).toEqual(['a', 'b', 'c', 'd', 'e', 'small'])
  })

  it('opens from a snapshot and what came after it', async () => {
    const cluster = testCluster()
    const { stores, logs } = await managers(2, cluster)
    const [store, log] = [at(stores, 0), at(logs, 0)]
    for (const name of ['a', 'b', 'c']) await store.commit(() => [createSecret(name)])
    const kept = await store.snapshot(3n)
    await log.saveSnapshot(kept)
    await log.compact(kept.index)
    await store.commit(() => [createSecret('d')])
    const again = await openSharedStore(await cluster.open('m2'), { signal: ends.signal, fail: () => undefined })
    expect(again.state()).toEqual(store.state())
    expect(names(again.state())).toEqual(['a', 'b', 'c', 'd'])
  })

  it('says so when it was thrown out of the log, and commits nothing any more', async () => {
    const { stores, logs, failures } = await managers(2)
    const [one, two] = [at(stores, 0), at(stores, 1)]
    await one.commit(() => [createSecret('a')])
    await at(logs, 0).membership.remove('m2', { snapshot: one.snapshot })
    await one.commit(() => [createSecret('b')])
    await expect(two.commit(() => [createSecret('c')])).rejects.toBeInstanceOf(EtcdLogError)
    await expect(two.commit(() => [createSecret('d')])).rejects.toThrowCode('MEMBER_UNKNOWN')
    expect(failures).toHaveLength(1)
    expect(names(one.state())).toEqual(['a', 'b'])
  })

  it('law: whoever commits what, in whatever order, all end in one state that replay gives too', async () => {
    const step = fc.record({
      manager: fc.nat(2),
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      together: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 16 }), async (steps) => {
        const cluster = testCluster()
        const { stores } = await managers(3, cluster)
        const running: Promise<unknown>[] = []
        const accepted: string[] = []
        for (const { manager, name, together } of steps) {
          const one = at(stores, manager)
            .commit(() => [createSecret(name)])
            .then(
              () => {
                accepted.push(name)
              },
              (error: unknown) => {
                expect(error).toBeInstanceOf(SecretsError)
              },
            )
          running.push(one)
          if (!together) await one
        }
        await Promise.all(running)
        const states = await Promise.all(stores.map(async (store) => await store.commit(() => [])))
        const again = await openSharedStore(await cluster.open('m3'), { signal: ends.signal, fail: () => undefined })
        for (const state of states) expect(state).toEqual(again.state())
        // Each name was given once, and to exactly one of those who asked for it.
        expect(accepted.toSorted()).toEqual([...names(again.state())].toSorted())
        expect(new Set(accepted).size).toBe(accepted.length)
      }),
      { numRuns: 25 },
    )
  })
})
