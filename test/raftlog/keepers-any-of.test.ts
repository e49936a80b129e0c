import { anyOf, clearWrapper, type KeyWrapper, keepersOf, RaftLogError, unlockKeyWrapper } from '@leastwise/raftlog'
import { allowWeakScryptCost, kmsWrapper, passphraseWrapper } from '@leastwise/raftlog/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { tempDir } from '../support/temp-dir.ts'
import { crashDisk } from './crash-disk.ts'
import { startPlugIn } from './keepers-plug-in.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'

const KEY = new Uint8Array(32).fill(0x42)
const random = seededRandom(11)
const unlock = (fill: number): KeyWrapper => unlockKeyWrapper(new Uint8Array(32).fill(fill), random)
const passphrase = (text: string): KeyWrapper =>
  passphraseWrapper(text, { cost: { logN: 1, r: 8, p: 1 }, [allowWeakScryptCost]: true, random })
const broken = (id: string, error = new RaftLogError('KEEPER_UNREACHABLE', 'gone; wait')): KeyWrapper => ({
  id,
  wrap: async () => await Promise.reject(error),
  unwrap: async () => await Promise.reject(error),
})
/** A keeper that keeps the key as it is, with room to spare; it also remembers what it was asked. */
const padded = (id: string, bytes: number): KeyWrapper & { readonly asked: number[] } => {
  const asked: number[] = []
  return {
    id,
    asked,
    wrap: (key) => new Uint8Array([...key, ...new Uint8Array(bytes - key.length)]),
    unwrap: (wrapped) => {
      asked.push(wrapped.length)
      return wrapped.slice(0, 32)
    },
  }
}

describe('any of several keepers', () => {
  it('open it, each of them alone', async () => {
    const keepers = [unlock(1), passphrase('one'), unlock(2)]
    const wrapped = await anyOf(keepers).wrap(KEY)
    for (const keeper of keepers) expect(await anyOf([keeper]).unwrap(wrapped)).toEqual(KEY)
    expect(await anyOf(keepers).unwrap(wrapped)).toEqual(KEY)
    expect(await anyOf([unlock(3), passphrase('another')]).unwrap(wrapped)).toBeNull()
    expect(await unlock(1).unwrap(wrapped)).toBeNull()
  })

  it('are named in what they wrapped, and nowhere else', async () => {
    const keepers = [passphrase('one'), unlock(2)]
    const wrapped = await anyOf(keepers).wrap(KEY)
    expect(keepersOf(wrapped)).toEqual(keepers.map(({ id }) => id))
    expect(keepersOf(await unlock(2).wrap(KEY))).toBeNull()
    expect(keepersOf(new Uint8Array(0))).toBeNull()
  })

  it('may be of one id: two people with a passphrase each', async () => {
    const [one, two] = [passphrase('one'), passphrase('two')]
    const wrapped = await anyOf([one, two]).wrap(KEY)
    expect(await anyOf([two]).unwrap(wrapped)).toEqual(KEY)
    expect(await anyOf([one]).unwrap(wrapped)).toEqual(KEY)
    expect(await anyOf([passphrase('three')]).unwrap(wrapped)).toBeNull()
  })

  it('have an id of the set, whatever their order', () => {
    const [a, b] = [unlock(1), unlock(2)]
    expect(anyOf([a, b]).id).toMatch(/^any-of-[0-9a-f]{16}$/)
    expect(anyOf([a, b]).id).toBe(anyOf([b, a]).id)
    expect(anyOf([a, b]).id).not.toBe(anyOf([a]).id)
  })

  it('are asked in the order given, only for what is theirs, and no longer than needed', async () => {
    const [first, second, stranger] = [padded('first', 40), padded('second', 50), padded('stranger', 60)]
    const wrapped = await anyOf([first, second]).wrap(KEY)
    await anyOf([stranger, second, first]).unwrap(wrapped)
    expect([first.asked, second.asked, stranger.asked]).toEqual([[], [50], []])
  })

  it('do without one that is out of reach', async () => {
    const wrapped = await anyOf([padded('service', 40), unlock(1)]).wrap(KEY)
    expect(await anyOf([broken('service'), unlock(1)]).unwrap(wrapped)).toEqual(KEY)
  })

  it('say that one is out of reach if no other can open', async () => {
    const wrapped = await anyOf([padded('service', 40), unlock(1)]).wrap(KEY)
    await expect(anyOf([broken('service'), unlock(2)]).unwrap(wrapped)).rejects.toThrowCode('KEEPER_UNREACHABLE')
    // It could not have opened this one.
    expect(await anyOf([broken('another'), unlock(2)]).unwrap(wrapped)).toBeNull()
  })

  it('all wrap, or none does', async () => {
    await expect(anyOf([unlock(1), broken('service')]).wrap(KEY)).rejects.toThrowCode('KEEPER_UNREACHABLE')
  })

  it('do not fit if one writes too much, or nothing', async () => {
    await expect(anyOf([padded('a', 2000), padded('b', 2100)]).wrap(KEY)).rejects.toThrowCode(
      'KEEPER_WRAPPING_TOO_LARGE',
    )
    const empty: KeyWrapper = { id: 'empty', wrap: () => new Uint8Array(0), unwrap: () => null }
    await expect(anyOf([empty]).wrap(KEY)).rejects.toThrowCode('KEEPER_WRAPPING_TOO_LARGE')
    const full = await anyOf([padded('a', 2000), padded('b', 2082)]).wrap(KEY)
    expect(full).toHaveLength(4096)
  })

  it('are one to eight, each with a lock and with an id that can be kept', () => {
    expect(() => anyOf([])).toThrow(RangeError)
    expect(() => anyOf(Array.from({ length: 9 }, (_, at) => unlock(at)))).toThrow(RangeError)
    expect(() => anyOf(Array.from({ length: 8 }, (_, at) => unlock(at)))).not.toThrow()
    expect(() => anyOf([unlock(1), clearWrapper])).toThrow(TypeError)
    for (const id of ['', 'a b', 'é', 'x'.repeat(129)]) expect(() => anyOf([padded(id, 40)])).toThrow(RangeError)
  })

  it('law: whatever the bytes are, they are opened or not mine', async () => {
    const wrapper = anyOf([unlock(1), padded('a', 40)])
    const wrapped = await wrapper.wrap(KEY)
    const changed = fc.tuple(fc.nat(wrapped.length - 1), fc.nat(255)).map(([at, byte]) => wrapped.with(at, byte))
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 300 }), changed), async (bytes) => {
        const ids = keepersOf(bytes)
        const key = await wrapper.unwrap(bytes)
        if (ids === null) expect(key).toBeNull()
        else expect(ids.length).toBeLessThanOrEqual(8)
      }),
      { numRuns: 500 },
    )
  })

  it('refuse a list that is not in its form', async () => {
    const wrapped = await anyOf([unlock(1)]).wrap(KEY)
    expect(keepersOf(wrapped.with(5, 0))).toBeNull()
    expect(keepersOf(wrapped.with(5, 9))).toBeNull()
    expect(keepersOf(wrapped.with(4, 2))).toBeNull()
    expect(keepersOf(wrapped.with(7, 0x20))).toBeNull()
    expect(keepersOf(new Uint8Array(4097))).toBeNull()
    const none = new Uint8Array([...Buffer.from('LWKA'), 1, 1, 1, 0x61, 0, 0])
    expect(keepersOf(none)).toBeNull()
  })
})

