import type { SealedLog } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { createOn, openOn, readAll, utf8 } from './log-support.ts'

const FIRST = '00000000000000000001.log'
const FRAME_OVERHEAD = 56

interface Made {
  readonly disk: CrashDisk
  readonly bytes: Uint8Array
  /** Where the frames begin, and the end. */
  readonly at: readonly number[]
}

/** One segment of three frames; `ended` as after a clean close, otherwise as after a crash. */
async function segment(ended: boolean): Promise<Made> {
  const disk = crashDisk()
  const log = await createOn(disk)
  const at: number[] = []
  const size = (): number => disk.contents.get(FIRST)!.bytes.length
  for (const group of [['one', 'two'], ['three'], ['four']]) {
    at.push(size())
    await log.append(group.map(utf8))
  }
  at.push(size())
  if (ended) await log.close()
  return { disk, bytes: disk.contents.get(FIRST)!.bytes.slice(), at }
}

const copyOf = (made: Made, bytes: Uint8Array): CrashDisk => {
  const disk = crashDisk({ ring: made.disk.ring() })
  disk.put(FIRST, bytes)
  return disk
}

/** What opening and reading a copy with other bytes gives: the lines, or a code. */
async function outcome(
  made: Made,
  bytes: Uint8Array,
  options: { readonly goOn: boolean } = { goOn: true },
): Promise<{ lines?: string[]; dropped?: number; code?: string }> {
  const disk = copyOf(made, bytes)
  let log: SealedLog
  try {
    log = await openOn(disk)
  } catch (error) {
    // A refusal must leave the evidence alone.
    expect(Buffer.compare(disk.contents.get(FIRST)!.bytes, bytes)).toBe(0)
    return { code: (error as { code: string }).code }
  }
  const lines = await readAll(log)
  if (!options.goOn) return { lines, dropped: log.repair?.droppedBytes ?? 0 }
  await log.append([utf8('next')])
  await log.close()
  const again = await openOn(disk)
  expect(await readAll(again)).toEqual([...lines, `${lines.length + 1}:1:next`])
  return { lines, dropped: log.repair?.droppedBytes ?? 0 }
}

const ALL = ['1:1:one', '2:1:two', '3:1:three', '4:1:four']

describe('the end of the last segment after a crash', () => {
  it('cut at every byte of the last frame drops that frame alone, and says how much', async () => {
    const made = await segment(false)
    const [, , last, end] = made.at as [number, number, number, number]
    for (let length = last; length < end; length += 1) {
      expect(await outcome(made, made.bytes.slice(0, length))).toEqual({
        lines: ALL.slice(0, 3),
        dropped: length - last,
      })
    }
    expect(await outcome(made, made.bytes)).toEqual({ lines: ALL, dropped: 0 })
  })

  it('in zeros, of any length, is what was written ahead: nothing is lost with it', async () => {
    const made = await segment(false)
    for (const zeros of [1, 3, 35, 36, 37, 100, 4096]) {
      const bytes = new Uint8Array(made.bytes.length + zeros)
      bytes.set(made.bytes)
      expect(await outcome(made, bytes)).toEqual({ lines: ALL, dropped: 0 })
    }
  })

  it('cut at every byte of the last frame, with zeros behind it that were written ahead, drops that frame alone', async () => {
    const made = await segment(false)
    const [, , last, end] = made.at as [number, number, number, number]
    for (let length = last; length < end; length += 1) {
      const bytes = new Uint8Array(end + 300)
      bytes.set(made.bytes.subarray(0, length))
      const dropped = length === last ? 0 : bytes.length - last
      // A tag may end in zeros by itself.
      if (made.bytes.subarray(length, end).every((byte) => byte === 0)) continue
      expect(await outcome(made, bytes), `${length} bytes`).toEqual({ lines: ALL.slice(0, 3), dropped })
    }
  })

  it('in zeros, with anything but zeros behind a broken frame or more of them than a frame has, is refused', async () => {
    const made = await segment(false)
    const last = made.at[2]!
    const bytes = new Uint8Array(made.bytes.length + 300)
    bytes.set(made.bytes)
    bytes[last + 40]! ^= 1
    expect(await outcome(made, bytes)).toEqual({ lines: ALL.slice(0, 3), dropped: bytes.length - last })
    bytes[bytes.length - 1] = 1
    expect(await outcome(made, bytes)).toEqual({ code: 'RECORD_NOT_AUTHENTIC' })
  })

  it('in zeros where an earlier frame was, with the later ones behind, is refused', async () => {
    const made = await segment(false)
    for (const nth of [0, 1]) {
      const bytes = made.bytes.slice()
      bytes.fill(0, made.at[nth], made.at[nth + 1])
      expect(await outcome(made, bytes)).toEqual({ code: 'RECORD_NOT_AUTHENTIC' })
    }
  })

  it('with the head of a frame and nothing of its body is dropped', async () => {
    const made = await segment(false)
    const [, , last, end] = made.at as [number, number, number, number]
    const bytes = made.bytes.slice()
    bytes.fill(0, last + 36, end)
    expect(await outcome(made, bytes)).toEqual({ lines: ALL.slice(0, 3), dropped: end - last })
  })

  it('with the body of a frame and nothing of its head is dropped', async () => {
    const made = await segment(false)
    const [, , last, end] = made.at as [number, number, number, number]
    const bytes = made.bytes.slice()
    bytes.fill(0, last, last + 36)
    expect(await outcome(made, bytes)).toEqual({ lines: ALL.slice(0, 3), dropped: end - last })
  })

  it('with more bytes than one frame can have is refused', async () => {
    const made = await segment(false)
    const bytes = new Uint8Array(made.bytes.length + 17 * 1024 * 1024)
    bytes.set(made.bytes)
    expect(await outcome(made, bytes)).toEqual({ code: 'RECORD_NOT_AUTHENTIC' })
  })

  it('with garbage behind a broken frame is refused: a crash leaves one frame at most', async () => {
    const made = await segment(false)
    const bytes = new Uint8Array(made.bytes.length + 10).fill(9)
    bytes.set(made.bytes)
    bytes[made.at[2]! + 40]! ^= 1
    expect(await outcome(made, bytes)).toEqual({ code: 'RECORD_NOT_AUTHENTIC' })
  })
})

