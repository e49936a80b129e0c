import {
  clearWrapper,
  type DekState,
  decodeKeyring,
  type KeyWrapper,
  openKeyring,
  type SealedLog,
  stepRotation,
  unlockKeyWrapper,
} from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { contains, createOn, openOn, readAll, utf8 } from './log-support.ts'

const lockA = unlockKeyWrapper(new Uint8Array(32).fill(0xa1), seededRandom(1))
const lockB = unlockKeyWrapper(new Uint8Array(32).fill(0xb2), seededRandom(2))

const snapshotOf = (log: SealedLog) => (atLeast: bigint) => ({
  index: atLeast,
  term: log.lastTerm,
  data: utf8('state'),
})

const deksOf = async (disk: CrashDisk, wrapper: KeyWrapper): Promise<string[]> => {
  const { current, pending } = await openKeyring(decodeKeyring(disk.ring()!), wrapper, nodeCipherSuite)
  return [current, pending].flatMap((key) => (key === null ? [] : [key.id]))
}

/** Ids of the data keys that the files on the disk are sealed under. */
const keysInUse = (disk: CrashDisk): Set<string> =>
  new Set([...disk.contents.values()].map(({ bytes }) => Buffer.from(bytes.subarray(32, 48)).toString('hex')))

describe('stepRotation', () => {
  it('law: any requests while one runs make one more, never two', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), (requests) => {
        let state: DekState = { phase: 'stable', current: 'k0' }
        let fresh = 0
        const next = (): string => `k${(fresh += 1)}`
        for (let nth = 0; nth < requests; nth += 1)
          state = stepRotation(state, { type: 'rotation-requested', fresh: next() })
        state = stepRotation(state, { type: 'old-key-unused', fresh: next() })
        expect(state.phase).toBe(requests > 1 ? 'rotating' : 'stable')
        state = stepRotation(state, { type: 'old-key-unused', fresh: next() })
        expect(state.phase).toBe('stable')
      }),
    )
  })

  it('leaves a stable state alone when there is nothing to finish', () => {
    const state: DekState = { phase: 'stable', current: 'k0' }
    expect(stepRotation(state, { type: 'old-key-unused', fresh: 'k1' })).toBe(state)
  })
})

describe('rotating the data key', () => {
  it('leaves no file under the old key, and no trace of the old key', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { segmentBytes: 1 })
    for (const each of ['a', 'b', 'c']) await log.append([utf8(each)])
    await log.saveSnapshot({ index: 2n, term: 1n, data: utf8('ab') })
    const [old] = await deksOf(disk, clearWrapper)
    await log.rotateDek({ snapshot: snapshotOf(log) })
    const [now, pending] = await deksOf(disk, clearWrapper)
    expect(pending).toBeUndefined()
    expect(now).not.toBe(old)
    expect(keysInUse(disk)).toEqual(new Set([now]))
    await log.append([utf8('d')])
    await log.close()
    const again = await openOn(disk)
    expect(await readAll(again, 4n)).toEqual(['4:1:d'])
  })

  it('left half-way by a snapshot that fails is finished by the next one, with the same pending key', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('a')])
    const broken = new Error('no snapshot today')
    await expect(log.rotateDek({ snapshot: () => Promise.reject(broken) })).rejects.toBe(broken)
    expect(log.rotating).toBe(true)
    await log.append([utf8('b')])
    const [current, pending] = await deksOf(disk, clearWrapper)
    expect(keysInUse(disk)).toEqual(new Set([current, pending]))
    await log.close()

    const again = await openOn(disk)
    expect(again.rotating).toBe(true)
    expect(await readAll(again)).toEqual(['1:1:a', '2:1:b'])
    await again.rotateDek({ snapshot: snapshotOf(again) })
    expect(again.rotating).toBe(false)
    expect(await deksOf(disk, clearWrapper)).toEqual([pending])
    expect(keysInUse(disk)).toEqual(new Set([pending]))
  })

  it('stops between its steps when the signal says so', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('a')])
    const reason = new Error('enough')
    await expect(log.rotateDek({ snapshot: snapshotOf(log), signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(log.rotating).toBe(false)
    const control = new AbortController()
    const snapshot = (atLeast: bigint) => {
      control.abort(reason)
      return snapshotOf(log)(atLeast)
    }
    await expect(log.rotateDek({ snapshot, signal: control.signal })).rejects.toBe(reason)
    expect(log.rotating).toBe(true)
    await log.rotateDek({ snapshot: snapshotOf(log) })
    expect(log.rotating).toBe(false)
  })

  it('serves callers that come meanwhile with one more rotation', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('a')])
    let rotations = 0
    const options = {
      snapshot: (atLeast: bigint) => {
        rotations += 1
        return snapshotOf(log)(atLeast)
      },
    }
    let late: Promise<unknown> = Promise.resolve()
    await log.rotateDek({
      snapshot: (atLeast) => {
        late = Promise.all([log.rotateDek(options), log.rotateDek(options), log.rotateDek(options)])
        return options.snapshot(atLeast)
      },
    })
    await late
    expect(rotations).toBe(2)
  })
})

