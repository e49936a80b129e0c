import { inspect } from 'node:util'
import {
  createEvictionPublisher,
  type Eviction,
  type EvictionBook,
  type EvictionIntake,
  evictionBook,
  type HeldEvictions,
  holdEvictions,
  isNodeEvicted,
  parseNodeId,
  verifyEvictionList,
} from '@leastwise/identity'
import { systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { placeOf, targetOf } from '../../packages/identity/src/eviction/eviction.ts'
import { encodeEviction } from '../../packages/identity/src/eviction/eviction-codec.ts'
import { cutIntoParts, MAX_PART_BYTES, noParts, withPart } from '../../packages/identity/src/eviction/list-parts.ts'
import { signList } from '../../packages/identity/src/eviction/signed-list.ts'
import { manualClock } from '../support/manual-clock.ts'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'
import { bookWith, ofNode, signerOf } from './eviction-support.ts'

const START = Date.UTC(2026, 10, 22)
const HOUR_MS = 3_600_000

const victim = (number: number) => parseNodeId(`v${number.toString(36).padStart(24, '0')}`)
const victims = (from: number, to: number): readonly Eviction[] =>
  Array.from({ length: to - from }, (_, index) => ofNode(victim(from + index), START))

/** Three parts. */
const MANY = 17_000
let cluster: TestCluster
let manager: TestNode
let book: EvictionBook
let pieces: readonly Uint8Array[]
beforeAll(async () => {
  cluster = await testCluster({ now: START })
  manager = await cluster.issue({ role: 'manager', lifetimeMs: 72 * HOUR_MS })
  book = bookWith(evictionBook.initial, ...victims(0, MANY))
  pieces = await listsOf(book, 0)
})

interface Publishing {
  readonly signed?: () => void
  readonly later?: EvictionBook
}

/** What a publisher gives to a peer that knows `known`. */
async function listsOf(now: EvictionBook, known: number, { signed, later }: Publishing = {}) {
  const stop = new AbortController()
  const clock = manualClock(START)
  const { signer, chain } = signerOf(manager)
  let current = now
  const publisher = createEvictionPublisher({
    clusterId: cluster.clusterId,
    readBook: () => current,
    signAs: () => by,
    clock,
    random: systemRandom,
    digest: systemDigest,
  })
  const by = {
    signer: {
      ...signer,
      sign: (data: Uint8Array) => {
        signed?.()
        return signer.sign(data)
      },
    },
    chain,
  }
  current = later ?? now
  const came: Uint8Array[] = []
  const over = (async () => {
    for await (const piece of publisher.lists(known, { signal: stop.signal })) came.push(piece)
  })()
  over.catch(() => undefined)
  // Whoever sleeps has given all that he has.
  while (clock.sleepers() === 0) await clock.advance(0)
  stop.abort()
  return came
}

interface Holding {
  readonly holder: HeldEvictions
  readonly saved: number[]
  readonly asked: () => number
}
function holding(): Holding {
  const saved: number[] = []
  let asked = 0
  const holder = holdEvictions({
    clusterId: cluster.clusterId,
    verifier: systemVerifier,
    digest: systemDigest,
    save: async (view) => {
      saved.push(view.sequence)
      await Promise.resolve()
    },
  })
  holder.follow({
    recheck: () => {
      asked += 1
    },
  })
  return { holder, saved, asked: () => asked }
}
const trust = (now = START) => ({ roots: [cluster.root], now })
const giveAll = async (intake: EvictionIntake, all: readonly Uint8Array[]) => {
  const answers = []
  for (const piece of all) answers.push(await intake.take(piece, trust()))
  return answers
}

describe('a list that is too large for one piece', () => {
  it('comes as a signed head and its parts, signed once, and acts when the last one is there', async () => {
    let signatures = 0
    const all = await listsOf(book, 0, { signed: () => (signatures += 1) })
    expect(signatures).toBe(1)
    expect(all).toHaveLength(1 + 3)
    for (const piece of all) expect(piece.length).toBeLessThanOrEqual(MAX_PART_BYTES)
    const { holder, saved, asked } = holding()
    const answers = await giveAll(holder.intake(), all)
    expect(answers.slice(0, -1)).toEqual([null, null, null])
    expect(answers.at(-1)).toBe(holder.view)
    expect(holder.view).toMatchObject({ sequence: book.sequence, set: { size: MANY } })
    expect(holder.view.set).toEqual(book.set)
    expect(saved).toEqual([book.sequence])
    expect(asked()).toBe(1)
  })

  it('may say what came since a number, and goes on with small ones behind it', async () => {
    const before = bookWith(evictionBook.initial, ofNode(victim(MANY), START))
    const later = bookWith(before, ...victims(0, MANY))
    const { holder } = holding()
    const intake = holder.intake()
    await giveAll(intake, await listsOf(before, 0))
    expect(holder.view).toMatchObject({ sequence: 1, set: { size: 1 } })
    const news = await listsOf(before, 1, { later })
    expect(news.length).toBeGreaterThan(2)
    await giveAll(intake, news)
    expect(holder.view.set).toEqual(later.set)
    const last = bookWith(later, ofNode(victim(MANY + 1), START))
    await giveAll(intake, await listsOf(later, later.sequence, { later: last }))
    expect(holder.view.set).toEqual(last.set)
    // The whole of it again changes nothing.
    await giveAll(intake, await listsOf(last, 0))
    expect(holder.view.set).toEqual(last.set)
  })

  it('that is interrupted anywhere changes nothing, asks nobody anew and is not kept', async () => {
    const { holder, saved, asked } = holding()
    await giveAll(holder.intake(), await listsOf(bookWith(evictionBook.initial, ofNode(victim(MANY), START)), 0))
    const { view } = holder
    for (let end = 1; end < pieces.length; end += 1) await giveAll(holder.intake(), pieces.slice(0, end))
    expect(holder.view).toBe(view)
    expect(saved).toEqual([1])
    expect(asked()).toBe(1)
    expect(isNodeEvicted(holder.view.set, victim(0), START)).toBe(false)
    await giveAll(holder.intake(), pieces)
    expect(holder.view.set.size).toBe(MANY + 1)
  })

  it('is refused with a part that is changed, cut, longer, missing, repeated, in another place, or of another list', async () => {
    const [head, first, second, third] = pieces as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
    const foreign = await listsOf(bookWith(evictionBook.initial, ...victims(1, MANY + 1)), 0)
    const bad: Record<string, readonly Uint8Array[]> = {
      changed: [head, first.with(100, first[100]! ^ 1)],
      cut: [head, first.subarray(0, -1)],
      longer: [head, Buffer.concat([first, Uint8Array.of(0)])],
      empty: [head, new Uint8Array(0)],
      missing: [head, first, third],
      repeated: [head, first, first],
      swapped: [head, second],
      'of another list': [head, foreign[1]!],
      'another list': [head, first, foreign[0]!],
    }
    for (const [what, wrong] of Object.entries(bad)) {
      const { holder, saved } = holding()
      const { view } = holder
      const intake = holder.intake()
      await giveAll(intake, wrong.slice(0, -1))
      const error: unknown = await intake.take(wrong.at(-1)!, trust()).catch((thrown: unknown) => thrown)
      expect({ what, error }).toMatchObject({ what, error: { name: 'IdentityError', code: 'EVICTION_LIST_MALFORMED' } })
      expect(inspect(error)).not.toContain('v0000')
      expect(holder.view).toBe(view)
      expect(saved).toEqual([])
      // What was begun is gone: nothing is taken up again in the middle.
      await expect(intake.take(second, trust())).rejects.toThrowCode('EVICTION_LIST_MALFORMED')
      await giveAll(intake, pieces)
      expect(holder.view.set.size).toBe(MANY)
    }
  })

  it('with a head that is cut at any byte or has any bit flipped is refused before a part is waited for', async () => {
    const [head] = pieces as [Uint8Array]
    const { holder } = holding()
    for (let length = 0; length < head.length; length += 1)
      await expect(holder.intake().take(head.subarray(0, length), trust())).rejects.toThrowCode(
        'EVICTION_LIST_MALFORMED',
      )
    for (let bit = 0; bit < head.length * 8; bit += 3) {
      const flipped = head.with(bit >> 3, head[bit >> 3]! ^ (1 << (bit & 7)))
      const error: unknown = await holder
        .intake()
        .take(flipped, trust())
        .catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ name: 'IdentityError' })
    }
  })

  it('is no list of one piece: who expects one is told so', async () => {
    const { holder } = holding()
    await expect(holder.take(pieces[0]!, trust())).rejects.toThrowCode('EVICTION_LIST_MALFORMED')
    const options = { ...trust(), clusterId: cluster.clusterId, verifier: systemVerifier, view: holder.view }
    await expect(verifyEvictionList(pieces[0]!, options)).rejects.toThrowCode('EVICTION_LIST_MALFORMED')
  })

  it('is proven again with its last part: what changed meanwhile counts', async () => {
    const begun = async () => {
      const { holder } = holding()
      const intake = holder.intake()
      await giveAll(intake, pieces.slice(0, -1))
      return { holder, intake, last: pieces.at(-1)! }
    }
    const late = await begun()
    await expect(late.intake.take(late.last, trust(START + 25 * HOUR_MS))).rejects.toThrowCode('EVICTION_LIST_EXPIRED')
    const overtaken = await begun()
    const newer = { ...bookWith(evictionBook.initial, ofNode(victim(1), START)), sequence: book.sequence + 1 }
    await giveAll(overtaken.holder.intake(), await listsOf(newer, 0))
    await expect(overtaken.intake.take(overtaken.last, trust())).rejects.toThrowCode('EVICTION_LIST_ROLLED_BACK')
    const other = await cluster.issue({ role: 'manager', lifetimeMs: 72 * HOUR_MS })
    const disowned = await begun()
    const list = { clusterId: cluster.clusterId, sequence: 1, base: 0, issuedAt: START, validUntil: START + HOUR_MS }
    const eviction = encodeEviction(ofNode(manager.nodeId, START))
    await disowned.holder.take(await signList(list, [eviction], signerOf(other)), trust())
    await expect(disowned.intake.take(disowned.last, trust())).rejects.toThrowCode('EVICTION_LIST_UNTRUSTED')
    expect(disowned.holder.view.set.size).toBe(1)
  })
})