describe('a flipped bit', () => {
  it('anywhere after a crash is refused, or costs the last frame at most', async () => {
    const made = await segment(false)
    const last = made.at[2]!
    for (let at = 0; at < made.bytes.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const bytes = made.bytes.slice()
        bytes[at]! ^= 1 << bit
        const result = await outcome(made, bytes, { goOn: false })
        if (at < last) expect(result.code, `byte ${at} bit ${bit}`).toMatch(/^RECORD_|^LOG_FOREIGN$/)
        else
          expect(result, `byte ${at} bit ${bit}`).toEqual({ lines: ALL.slice(0, 3), dropped: made.bytes.length - last })
      }
    }
  })

  it('anywhere before the end mark of a closed segment is refused', async () => {
    const made = await segment(true)
    const end = made.at[3]!
    expect(made.bytes.length).toBe(end + FRAME_OVERHEAD)
    for (let at = 0; at < end; at += 1) {
      const bytes = made.bytes.slice()
      bytes[at]! ^= 0x10
      expect((await outcome(made, bytes)).code, `byte ${at}`).toMatch(/^RECORD_|^LOG_FOREIGN$/)
    }
    for (let at = end; at < made.bytes.length; at += 1) {
      const bytes = made.bytes.slice()
      bytes[at]! ^= 0x10
      expect(await outcome(made, bytes)).toEqual({ lines: ALL, dropped: FRAME_OVERHEAD })
    }
  })

  it('says the file and the frame', async () => {
    const made = await segment(false)
    const bytes = made.bytes.slice()
    bytes[made.at[1]! + 40]! ^= 1
    await expect(openOn(copyOf(made, bytes))).rejects.toMatchObject({ place: { file: FIRST, offset: made.at[1] } })
  })
})

describe('a segment that is not the last', () => {
  it('has nothing behind its frames, not even zeros', async () => {
    const disk = crashDisk({ stepBytes: 4096 })
    const log = await createOn(disk, { segmentBytes: 150 })
    const size = (name: string): number => disk.contents.get(name)!.bytes.length
    await log.append([utf8('one')])
    const filled = size(FIRST)
    expect(filled).toBeGreaterThan(4096)
    await log.append([utf8('two')])
    expect(size(FIRST)).toBeLessThan(400)
    await log.append([utf8('three')])
    await log.close()
    for (const zeros of [1, 40, 4096]) {
      const copy = crashDisk({ names: disk.contents, ring: disk.ring() })
      const { bytes } = disk.contents.get(FIRST)!
      const longer = new Uint8Array(bytes.length + zeros)
      longer.set(bytes)
      copy.put(FIRST, longer)
      await expect(openOn(copy), `${zeros} zeros`).rejects.toThrowCode(
        zeros < 40 ? 'RECORD_TRUNCATED' : 'RECORD_NOT_AUTHENTIC',
      )
    }
  })

  it('must be whole: cut at any byte it is refused, on opening or on reading', async () => {
    const disk = crashDisk()
    const log = await createOn(disk, { segmentBytes: 1 })
    for (const each of ['one', 'two', 'three']) await log.append([utf8(each)])
    await log.close()
    const second = '00000000000000000002.log'
    const bytes = disk.contents.get(second)!.bytes
    const header = new DataView(bytes.buffer, bytes.byteOffset).getUint16(6)
    for (let length = 0; length < bytes.length; length += 1) {
      const copy = crashDisk({ names: disk.contents, ring: disk.ring() })
      copy.put(second, bytes.slice(0, length))
      // With its header alone it is sound in itself, but not what the next segment goes on from.
      const code = length === header ? 'RECORD_NOT_AUTHENTIC' : 'RECORD_TRUNCATED'
      await expect(openOn(copy), `${length} bytes`).rejects.toThrowCode(code)
    }
  })
})
