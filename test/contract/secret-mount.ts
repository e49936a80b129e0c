import { type FileOwner, Secret, type SecretFile, type SecretMount } from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'

/** A file as the suite wants to see it. */
export interface SeenFile {
  readonly bytes: Uint8Array
  readonly mode: number
}

/** A mount, and a way to look inside it that does not go through it. */
export interface MountUnderTest {
  readonly mount: SecretMount
  readonly look: (taskId: string) => ReadonlyMap<string, SeenFile> | null
  /** Everything that lies in the mount, hidden things included. */
  readonly count: () => number
}

const OWN: FileOwner = { uid: null, gid: null, mode: 0o500 }
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const file = (name: string, text: string, mode = 0o400): SecretFile => ({
  name,
  uid: null,
  gid: null,
  mode,
  value: Secret.copyOf(bytesOf(text)),
})

/** Every {@link SecretMount} keeps this. */
export function secretMountContract(name: string, create: () => MountUnderTest): void {
  const { signal } = new AbortController()
  const options = { signal }

  describe(`${name} keeps the contract of a secret mount`, () => {
    it('is empty at first', async () => {
      const { mount, count } = create()
      expect(await mount.list()).toEqual([])
      expect(count()).toBe(0)
    })

    it('places the files of a task with their content and mode', async () => {
      const { mount, look } = create()
      expect(await mount.place('t1', OWN, [file('a', 'alpha'), file('b', 'beta', 0o440)], options)).toMatch(/\/t1$/)
      expect(await mount.list()).toEqual(['t1'])
      expect(look('t1')).toEqual(
        new Map([
          ['a', { bytes: bytesOf('alpha'), mode: 0o400 }],
          ['b', { bytes: bytesOf('beta'), mode: 0o440 }],
        ]),
      )
    })

    it('lists tasks in order and keeps them apart', async () => {
      const { mount, look } = create()
      await mount.place('t2', OWN, [file('a', 'two')], options)
      await mount.place('t1', OWN, [file('a', 'one')], options)
      expect(await mount.list()).toEqual(['t1', 't2'])
      expect(await mount.withdraw('t2')).toBe(true)
      expect(look('t1')?.get('a')?.bytes).toEqual(bytesOf('one'))
      expect(look('t2')).toBeNull()
    })

    it('takes a task without files', async () => {
      const { mount, look } = create()
      await mount.place('t1', OWN, [], options)
      expect(look('t1')?.size).toBe(0)
      await expect(mount.place('t1', OWN, [], options)).rejects.toThrowCode('TASK_DELIVERED')
      expect(await mount.withdraw('t1')).toBe(true)
    })

    it('does not touch the values of its caller', async () => {
      const { mount } = create()
      const one = file('a', 'alpha')
      await mount.place('t1', OWN, [one], options)
      await mount.withdraw('t1')
      expect(one.value.expose((bytes) => new Uint8Array(bytes))).toEqual(bytesOf('alpha'))
    })

    it('refuses a second delivery and keeps the first', async () => {
      const { mount, look } = create()
      await mount.place('t1', OWN, [file('a', 'first')], options)
      await expect(mount.place('t1', OWN, [file('b', 'second')], options)).rejects.toThrowCode('TASK_DELIVERED')
      expect([...(look('t1')?.keys() ?? [])]).toEqual(['a'])
    })

    it('lets one of two deliveries at the same time win', async () => {
      const { mount, look, count } = create()
      const results = await Promise.allSettled([
        mount.place('t1', OWN, [file('a', 'x')], options),
        mount.place('t1', OWN, [file('a', 'y')], options),
      ])
      expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
      expect(look('t1')?.size).toBe(1)
      expect(count()).toBe(1)
    })

    it('withdraws once, and may be given the task again', async () => {
      const { mount, look, count } = create()
      await mount.place('t1', OWN, [file('a', 'alpha')], options)
      expect(await mount.withdraw('t1')).toBe(true)
      expect(await mount.withdraw('t1')).toBe(false)
      expect(count()).toBe(0)
      await mount.place('t1', OWN, [file('b', 'beta')], options)
      expect([...(look('t1')?.keys() ?? [])]).toEqual(['b'])
    })

    it('leaves nothing behind when the signal is aborted', async () => {
      const { mount, count } = create()
      const reason = new Error('enough')
      const aborted = { signal: AbortSignal.abort(reason) }
      await expect(mount.place('t1', OWN, [file('a', 'alpha')], aborted)).rejects.toBe(reason)
      expect(count()).toBe(0)
    })

    it.each([
      ['a path', '../t1', [], 'ID_INVALID'],
      ['a hidden name', '.t1', [], 'ID_INVALID'],
      ['no name', '', [], 'ID_INVALID'],
      ['a file that is a path', 't1', [file('a/b', 'x')], 'REFERENCE_INVALID'],
      ['a file that leads up', 't1', [file('..', 'x')], 'REFERENCE_INVALID'],
      ['a file with a strange mode', 't1', [file('a', 'x', 0o4755)], 'REFERENCE_INVALID'],
      ['two files of one name', 't1', [file('a', 'x'), file('a', 'y')], 'TARGET_DUPLICATE'],
      ['an empty value', 't1', [file('a', '')], 'SECRET_VALUE_SIZE'],
    ] as const)('refuses %s', async (_, taskId, files, code) => {
      const { mount, count } = create()
      await expect(mount.place(taskId, OWN, files, options)).rejects.toThrowCode(code)
      expect(count()).toBe(0)
    })
  })
}

/** Of a mount that has room for some files of 8 KiB and not for 64 KiB. */
export function fullMountContract(name: string, create: () => MountUnderTest): void {
  const options = { signal: new AbortController().signal }
  const many = (count: number): readonly SecretFile[] =>
    Array.from({ length: count }, (_, at) => file(`f${at}`, 'x'.repeat(8192)))

  describe(`${name}, when it is full`, () => {
    it('says so, leaves nothing behind, and keeps what was there', async () => {
      const { mount, look, count } = create()
      await mount.place('t1', OWN, many(2), options)
      await expect(mount.place('t2', OWN, many(8), options)).rejects.toThrowCode('MOUNT_FULL')
      expect(await mount.list()).toEqual(['t1'])
      expect(count()).toBe(1)
      expect(look('t1')?.size).toBe(2)
      await mount.withdraw('t1')
      await mount.place('t3', OWN, many(2), options)
      expect(look('t3')?.size).toBe(2)
    })
  })
}