describe('rotating the data key of a Raft node', () => {
  const committed = (commit: bigint) => ({ term: 1n, vote: null, commit })

  it('asks for a snapshot of what is committed alone, and seals the rest anew, which can still be replaced', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { segmentBytes: 300 })
    await log.append(['a', 'b'].map(utf8), { term: 1n })
    await log.append(['c', 'd'].map(utf8), { state: committed(3n) })
    await log.append([utf8('e')], { term: 2n })
    await log.append([utf8('E'), utf8('F')], { term: 3n, at: 5n })
    const asked: bigint[] = []
    await log.rotateDek({
      snapshot: (atLeast) => {
        asked.push(atLeast)
        return { index: atLeast, term: 1n, data: utf8('abc') }
      },
    })
    expect(asked).toEqual([3n])
    expect(log.rotating).toBe(false)
    expect(keysInUse(disk)).toEqual(new Set(await deksOf(disk, clearWrapper)))
    const left = ['4:1:d', '5:3:E', '6:3:F']
    expect(await readAll(log)).toEqual(left)
    expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([4n, 6n, 3n])
    expect(await log.termAt(3n)).toBe(1n)
    await expect(log.append([utf8('C')], { at: 3n })).rejects.toThrow(RangeError)
    await log.append([utf8('X')], { term: 4n, at: 5n })
    await log.close()
    const again = await openOn(disk)
    expect(await readAll(again)).toEqual(['4:1:d', '5:4:X'])
    expect(again.state).toEqual(committed(3n))
  })

  it('needs no snapshot while nothing is committed', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { segmentBytes: 1 })
    await log.saveState({ term: 1n, vote: 'node-1', commit: 0n })
    for (const each of ['a', 'b', 'c']) await log.append([utf8(each)])
    await log.rotateDek({ snapshot: () => Promise.reject(new Error('there is none')) })
    expect(keysInUse(disk)).toEqual(new Set(await deksOf(disk, clearWrapper)))
    await log.append([utf8('B')], { term: 2n, at: 2n })
    await log.close()
    const again = await openOn(disk)
    expect(await readAll(again)).toEqual(['1:1:a', '2:2:B'])
    expect(again.snapshotAt).toBeNull()
    expect(again.state?.vote).toBe('node-1')
  })

  it('takes what was replaced and appended while the snapshot was made', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append(['a', 'b', 'c', 'd'].map(utf8), { term: 1n, state: committed(1n) })
    await log.rotateDek({
      snapshot: async (atLeast) => {
        await log.append([utf8('C')], { term: 2n, at: 3n })
        await log.append([utf8('D'), utf8('E')], { term: 3n })
        return { index: atLeast, term: 1n, data: utf8('a') }
      },
    })
    expect(keysInUse(disk)).toEqual(new Set(await deksOf(disk, clearWrapper)))
    expect(await readAll(log)).toEqual(['2:1:b', '3:2:C', '4:3:D', '5:3:E'])
    await log.close()
    expect(await readAll(await openOn(disk))).toEqual(['2:1:b', '3:2:C', '4:3:D', '5:3:E'])
  })

  it('takes a snapshot that reaches further than it must, up to the end', async () => {
    for (const index of [2n, 3n, 4n]) {
      const disk = crashDisk()
      const log = await createOn(disk)
      await log.append(['a', 'b', 'c', 'd'].map(utf8), { term: 1n, state: committed(1n) })
      await log.rotateDek({ snapshot: () => ({ index, term: 1n, data: utf8('state') }) })
      await log.close()
      const again = await openOn(disk)
      expect(again.snapshotAt?.index).toBe(index)
      expect(await readAll(again)).toEqual(['1:1:a', '2:1:b', '3:1:c', '4:1:d'].slice(Number(index)))
      expect(keysInUse(disk)).toEqual(new Set(await deksOf(disk, clearWrapper)))
    }
  })

  it('puts many small frames of a term into few, and keeps large ones apart', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.saveState({ term: 1n, vote: null, commit: 0n })
    for (let nth = 0; nth < 1100; nth += 1) await log.append([utf8(`entry ${nth}`)])
    const large = new Uint8Array(700 * 1024)
    for (const first of [1, 2, 3]) await log.append([large.fill(first)])
    await log.append([utf8('last')], { term: 2n })
    const before = await readAll(log)
    const bytes = (): number => [...disk.contents.values()].reduce((sum, file) => sum + file.bytes.length, 0)
    const size = bytes()
    await log.rotateDek({ snapshot: () => Promise.reject(new Error('there is none')) })
    expect(bytes()).toBeLessThan(size - 1000 * 56)
    expect(await readAll(log)).toEqual(before)
    await log.close()
    expect(await readAll(await openOn(disk))).toEqual(before)
  })
})