describe('a log with several keepers', () => {
  it('opens with each of them, and tells a wrong key from a service that is away', async () => {
    const plugIn = await startPlugIn()
    const service = kmsWrapper({ socketPath: plugIn.socketPath })
    const disk = crashDisk()
    const log = await createOn(disk, { wrapper: anyOf([service, passphrase('one')]) })
    await log.append([utf8('entry')])
    await log.close()
    for (const wrapper of [anyOf([service]), anyOf([passphrase('one')]), anyOf([service, passphrase('one')])]) {
      const opened = await openOn(disk, { wrapper })
      expect(await readAll(opened)).toEqual(['1:1:entry'])
      await opened.close()
    }
    await expect(openOn(disk)).rejects.toThrowCode('KEYS_LOCKED')
    await expect(openOn(disk, { wrapper: passphrase('one') })).rejects.toThrow(
      expect.objectContaining({ code: 'KEYS_WRONG', message: expect.stringContaining('several keepers') as unknown }),
    )
    await expect(openOn(disk, { wrapper: anyOf([passphrase('two')]) })).rejects.toThrowCode('KEYS_WRONG')
    await plugIn.close()
    await expect(openOn(disk, { wrapper: anyOf([service]) })).rejects.toThrowCode('KEEPER_UNREACHABLE')
    const opened = await openOn(disk, { wrapper: anyOf([service, passphrase('one')]) })
    // The service would be out, and nobody would know.
    await expect(opened.rewrap(anyOf([service, unlock(1)]))).rejects.toThrowCode('KEEPER_UNREACHABLE')
    await opened.close()
    const after = await openOn(disk, { wrapper: anyOf([passphrase('one')]) })
    await after.close()
  })

  it('takes in and leaves out a keeper by wrapping anew', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { wrapper: anyOf([unlock(1), unlock(2)]) })
    await log.append([utf8('entry')])
    await log.rewrap(anyOf([unlock(2), unlock(3)]))
    await log.close()
    await expect(openOn(disk, { wrapper: anyOf([unlock(1)]) })).rejects.toThrowCode('KEYS_WRONG')
    for (const fill of [2, 3]) {
      const opened = await openOn(disk, { wrapper: anyOf([unlock(fill)]) })
      expect(await readAll(opened)).toEqual(['1:1:entry'])
      await opened.close()
    }
  })

  it('has a socket path that nobody listens at', async () => {
    const service = kmsWrapper({ socketPath: `${tempDir()}/absent.sock` })
    await expect(createOn(crashDisk(), { wrapper: service })).rejects.toThrowCode('KEEPER_UNREACHABLE')
  })
})
