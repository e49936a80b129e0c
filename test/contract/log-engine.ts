import type { KeyWrapper, SealedLog } from '@leastwise/raftlog'
import { MAX_ENTRY_BYTES, MAX_FRAME_ENTRIES } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'

/** What an engine may leave out, and then refuses: the storage of one Raft node (hard state, replacing a suffix). */
export type Capability = 'raft node'

/** A place that holds one log. `reopen` is absent for an engine that keeps nothing. */
export interface LogEngine {
  readonly create: () => Promise<SealedLog>
  readonly reopen?: (wrapper?: KeyWrapper) => Promise<SealedLog>
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

async function read(log: SealedLog, from?: bigint, to?: bigint): Promise<string[]> {
  const seen: string[] = []
  const range = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
  for await (const entry of log.entries(range)) seen.push(`${entry.index}/${entry.term} ${text(entry.data)}`)
  return seen
}

/** What a {@link SealedLog} must do, whatever is behind it. */
export function logEngineContract(name: string, setUp: () => LogEngine, without: readonly Capability[] = []): void {
  const raftNode = (title: string, body: () => Promise<void>): void => {
    if (!without.includes('raft node')) it(title, body)
  }
  describe(`log engine: ${name}`, () => {
    it('begins empty', async () => {
      await using log = await setUp().create()
      expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([1n, 0n, 0n])
      expect(log.snapshotAt).toBeNull()
      expect(await log.loadSnapshot()).toBeNull()
      expect(await read(log)).toEqual([])
    })

    it('gives indices without holes from 1, and terms as asked for', async () => {
      await using log = await setUp().create()
      expect(await log.append([utf8('a'), utf8('b')])).toEqual({ first: 1n, last: 2n })
      expect(await log.append([utf8('')], { term: 4n })).toEqual({ first: 3n, last: 3n })
      expect(await log.append([utf8('d')])).toEqual({ first: 4n, last: 4n })
      expect(await read(log)).toEqual(['1/1 a', '2/1 b', '3/4 ', '4/4 d'])
      expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([1n, 4n, 4n])
    })

    it('reads a range with both of its ends', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b', 'c', 'd'].map(utf8))
      expect(await read(log, 2n, 3n)).toEqual(['2/1 b', '3/1 c'])
      expect(await read(log, 4n, 99n)).toEqual(['4/1 d'])
      expect(await read(log, 5n)).toEqual([])
      expect(await read(log, 3n, 2n)).toEqual([])
    })

    it('keeps the order of appends that do not wait for each other', async () => {
      await using log = await setUp().create()
      const all = await Promise.all(Array.from({ length: 500 }, (_, nth) => log.append([utf8(`entry ${nth}`)])))
      expect(all.map(({ first }) => first)).toEqual(Array.from({ length: 500 }, (_, nth) => BigInt(nth + 1)))
      expect((await read(log)).map((line) => line.split(' ')[2])).toEqual(all.map((_, nth) => String(nth)))
    })

    it('takes a copy at once, and gives bytes that are not its own', async () => {
      await using log = await setUp().create()
      const data = utf8('before')
      const appended = log.append([data])
      data.fill(0x78)
      await appended
      for await (const entry of log.entries()) entry.data.fill(0x79)
      expect(await read(log)).toEqual(['1/1 before'])
      const snapshot = { index: 1n, term: 1n, data: utf8('state') }
      await log.saveSnapshot(snapshot)
      ;(await log.loadSnapshot())!.data.fill(0x79)
      expect(text((await log.loadSnapshot())!.data)).toBe('state')
    })

    it('refuses what it cannot hold, and changes nothing', async () => {
      await using log = await setUp().create()
      await expect(log.append([])).rejects.toThrow(RangeError)
      const many = Array.from({ length: MAX_FRAME_ENTRIES + 1 }, () => utf8(''))
      await expect(log.append(many)).rejects.toThrow(RangeError)
      await expect(log.append(['text' as unknown as Uint8Array])).rejects.toThrow(TypeError)
      await expect(log.append([new Uint8Array(MAX_ENTRY_BYTES), utf8('x')])).rejects.toThrowCode('ENTRY_TOO_LARGE')
      await expect(log.append([utf8('a')], { term: 0n })).rejects.toThrow(RangeError)
      await log.append([utf8('a')], { term: 3n })
      await expect(log.append([utf8('b')], { term: 2n })).rejects.toThrow(RangeError)
      expect(await read(log)).toEqual(['1/3 a'])
    })

    it('refuses an append whose signal is aborted, with the reason itself', async () => {
      await using log = await setUp().create()
      const reason = new Error('enough')
      await expect(log.append([utf8('a')], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
      expect(log.lastIndex).toBe(0n)
    })

    it('stops a replay when its signal is aborted', async () => {
      await using log = await setUp().create()
      for (const each of ['a', 'b', 'c']) await log.append([utf8(each)])
      const control = new AbortController()
      const reason = new Error('enough')
      const seen: bigint[] = []
      const reading = (async () => {
        for await (const { index } of log.entries({ signal: control.signal })) {
          seen.push(index)
          control.abort(reason)
        }
      })()
      await expect(reading).rejects.toBe(reason)
      expect(seen).toEqual([1n])
    })

    it('gives a replay what was durable when it began', async () => {
      await using log = await setUp().create()
      await log.append([utf8('a'), utf8('b')])
      const seen: bigint[] = []
      for await (const { index } of log.entries()) {
        seen.push(index)
        await log.append([utf8('more')])
      }
      expect(seen).toEqual([1n, 2n])
      expect(log.lastIndex).toBe(4n)
    })

    it('keeps the newest snapshot, of any size', async () => {
      await using log = await setUp().create()
      await log.append([utf8('a'), utf8('b'), utf8('c')])
      await log.saveSnapshot({ index: 1n, term: 1n, data: new Uint8Array(0) })
      expect(await log.loadSnapshot()).toEqual({ index: 1n, term: 1n, data: new Uint8Array(0) })
      const data = new Uint8Array(3 * 1024 * 1024 + 1).map((_, at) => at % 251)
      await log.saveSnapshot({ index: 2n, term: 1n, data })
      expect(log.snapshotAt).toEqual({ index: 2n, term: 1n })
      expect(Buffer.compare((await log.loadSnapshot())!.data, data)).toBe(0)
      await log.saveSnapshot({ index: 2n, term: 1n, data: utf8('again') })
      expect(text((await log.loadSnapshot())!.data)).toBe('again')
    })

    it('refuses a snapshot of what is not in the log, or behind the newest', async () => {
      await using log = await setUp().create()
      const at = (index: bigint, term: bigint) => ({ index, term, data: utf8('s') })
      await expect(log.saveSnapshot(at(0n, 1n))).rejects.toThrow(RangeError)
      await expect(log.saveSnapshot(at(1n, 1n))).rejects.toThrow(RangeError)
      await log.append([utf8('a'), utf8('b')])
      await expect(log.saveSnapshot(at(2n, 2n))).rejects.toThrow(RangeError)
      await log.saveSnapshot(at(2n, 1n))
      await expect(log.saveSnapshot(at(1n, 1n))).rejects.toThrow(RangeError)
      expect(log.snapshotAt).toEqual({ index: 2n, term: 1n })
    })

    it('compacts what the snapshot covers, and only that', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b', 'c'].map(utf8))
      await expect(log.compact(1n)).rejects.toThrow(RangeError)
      await log.saveSnapshot({ index: 3n, term: 1n, data: utf8('abc') })
      await expect(log.compact(4n)).rejects.toThrow(RangeError)
      await log.compact(3n)
      expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([4n, 3n, 1n])
      expect(() => log.entries({ from: 3n })).toThrowCode('LOG_GAP')
      await log.append([utf8('d')])
      expect(await read(log)).toEqual(['4/1 d'])
    })

    it('rotates its key while appends go on', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b'].map(utf8))
      let made = 0n
      await log.rotateDek({
        snapshot: async (atLeast) => {
          await log.append([utf8('meanwhile')])
          made = log.lastIndex
          expect(made).toBeGreaterThan(atLeast)
          return { index: made, term: 1n, data: utf8('state') }
        },
      })
      expect(log.rotating).toBe(false)
      expect(log.snapshotAt?.index).toBe(made)
      await log.append([utf8('after')])
      expect(await read(log, made + 1n)).toEqual(['4/1 after'])
    })

    it('refuses a snapshot that reaches less far than the rotation needs', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b'].map(utf8))
      const short = log.rotateDek({ snapshot: () => ({ index: 1n, term: 1n, data: utf8('a') }) })
      await expect(short).rejects.toThrow(RangeError)
      expect(await read(log)).toEqual(['1/1 a', '2/1 b'])
      await log.append([utf8('c')])
      await log.rotateDek({ snapshot: (index) => ({ index, term: 1n, data: utf8('abc') }) })
      expect(log.rotating).toBe(false)
    })

    it('rotates an empty log without asking for a snapshot', async () => {
      await using log = await setUp().create()
      await log.rotateDek({ snapshot: () => Promise.reject(new Error('must not be asked')) })
      await log.append([utf8('a')])
      expect(await read(log)).toEqual(['1/1 a'])
    })

    raftNode('replaces a suffix by entries that begin where it began', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b', 'c', 'd'].map(utf8))
      expect(await log.append([utf8('C')], { term: 2n, at: 3n })).toEqual({ first: 3n, last: 3n })
      expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([1n, 3n, 2n])
      expect(await read(log)).toEqual(['1/1 a', '2/1 b', '3/2 C'])
      expect(await read(log, 2n, 3n)).toEqual(['2/1 b', '3/2 C'])
      expect(await log.append([utf8('D')])).toEqual({ first: 4n, last: 4n })
      expect(await log.append([utf8('A')], { term: 9n, at: 1n })).toEqual({ first: 1n, last: 1n })
      expect(await read(log)).toEqual(['1/9 A'])
      await expect(log.append([utf8('x')], { at: 3n })).rejects.toThrow(RangeError)
      await expect(log.append([utf8('x')], { at: 0n })).rejects.toThrow(RangeError)
      await expect(log.append([utf8('x')], { at: 1 as unknown as bigint })).rejects.toThrow(TypeError)
    })