describe('the lock', () => {
  it('goes on in one save: wrapped keys, a new data key, nothing left of the old one', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('marked plaintext a')])
    const clearRing = decodeKeyring(disk.ring()!)
    const exposed = clearRing.current.wrapped
    expect(contains(disk.ring()!, exposed)).toBe(true)
    await log.lock(lockA, { snapshot: snapshotOf(log) })
    await log.append([utf8('marked plaintext b')])
    await log.close()

    expect(contains(disk.ring()!, exposed)).toBe(false)
    expect(await deksOf(disk, lockA)).toHaveLength(1)
    expect(keysInUse(disk)).toEqual(new Set(await deksOf(disk, lockA)))
    const { current } = await openKeyring(decodeKeyring(disk.ring()!), lockA, nodeCipherSuite)
    for (const { bytes } of [...disk.contents.values(), { bytes: disk.ring()! }]) {
      expect(contains(bytes, utf8('marked plaintext'))).toBe(false)
      expect(contains(bytes, current.dek)).toBe(false)
      expect(contains(bytes, exposed)).toBe(false)
    }

    await expect(openOn(disk)).rejects.toThrowCode('KEYS_LOCKED')
    await expect(openOn(disk, { wrapper: lockB })).rejects.toThrowCode('KEYS_WRONG')
    const again = await openOn(disk, { wrapper: lockA })
    expect(await readAll(again, 2n)).toEqual(['2:1:marked plaintext b'])
  })

  it('never lets a new data key touch the disk in the clear', async () => {
    const disk = crashDisk()
    const rings: Uint8Array[] = []
    const keys = {
      load: disk.keys.load,
      save: async (bytes: Uint8Array, wrapper: KeyWrapper) => {
        rings.push(bytes.slice())
        await disk.keys.save(bytes, wrapper)
      },
    }
    const log = await createOn(disk, { keys })
    await log.append([utf8('a')])
    rings.length = 0
    await log.lock(lockA, { snapshot: snapshotOf(log) })
    const { current } = await openKeyring(decodeKeyring(disk.ring()!), lockA, nodeCipherSuite)
    expect(rings).toHaveLength(2)
    for (const ring of rings) {
      expect(contains(ring, current.dek)).toBe(false)
      expect(decodeKeyring(ring).wrapperId).toBe(lockA.id)
    }
  })

  it('does not take up the key of a rotation that was left unfinished without a lock', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await log.append([utf8('a')])
    await expect(log.rotateDek({ snapshot: () => Promise.reject(new Error('not now')) })).rejects.toThrow('not now')
    const exposed = await deksOf(disk, clearWrapper)
    expect(exposed).toHaveLength(2)
    await log.lock(lockA, { snapshot: snapshotOf(log) })
    const kept = await deksOf(disk, lockA)
    expect(kept).toHaveLength(1)
    expect(exposed).not.toContain(kept[0])
    expect(keysInUse(disk)).toEqual(new Set(kept))
  })

  it('changes its key, and the old one stops working at once', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { wrapper: lockA })
    await log.append([utf8('a')])
    const before = await deksOf(disk, lockA)
    await log.rewrap(lockB)
    expect(await deksOf(disk, lockB)).toEqual(before)
    await log.append([utf8('b')])
    await log.close()
    await expect(openOn(disk, { wrapper: lockA })).rejects.toThrowCode('KEYS_WRONG')
    const again = await openOn(disk, { wrapper: lockB })
    expect(await readAll(again)).toEqual(['1:1:a', '2:1:b'])
  })

  it('goes off', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { wrapper: lockA })
    await log.append([utf8('a')])
    await log.rewrap(clearWrapper)
    await log.close()
    await expect(openOn(disk, { wrapper: lockA })).rejects.toThrowCode('KEYS_WRONG')
    expect(await readAll(await openOn(disk))).toEqual(['1:1:a'])
  })

  it('stays as it was when the keys cannot be saved', async () => {
    const disk = crashDisk()
    const full = Object.assign(new Error('no room'), { code: 'DISK_FULL' })
    let fails = false
    const keys = {
      load: disk.keys.load,
      save: async (bytes: Uint8Array, wrapper: KeyWrapper) => {
        if (fails) throw full
        await disk.keys.save(bytes, wrapper)
      },
    }
    const log = await createOn(disk, { keys })
    await log.append([utf8('a')])
    fails = true
    await expect(log.lock(lockA, { snapshot: snapshotOf(log) })).rejects.toBe(full)
    await expect(log.rewrap(lockA)).rejects.toBe(full)
    await log.append([utf8('b')])
    fails = false
    await log.lock(lockA, { snapshot: snapshotOf(log) })
    await log.append([utf8('c')])
    await log.close()
    expect(await readAll(await openOn(disk, { wrapper: lockA }), 3n)).toEqual(['3:1:c'])
  })
})

