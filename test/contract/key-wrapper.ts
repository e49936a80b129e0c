import { inspect } from 'node:util'
import type { KeyWrapper } from '@leastwise/raftlog'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** What a wrapper is tried with. */
export interface WrapperUnderTest {
  /** Makes the wrapper anew from the same secret, as another process would. */
  readonly create: () => KeyWrapper
  /** A wrapper of the same kind with another secret, or null for one that has no lock. */
  readonly other: KeyWrapper | null
  readonly close?: () => Promise<void>
}

const KEY = Uint8Array.from({ length: 32 }, (_, at) => 0x80 + at)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Every {@link KeyWrapper} keeps this; the parts about a lock are left out for one that has none. */
export function keyWrapperContract(name: string, prepare: () => Promise<WrapperUnderTest>): void {
  describe(`${name} keeps the contract of a key wrapper`, () => {
    let tried: WrapperUnderTest
    beforeAll(async () => {
      tried = await prepare()
    })
    afterAll(async () => {
      await tried.close?.()
    })

    it('has an id that can be stored, and that stays', () => {
      expect(tried.create().id).toMatch(/^[\x21-\x7e]{1,128}$/)
      expect(tried.create().id).toBe(tried.create().id)
    })

    it('opens what it wrapped, also in another process', async () => {
      const wrapper = tried.create()
      const wrapped = await wrapper.wrap(KEY)
      expect(await wrapper.unwrap(wrapped)).toEqual(KEY)
      expect(await tried.create().unwrap(wrapped)).toEqual(KEY)
    })

    it('takes keys of other lengths', async () => {
      for (const length of [1, 16, 64]) {
        const key = new Uint8Array(length).fill(length)
        expect(await tried.create().unwrap(await tried.create().wrap(key))).toEqual(key)
      }
    })

    it('writes what a key ring can hold', async () => {
      const { length } = await tried.create().wrap(KEY)
      expect(length).toBeGreaterThan(0)
      expect(length).toBeLessThanOrEqual(4096)
    })

    it('changes nothing that it was given, and gives nothing that it keeps', async () => {
      const wrapper = tried.create()
      const key = KEY.slice()
      const wrapped = await wrapper.wrap(key)
      expect(key).toEqual(KEY)
      const before = wrapped.slice()
      const opened = (await wrapper.unwrap(wrapped))!
      expect(wrapped).toEqual(before)
      opened.fill(0)
      key.fill(0)
      expect(await wrapper.unwrap(wrapped)).toEqual(KEY)
    })

    it('works on several keys at once', async () => {
      const wrapper = tried.create()
      const keys = Array.from({ length: 4 }, (_, at) => new Uint8Array(32).fill(at + 1))
      const wrapped = await Promise.all(keys.map(async (key) => await wrapper.wrap(key)))
      expect(await Promise.all(wrapped.map(async (bytes) => await wrapper.unwrap(bytes)))).toEqual(keys)
    })

    it('gives null for what another key wrapped', async () => {
      const { other } = tried
      if (other === null) return
      expect(await tried.create().unwrap(await other.wrap(KEY))).toBeNull()
      expect(await other.unwrap(await tried.create().wrap(KEY))).toBeNull()
    })

    it('gives null for garbage', async () => {
      if (tried.other === null) return
      const wrapper = tried.create()
      for (const garbage of [
        new Uint8Array(0),
        new Uint8Array(1),
        new Uint8Array(40),
        new Uint8Array(5000).fill(0x4c),
      ]) {
        expect(await wrapper.unwrap(garbage)).toBeNull()
      }
    })

    it('gives null for what was cut, at every byte, and for what goes on', async () => {
      if (tried.other === null) return
      const wrapper = tried.create()
      const wrapped = await wrapper.wrap(KEY)
      for (let length = 0; length < wrapped.length; length += 1) {
        expect(await wrapper.unwrap(wrapped.subarray(0, length)), `cut to ${length} bytes`).toBeNull()
      }
      expect(await wrapper.unwrap(new Uint8Array([...wrapped, 0]))).toBeNull()
    })

    it('gives null for what was changed, at every byte', async () => {
      if (tried.other === null) return
      const wrapper = tried.create()
      const wrapped = await wrapper.wrap(KEY)
      for (let at = 0; at < wrapped.length; at += 1) {
        const changed = wrapped.slice()
        changed[at]! ^= 1 << (at % 8)
        expect(await wrapper.unwrap(changed), `byte ${at} changed`).toBeNull()
      }
    })

    it('wraps one key in two ways, and shows it in none', async () => {
      if (tried.other === null) return
      const wrapper = tried.create()
      const [first, second] = [await wrapper.wrap(KEY), await wrapper.wrap(KEY)]
      expect(hex(first)).not.toBe(hex(second))
      expect(hex(first)).not.toContain(hex(KEY))
      expect(inspect(wrapper, { depth: 9, showHidden: true, getters: true })).not.toContain('128, 129, 130')
    })
  })
}