    raftNode('keeps the order of appends and replacements that do not wait for each other', async () => {
      await using log = await setUp().create()
      const ranges = await Promise.all([
        log.append(['a', 'b', 'c'].map(utf8)),
        log.append([utf8('B')], { at: 2n }),
        log.append([utf8('C')]),
        log.append([utf8('Q'), utf8('R')], { at: 3n }),
        log.append([utf8('D')]),
      ])
      expect(ranges.map(({ first, last }) => `${first}-${last}`)).toEqual(['1-3', '2-2', '3-3', '3-4', '5-5'])
      expect(await read(log)).toEqual(['1/1 a', '2/1 B', '3/1 Q', '4/1 R', '5/1 D'])
    })

    raftNode('gives a replay the old entries or the new ones, never both', async () => {
      await using log = await setUp().create()
      for (const each of ['a', 'b', 'c', 'd']) await log.append([utf8(each)])
      const seen: string[] = []
      for await (const { index, data } of log.entries()) {
        seen.push(text(data))
        if (index === 2n) await log.append(['C', 'D', 'E'].map(utf8), { term: 2n, at: 3n })
      }
      expect(seen).toEqual(['a', 'b', 'c', 'd'])
      expect(await read(log, 2n)).toEqual(['2/1 b', '3/2 C', '4/2 D', '5/2 E'])
    })

