import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AHEAD_BYTES, type FillFrom, readAhead, type SpareBuffer } from '../../packages/raftlog/src/node/read-ahead.ts'

const MANY = 5 * AHEAD_BYTES + 123
const content = new Uint8Array(MANY)
for (let at = 0; at < MANY; at += 1) content[at] = (at * 31 + (at >>> 8) * 7 + (at >>> 16)) & 0xff

interface Call {
  readonly offset: number
  readonly length: number
}

/** A file in memory that says what was asked of it, and may fail. */
function file(failsAt: (call: Call) => boolean = () => false): { readonly fill: FillFrom; readonly calls: Call[] } {
  const calls: Call[] = []
  return {
    calls,
    fill: async (into, offset) => {
      const call = { offset, length: into.length }
      calls.push(call)
      await Promise.resolve()
      if (failsAt(call)) throw new Error('disk')
      const found = content.subarray(offset, offset + into.length)
      into.set(found)
      return found.length
    },
  }
}

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

describe('reading ahead', () => {
  it('gives the bytes that were asked for, whatever the order', async () => {
    const reads = fc.array(
      fc.oneof(
        // On from somewhere in the last read, as a reader of frames does; or anywhere.
        fc.record({ back: fc.integer({ min: 0, max: AHEAD_BYTES }), length: fc.constant(AHEAD_BYTES) }),
        fc.record({ back: fc.integer({ min: 0, max: 300 }), length: fc.integer({ min: 1, max: 3 * AHEAD_BYTES }) }),
        fc.record({ offset: fc.nat({ max: MANY }), length: fc.integer({ min: 1, max: 2 * AHEAD_BYTES }) }),
      ),
      { minLength: 1, maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(reads, fc.integer({ min: 0, max: 12 }), async (steps, failing) => {
        let nth = 0
        const { fill } = file(() => nth++ === failing)
        const { read, settled } = readAhead(MANY, fill)
        let reached = 0
        for (const step of steps) {
          const offset = 'offset' in step ? step.offset : Math.max(0, reached - step.back)
          const length = Math.min(step.length, MANY - offset)
          // A read that fails may be repeated; no later one suffers from it.
          const got = await read(offset, length).catch(async () => await read(offset, length))
          if (!isEqual(got, content.subarray(offset, offset + length))) throw new Error('other bytes')
          reached = offset + length
        }
        await settled()
      }),
      { numRuns: 60 },
    )
  })

  it('has the next stretch under way when a reader has gone on once', async () => {
    const { fill, calls } = file()
    const { read } = readAhead(MANY, fill)
    await read(0, 700)
    await read(300, AHEAD_BYTES)
    expect(calls).toHaveLength(2)
    await read(AHEAD_BYTES, AHEAD_BYTES)
    expect(calls.slice(2)).toEqual([
      { offset: AHEAD_BYTES, length: AHEAD_BYTES },
      { offset: 2 * AHEAD_BYTES, length: AHEAD_BYTES },
    ])
    const got = await read(2 * AHEAD_BYTES - 1000, AHEAD_BYTES)
    expect(isEqual(got, content.subarray(2 * AHEAD_BYTES - 1000, 3 * AHEAD_BYTES - 1000))).toBe(true)
    expect(calls.slice(4)).toEqual([{ offset: 3 * AHEAD_BYTES, length: AHEAD_BYTES }])
  })

  it('asks for nothing behind the end of the file', async () => {
    const { fill, calls } = file()
    const { read, settled } = readAhead(MANY, fill)
    for (let at = 0; at < MANY; at += AHEAD_BYTES) await read(at, Math.min(AHEAD_BYTES, MANY - at))
    await settled()
    expect(calls.every(({ offset, length }) => offset + length <= MANY)).toBe(true)
  })

  it('gives what there is where the file became shorter', async () => {
    const { fill } = file()
    const { read } = readAhead(MANY + AHEAD_BYTES, fill)
    await read(0, AHEAD_BYTES)
    for (let at = AHEAD_BYTES; at < MANY; at += AHEAD_BYTES) {
      const got = await read(at, AHEAD_BYTES)
      expect(isEqual(got, content.subarray(at, at + AHEAD_BYTES))).toBe(true)
    }
    expect(await read(MANY, 10)).toHaveLength(0)
  })

  it('says nothing of a failure before the bytes are asked for, and then the error of that read', async () => {
    const { fill, calls } = file(({ offset }) => offset >= 2 * AHEAD_BYTES)
    const { read, settled } = readAhead(MANY, fill)
    await read(0, AHEAD_BYTES)
    await read(AHEAD_BYTES, AHEAD_BYTES)
    await settled()
    expect(calls).toHaveLength(3)
    await expect(read(2 * AHEAD_BYTES, AHEAD_BYTES)).rejects.toThrow('disk')
    expect(calls).toHaveLength(4)
  })

  it('leaves to the next file the memory that nobody looks at any more', async () => {
    const left: SpareBuffer = { buffer: null }
    const first = readAhead(MANY, file().fill, left)
    await first.read(0, AHEAD_BYTES)
    await first.read(AHEAD_BYTES, AHEAD_BYTES)
    const shown = await first.read(2 * AHEAD_BYTES, AHEAD_BYTES)
    await first.settled()
    const passed = left.buffer
    expect(passed?.buffer).toBeInstanceOf(ArrayBuffer)
    expect(passed?.buffer).not.toBe(shown.buffer)
    const second = readAhead(MANY, file().fill, left)
    expect((await second.read(0, AHEAD_BYTES)).buffer).toBe(passed?.buffer)
    expect(left.buffer).toBeNull()
    expect(isEqual(shown, content.subarray(2 * AHEAD_BYTES, 3 * AHEAD_BYTES))).toBe(true)
  })

  it('is settled only when nothing is written into its memory any more', async () => {
    let release = (): void => undefined
    let pending = 0
    const { read, settled } = readAhead(MANY, async (into, offset) => {
      pending += 1
      if (offset >= 2 * AHEAD_BYTES) await new Promise<void>((resolve) => (release = resolve))
      pending -= 1
      return into.length
    })
    await read(0, AHEAD_BYTES)
    await read(AHEAD_BYTES, AHEAD_BYTES)
    expect(pending).toBe(1)
    const done = settled()
    release()
    await done
    expect(pending).toBe(0)
  })
})
