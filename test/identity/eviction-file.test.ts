import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  decodeEvictionView,
  type Eviction,
  type EvictionView,
  encodeEvictionView,
  evictionBook,
  isNodeEvicted,
  MAX_EVICTION_VIEW_BYTES,
  noEvictions,
  viewOf,
  withEvictions,
} from '@leastwise/identity'
import { openEvictionFile, systemDigest, systemRandom } from '@leastwise/identity/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tempDir } from '../support/temp-dir.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import { ofNode } from './eviction-support.ts'
import { AFTERMATHS, memoryDisk } from './memory-disk.ts'

const NOW = Date.UTC(2026, 10, 22)
const HOUR_MS = 3_600_000
const clusterId = testClusterId(1)
const encode = (view: EvictionView) => encodeEvictionView(view, clusterId, systemDigest)
const decode = (bytes: Uint8Array) => decodeEvictionView(bytes, clusterId, systemDigest)
const viewWith = (...evictions: readonly Eviction[]): EvictionView => ({
  sequence: 2 ** 40 + 3,
  validUntil: NOW + HOUR_MS,
  set: withEvictions(noEvictions.set, evictions),
})
const three = viewWith(...[1, 2, 3].map((number) => ofNode(testNodeId(number), NOW)))

describe('kept evictions', () => {
  it('are read as they were', () => {
    const evictions = fc.array(fc.tuple(fc.nat(2000), fc.integer({ min: 1, max: 90 })), { maxLength: 200 })
    const instant = fc.integer({ min: 0, max: 2 ** 48 - 1 })
    fc.assert(
      fc.property(evictions, instant, instant, (nodes, sequence, validUntil) => {
        const all = nodes.map(([number, hours]) => ({
          ...ofNode(testNodeId(number), NOW),
          until: NOW + hours * HOUR_MS,
        }))
        const view = { ...viewWith(...all), sequence, validUntil }
        expect(decode(encode(view))).toEqual(view)
      }),
    )
    expect(decode(encode(noEvictions))).toEqual(noEvictions)
  })

  it('are refused at every byte where they are cut off, with anything added, and for each changed byte', () => {
    const bytes = encode(three)
    for (let length = 0; length < bytes.length; length += 1)
      expect(() => decode(bytes.subarray(0, length))).toThrowCode('EVICTION_FILE_MALFORMED')
    expect(() => decode(Uint8Array.of(...bytes, 0))).toThrowCode('EVICTION_FILE_MALFORMED')
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Uint8Array.from(bytes)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => decode(changed)).toThrowCode('EVICTION_FILE_MALFORMED')
    }
    expect(() => decode(new Uint8Array(MAX_EVICTION_VIEW_BYTES + 1))).toThrowCode('EVICTION_FILE_MALFORMED')
  })

  it('have one form: garbage under a good sum is refused, or is what would be written', () => {
    const whole = encode(three)
    const headBytes = 6 + 1 + clusterId.length
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 80 }), fc.boolean(), (tail, real) => {
        const body = Uint8Array.of(
          ...whole.subarray(0, headBytes),
          // Bits of the real thing, so that some of it is well formed.
          ...(real ? [...whole.subarray(headBytes, headBytes + 30), ...tail.subarray(0, tail.length % 40)] : tail),
        )
        const bytes = Uint8Array.of(...body, ...systemDigest.sha256(body))
        try {
          expect(encode(decode(bytes))).toEqual(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'EVICTION_FILE_MALFORMED' })
        }
      }),
      { numRuns: 500 },
    )
  })

  it('are of one cluster', () => {
    expect(() => decodeEvictionView(encode(three), testClusterId(2), systemDigest)).toThrowCode(
      'EVICTION_FILE_MALFORMED',
    )
  })

  it('are never those of a book, which has no end', () => {
    expect(() => encode(viewOf(evictionBook.initial))).toThrow(RangeError)
    expect(() => encode({ ...three, sequence: -1 })).toThrow(RangeError)
  })
})

describe('the file of them', () => {
  it('is for its owner alone, and outlives a restart', async () => {
    const path = join(tempDir(), 'evictions')
    const file = await openEvictionFile(path, { clusterId })
    expect(await file.load()).toBe(null)
    await file.save(noEvictions)
    await file.save(three)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const again = await (await openEvictionFile(path, { clusterId })).load()
    expect(again).toEqual(three)
    expect(isNodeEvicted(again!.set, testNodeId(2), NOW)).toBe(true)
  })

  it.each(['a file that others may write', 'a directory', 'one that was damaged'])(
    'is not read when it is %s',
    async (kind) => {
      const path = join(tempDir(), 'evictions')
      const file = await openEvictionFile(path, { clusterId })
      if (kind === 'a directory') mkdirSync(path)
      else {
        await file.save(three)
        if (kind === 'one that was damaged') writeFileSync(path, readFileSync(path).subarray(1))
        else chmodSync(path, 0o666)
      }
      await expect(file.load()).rejects.toThrowCode('EVICTION_FILE_MALFORMED')
    },
  )

  it('is not followed elsewhere, and says when it cannot be used at all', async () => {
    const directory = tempDir()
    const path = join(directory, 'evictions')
    writeFileSync(join(directory, 'other'), encode(three))
    symlinkSync(join(directory, 'other'), path)
    const file = await openEvictionFile(path, { clusterId })
    await expect(file.load()).rejects.toThrowCode('EVICTION_FILE_FAILED')
    await expect(openEvictionFile(join(directory, 'nowhere', 'evictions'), { clusterId })).rejects.toThrowCode(
      'EVICTION_FILE_FAILED',
    )
  })

  it('holds the old evictions or the new ones, wherever power fails', async () => {
    const before = memoryDisk()
    await (await openEvictionFile('/disk/evictions', { clusterId, files: before.files() })).save(noEvictions)
    for (let at = 0; ; at += 1) {
      const disk = before.after({ names: 'as-synced', content: 'synced' })
      const files = disk.files({ at, kind: 'power' })
      const failed = await (await openEvictionFile('/disk/evictions', { clusterId, files, random: systemRandom }))
        .save(three)
        .then(() => false)
        .catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'EVICTION_FILE_FAILED' })
          return true
        })
      for (const aftermath of AFTERMATHS) {
        const survived = disk.after(aftermath)
        const file = await openEvictionFile('/disk/evictions', { clusterId, files: survived.files() })
        const found = await file.load()
        expect([noEvictions, three]).toContainEqual(found)
        if (!failed) expect(found).toEqual(three)
        expect(survived.names()).toEqual(['evictions'])
      }
      if (!failed) break
    }
  })
})
