import {
  deliver,
  type GrantReference,
  MAX_REFERENCES,
  memoryMount,
  planDelivery,
  Secret,
  type SecretReader,
  withdraw,
  withdrawExcept,
} from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'
import { fullMountContract, secretMountContract } from '../contract/secret-mount.ts'
import { bytesOf, textOf } from './catalogue-driver.ts'

const { signal } = new AbortController()
const reference = (secretId: string, target: string, change: Partial<GrantReference> = {}): GrantReference => ({
  secretId,
  target,
  uid: null,
  gid: null,
  mode: 0o400,
  ...change,
})

const underTest = (capacityBytes: number) => () => {
  const mount = memoryMount({ capacityBytes })
  const look = (taskId: string) => {
    const files = mount.files(taskId)
    return files === null
      ? null
      : new Map(
          [...files].map(([name, { value, mode }]) => [
            name,
            { mode, bytes: value.expose((bytes) => new Uint8Array(bytes)) },
          ]),
        )
  }
  const tasks = ['t1', 't2', 't3']
  return { mount, look, count: () => tasks.filter((taskId) => mount.files(taskId) !== null).length }
}
secretMountContract('memoryMount', underTest(65_536))
fullMountContract('memoryMount', underTest(40_000))

describe('planDelivery', () => {
  it('gives files to the consumer and keeps the directory', () => {
    expect(planDelivery('t1', [reference('s2', 'b'), reference('s1', 'a')], { uid: 1000, gid: 50 })).toEqual({
      taskId: 't1',
      directory: { uid: null, gid: 50, mode: 0o550 },
      files: [
        { name: 'a', secretId: 's1', uid: 1000, gid: 50, mode: 0o400 },
        { name: 'b', secretId: 's2', uid: 1000, gid: 50, mode: 0o400 },
      ],
    })
  })

  it('honours owners that a reference names, and then lets others into the directory', () => {
    const { directory, files } = planDelivery(
      't1',
      [reference('s1', 'a', { uid: 7, mode: 0o440 }), reference('s2', 'b')],
      { uid: 1000, gid: 50 },
    )
    expect(directory).toEqual({ uid: null, gid: null, mode: 0o555 })
    expect(files.map(({ uid, gid, mode }) => [uid, gid, mode])).toEqual([
      [7, 50, 0o440],
      [1000, 50, 0o400],
    ])
  })

  it('leaves everything with the worker that cannot change users', () => {
    expect(planDelivery('t1', [reference('s1', 'a')], null)).toMatchObject({
      directory: { uid: null, gid: null, mode: 0o500 },
      files: [{ uid: null, gid: null }],
    })
  })

  it.each<[string, string, readonly GrantReference[], string]>([
    ['a task that is a path', '../t', [], 'ID_INVALID'],
    ['a secret that is a path', 't', [reference('../s', 'a')], 'ID_INVALID'],
    ['a target that is a path', 't', [reference('s', 'a/b')], 'REFERENCE_INVALID'],
    ['one target twice', 't', [reference('s', 'a'), reference('r', 'a')], 'TARGET_DUPLICATE'],
    [
      'too many files',
      't',
      Array.from({ length: MAX_REFERENCES + 1 }, (_, at) => reference('s', `f${at}`)),
      'REFERENCE_INVALID',
    ],
  ])('refuses %s', (_, taskId, references, code) => {
    expect(() => planDelivery(taskId, references, null)).toThrowCode(code)
  })
})

describe('deliver', () => {
  const plan = planDelivery('t1', [reference('s1', 'a'), reference('s2', 'b')], null)
  const watchedReader = (values: Readonly<Record<string, string>>) => {
    const given: Uint8Array[] = []
    const reader: SecretReader = {
      read: async (id) => {
        const bytes = bytesOf(values[id] ?? '')
        given.push(bytes)
        return new Secret(bytes)
      },
    }
    return { reader, given }
  }

  it('places what the reader gives and wipes the copies', async () => {
    const mount = memoryMount()
    const { reader, given } = watchedReader({ s1: 'one', s2: 'two' })
    expect(await deliver(mount, plan, reader, { signal })).toBe('/memory/t1')
    expect(mount.files('t1')?.get('b')?.value.expose(textOf)).toBe('two')
    expect(given.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true)
  })

  it('wipes the copies also when the mount refuses, or the reader half-way', async () => {
    const { reader, given } = watchedReader({ s1: 'one', s2: 'two' })
    const mount = memoryMount({ capacityBytes: 5 })
    await expect(deliver(mount, plan, reader, { signal })).rejects.toThrowCode('MOUNT_FULL')
    const failing: SecretReader = {
      read: async (id, options) => {
        if (id === 's2') throw new Error('gone')
        return await reader.read(id, options)
      },
    }
    await expect(deliver(mount, plan, failing, { signal })).rejects.toThrow('gone')
    expect(given).toHaveLength(3)
    expect(given.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true)
    expect(await mount.list()).toEqual([])
  })

  it('withdraws one task, or all but the wanted, and wipes', async () => {
    const mount = memoryMount()
    const { reader } = watchedReader({ s1: 'one', s2: 'two' })
    for (const taskId of ['t1', 't2', 't3']) await deliver(mount, { ...plan, taskId }, reader, { signal })
    const kept = mount.files('t2')?.get('a')
    expect(await withdraw(mount, 't2')).toBe(true)
    expect(await withdraw(mount, 't2')).toBe(false)
    expect(kept?.value.wiped).toBe(true)
    expect(await withdrawExcept(mount, ['t3', 't9'])).toEqual(['t1'])
    expect(await mount.list()).toEqual(['t3'])
  })
})