describe('a manager that signs parts of another form', () => {
  const inOrder = (all: readonly Eviction[]): readonly Uint8Array[] =>
    [...all]
      .sort((a, b) => placeOf(a).bucket - placeOf(b).bucket || (targetOf(a) < targetOf(b) ? -1 : 1))
      .map(encodeEviction)
  const taken = async (parts: readonly Uint8Array[], count: number): Promise<HeldEvictions> => {
    const { holder } = holding()
    const list = { clusterId: cluster.clusterId, sequence: 1, base: 0, issuedAt: START, validUntil: START + HOUR_MS }
    const digests = parts.map((part) => systemDigest.sha256(part))
    await giveAll(holder.intake(), [await signList(list, { count, digests }, signerOf(manager)), ...parts])
    return holder
  }
  const joined = (entries: readonly Uint8Array[]): Uint8Array => Buffer.concat(entries)

  it('gets none taken: out of order, twice, not full, of another number, too few or too large', async () => {
    const good = inOrder(victims(0, 8000))
    const parts = cutIntoParts(good)
    expect((await taken(parts, good.length)).view.set.size).toBe(good.length)
    const swapped = [good[1]!, good[0]!, ...good.slice(2)]
    const twice = [good[0]!, ...good]
    const wrong: Record<string, readonly [readonly Uint8Array[], number]> = {
      'out of order': [cutIntoParts(swapped), good.length],
      twice: [cutIntoParts(twice), twice.length],
      'out of order between parts': [[...parts].reverse(), good.length],
      'not full': [[joined(good.slice(0, 100)), joined(good.slice(100, 200))], 200],
      'fewer than it says': [parts, good.length + 1],
      'more than it says': [parts, good.length - 1],
      'far more than it says': [parts, 2],
      'one part': [parts.slice(0, 1), 100],
      'no part': [[], 0],
      'more than there can be': [parts, 2 ** 20 + 1],
      'too large': [[Buffer.concat(good.slice(0, -1)), good.at(-1)!], good.length],
    }
    for (const [what, [made, count]] of Object.entries(wrong)) {
      const error: unknown = await taken(made, count).catch((thrown: unknown) => thrown)
      expect({ what, error }).toMatchObject({ what, error: { code: 'EVICTION_LIST_MALFORMED' } })
    }
  })

  it('costs a peer no more than the entries: a part changes the places that it has something in, and no other', () => {
    const all = victims(0, MANY)
    const parts = cutIntoParts(inOrder(all))
    const digests = parts.map((part) => systemDigest.sha256(part))
    let soFar = noParts
    let changed = 0
    for (const part of parts) {
      const { rows } = soFar.set.buckets
      soFar = withPart(soFar, part, { count: all.length, digests }, systemDigest)
      for (const [at, row] of soFar.set.buckets.rows.entries())
        for (const [column, bucket] of (row ?? []).entries()) if (bucket !== (rows[at]?.[column] ?? null)) changed += 1
    }
    const occupied = new Set(all.map((each) => placeOf(each).bucket)).size
    expect(changed).toBeLessThanOrEqual(occupied + parts.length - 1)
  })
})