describe('creating a log', () => {
  it('uses keys that an earlier attempt had kept, and never replaces them', async () => {
    const disk = crashDisk()
    await (await createOn(disk, { wrapper: lockA })).close()
    const ring = disk.ring()!
    const again = crashDisk({ ring })
    await expect(createOn(again)).rejects.toThrowCode('KEYS_LOCKED')
    await expect(createOn(again, { wrapper: lockB })).rejects.toThrowCode('KEYS_WRONG')
    await (await createOn(again, { wrapper: lockA })).close()
    expect(again.ring()).toBe(ring)
  })

  it('is refused where a log is, or is open', async () => {
    const disk = crashDisk()
    const log = await createOn(disk)
    await expect(createOn(disk)).rejects.toThrowCode('LOG_BUSY')
    await expect(openOn(disk)).rejects.toThrowCode('LOG_BUSY')
    await log.close()
    await expect(createOn(disk)).rejects.toThrowCode('LOG_EXISTS')
    await (await openOn(disk)).close()
  })

  it('refuses ids and sizes outside their bounds', async () => {
    for (const bad of [{ clusterId: '' }, { logId: 'x'.repeat(65) }, { logId: 'a b' }, { segmentBytes: 0 }]) {
      await expect(createOn(crashDisk(), bad)).rejects.toThrow(RangeError)
      await expect(openOn(crashDisk(), bad)).rejects.toThrow(RangeError)
    }
  })

  it('must come before opening', async () => {
    await expect(openOn(crashDisk())).rejects.toThrowCode('LOG_MISSING')
    await expect(openOn(crashDisk({ ring: utf8('not a ring') }))).rejects.toThrowCode('KEYS_MALFORMED')
  })
})