    raftNode('never replaces what a snapshot covers or what is committed', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b', 'c', 'd'].map(utf8))
      const saving = log.saveSnapshot({ index: 2n, term: 1n, data: utf8('ab') })
      // Also while the snapshot is on its way: it was asked for first.
      await Promise.resolve()
      await saving
      await expect(log.append([utf8('B')], { at: 2n })).rejects.toThrow(RangeError)
      await log.saveState({ term: 1n, vote: null, commit: 3n })
      await expect(log.append([utf8('C')], { at: 3n })).rejects.toThrow(RangeError)
      await log.append([utf8('D')], { at: 4n })
      expect(await read(log, 3n)).toEqual(['3/1 c', '4/1 D'])
    })

    it('looks up entries and terms', async () => {
      await using log = await setUp().create()
      expect([await log.termAt(0n), await log.termAt(1n), await log.entry(1n)]).toEqual([0n, null, null])
      await log.append(['a', 'b'].map(utf8))
      await log.append([utf8('c')], { term: 4n })
      expect([await log.termAt(2n), await log.termAt(3n), await log.termAt(4n)]).toEqual([1n, 4n, null])
      expect(await log.entry(2n)).toEqual({ index: 2n, term: 1n, data: utf8('b') })
      expect(await log.entry(4n)).toBeNull()
      await expect(log.entry(0n)).rejects.toThrowCode('LOG_GAP')
      await expect(log.entry('1' as unknown as bigint)).rejects.toThrow(TypeError)
      await expect(log.termAt(1 as unknown as bigint)).rejects.toThrow(TypeError)
      await log.saveSnapshot({ index: 3n, term: 4n, data: utf8('abc') })
      await log.compact(3n)
      expect([await log.termAt(3n), await log.termAt(4n)]).toEqual([4n, null])
      await expect(log.termAt(2n)).rejects.toThrowCode('LOG_GAP')
      await expect(log.entry(3n)).rejects.toThrowCode('LOG_GAP')
    })

    raftNode('keeps a hard state, alone and with entries', async () => {
      await using log = await setUp().create()
      expect(log.state).toBeNull()
      await log.saveState({ term: 3n, vote: 'node-2', commit: 0n })
      expect(log.state).toEqual({ term: 3n, vote: 'node-2', commit: 0n })
      expect([log.lastIndex, log.lastTerm]).toEqual([0n, 0n])
      await log.append([utf8('a')], { term: 3n, state: { term: 4n, vote: null, commit: 1n } })
      expect(log.state).toEqual({ term: 4n, vote: null, commit: 1n })
      const waiting = [log.append([utf8('b')]), log.saveState({ term: 4n, vote: 'node-1', commit: 2n })]
      await Promise.all([...waiting, log.append([utf8('c')])])
      expect(log.state).toEqual({ term: 4n, vote: 'node-1', commit: 2n })
      expect(await read(log)).toEqual(['1/3 a', '2/3 b', '3/3 c'])
    })

    raftNode('refuses a hard state that takes something back', async () => {
      await using log = await setUp().create()
      await log.append([utf8('a')])
      const state = { term: 2n, vote: 'node-1', commit: 1n }
      await log.saveState(state)
      for (const wrong of [{ term: 1n }, { vote: 'node-2' }, { vote: null }, { commit: 0n }, { commit: 2n }]) {
        await expect(log.saveState({ ...state, ...wrong }), Object.keys(wrong)[0]).rejects.toThrow(RangeError)
      }
      for (const vote of ['', 'two words', 'x'.repeat(65), 'é']) {
        await expect(log.saveState({ term: 3n, vote, commit: 1n })).rejects.toThrow(RangeError)
      }
      await expect(log.saveState({ ...state, term: 3 as unknown as bigint })).rejects.toThrow(TypeError)
      const wrong = { ...state, commit: 3n }
      await expect(log.append([utf8('b')], { state: wrong })).rejects.toThrow(RangeError)
      expect(log.state).toEqual(state)
      expect(log.lastIndex).toBe(1n)
    })

    raftNode('takes a snapshot from elsewhere in the place of everything', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b'].map(utf8))
      await log.saveState({ term: 1n, vote: 'node-1', commit: 1n })
      await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('a') })
      await log.installSnapshot({ index: 7n, term: 5n, data: utf8('seven') })
      expect([log.firstIndex, log.lastIndex, log.lastTerm]).toEqual([8n, 7n, 5n])
      expect(log.snapshotAt).toEqual({ index: 7n, term: 5n })
      expect(text((await log.loadSnapshot())!.data)).toBe('seven')
      expect(await read(log)).toEqual([])
      expect(log.state).toEqual({ term: 1n, vote: 'node-1', commit: 1n })
      expect([await log.termAt(7n), await log.termAt(8n)]).toEqual([5n, null])
      await expect(log.termAt(6n)).rejects.toThrowCode('LOG_GAP')
      await expect(log.installSnapshot({ index: 7n, term: 5n, data: utf8('x') })).rejects.toThrow(RangeError)
      await expect(log.append([utf8('x')], { term: 4n })).rejects.toThrow(RangeError)
      await log.append([utf8('h')])
      await log.saveState({ term: 5n, vote: null, commit: 8n })
      expect(await read(log)).toEqual(['8/5 h'])
      await log.rotateDek({ snapshot: (index) => ({ index, term: 5n, data: utf8('eight') }) })
      expect(log.state).toEqual({ term: 5n, vote: null, commit: 8n })
      expect(log.lastIndex).toBe(8n)
    })

    it('takes appends again that come while a snapshot is being installed', async () => {
      await using log = await setUp().create()
      await log.append([utf8('a')])
      const installing = log.installSnapshot({ index: 5n, term: 2n, data: utf8('five') })
      await new Promise<void>((resolve) => setImmediate(resolve))
      const data = utf8('next')
      const appended = log.append([data])
      data.fill(0x78)
      await installing
      const { first } = await appended
      expect([1n, 2n, 6n]).toContain(first)
      if (first === 6n) expect(await read(log)).toEqual(['6/2 next'])
      expect(log.lastIndex).toBeGreaterThanOrEqual(5n)
    })

    it('gives a frame at a time to whoever wants many', async () => {
      await using log = await setUp().create()
      await log.append(['a', 'b', 'c'].map(utf8))
      await log.append([utf8('d')])
      const seen: string[] = []
      for await (const batch of log.batches({ from: 2n })) {
        expect(batch.length).toBeGreaterThan(0)
        for (const { data } of batch) seen.push(text(data))
      }
      expect(seen).toEqual(['b', 'c', 'd'])
    })

    it('gives its snapshot to whoever makes the next one', async () => {
      await using log = await setUp().create()
      await log.append([utf8('a')])
      await log.saveSnapshot({ index: 1n, term: 1n, data: utf8('a') })
      await log.append([utf8('b')])
      await log.rotateDek({
        snapshot: async (index) => {
          const before = await log.loadSnapshot()
          const [line = ''] = await read(log, 2n)
          return { index, term: 1n, data: utf8(`${text(before!.data)}${line.slice(-1)}`) }
        },
      })
      expect(text((await log.loadSnapshot())!.data)).toBe('ab')
    })

    it('is closed after closing, twice if need be', async () => {
      const log = await setUp().create()
      await log.append([utf8('a')])
      await log.close()
      await log.close()
      await expect(log.append([utf8('b')])).rejects.toThrowCode('LOG_CLOSED')
      expect(() => log.entries()).toThrowCode('LOG_CLOSED')
      await expect(log.loadSnapshot()).rejects.toThrowCode('LOG_CLOSED')
      await expect(log.saveSnapshot({ index: 1n, term: 1n, data: utf8('') })).rejects.toThrowCode('LOG_CLOSED')
      await expect(log.compact(0n)).rejects.toThrowCode('LOG_CLOSED')
      await expect(log.saveState({ term: 1n, vote: null, commit: 0n })).rejects.toThrowCode('LOG_CLOSED')
      await expect(log.installSnapshot({ index: 9n, term: 1n, data: utf8('') })).rejects.toThrowCode('LOG_CLOSED')
      await expect(log.entry(1n)).rejects.toThrowCode('LOG_CLOSED')
      await expect(log.termAt(1n)).rejects.toThrowCode('LOG_CLOSED')
      expect(() => log.batches()).toThrowCode('LOG_CLOSED')
      await expect(log.rotateDek({ snapshot: () => Promise.reject(new Error('no')) })).rejects.toThrowCode('LOG_CLOSED')
    })

    it('holds what it held when it is opened again', async () => {
      const { create, reopen } = setUp()
      if (reopen === undefined) return
      const first = await create()
      await first.append(['a', 'b'].map(utf8), { term: 2n })
      await first.saveSnapshot({ index: 1n, term: 2n, data: utf8('a') })
      await first.append([utf8('c')], { term: 7n })
      await first.close()
      for (let round = 0; round < 3; round += 1) {
        await using again = await reopen()
        expect([again.firstIndex, again.lastIndex, again.lastTerm]).toEqual([1n, 3n, 7n])
        expect(again.snapshotAt).toEqual({ index: 1n, term: 2n })
        expect(await read(again)).toEqual(['1/2 a', '2/2 b', '3/7 c'])
        expect(again.repair).toBeNull()
      }
      await using last = await reopen()
      expect(last.state).toBeNull()
      await last.append([utf8('d')])
      expect(await read(last, 3n)).toEqual(['3/7 c', '4/7 d'])
    })

    raftNode('keeps a hard state that is saved while a snapshot is being installed', async () => {
      const { create, reopen } = setUp()
      const log = await create()
      await log.append(['a', 'b', 'c'].map(utf8))
      const state = { term: 4n, vote: null, commit: 2n }
      const installing = log.installSnapshot({ index: 90n, term: 4n, data: utf8('ninety') })
      await Promise.all([
        installing,
        log.saveState(state),
        log.installSnapshot({ index: 91n, term: 4n, data: utf8('') }),
      ])
      expect((await log.append([utf8('d')], { term: 4n })).first).toBe(92n)
      await log.close()
      if (reopen === undefined) return
      await using again = await reopen()
      expect([again.firstIndex, again.lastIndex, again.lastTerm]).toEqual([92n, 92n, 4n])
      expect(again.state).toEqual(state)
    })

    raftNode('holds hard state, replaced entries and an installed snapshot when it is opened again', async () => {
      const { create, reopen } = setUp()
      if (reopen === undefined) return
      const first = await create()
      await first.append(['a', 'b', 'c'].map(utf8))
      await first.append([utf8('B')], { term: 2n, at: 2n, state: { term: 2n, vote: 'node-1', commit: 1n } })
      await first.close()
      const second = await reopen()
      expect(await read(second)).toEqual(['1/1 a', '2/2 B'])
      expect([second.lastIndex, second.lastTerm, await second.termAt(2n)]).toEqual([2n, 2n, 2n])
      expect(second.state).toEqual({ term: 2n, vote: 'node-1', commit: 1n })
      await second.installSnapshot({ index: 9n, term: 3n, data: utf8('nine') })
      await second.close()
      const third = await reopen()
      expect([third.firstIndex, third.lastIndex, third.lastTerm]).toEqual([10n, 9n, 3n])
      expect(third.state).toEqual({ term: 2n, vote: 'node-1', commit: 1n })
      expect(text((await third.loadSnapshot())!.data)).toBe('nine')
      await third.append([utf8('j')])
      await third.close()
      await using last = await reopen()
      expect(await read(last)).toEqual(['10/3 j'])
      expect(last.repair).toBeNull()
    })
  })
}
