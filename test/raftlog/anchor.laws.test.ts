import {
  type AnchorHead,
  decodeAnchorAnswer,
  decodeAnchorHead,
  decodeAnchorRequest,
  encodeAnchorAnswer,
  encodeAnchorHead,
  encodeAnchorRequest,
  MAX_ANCHOR_COUNT,
  MAX_ANCHOR_MESSAGE_BYTES,
  MAX_HEAD_BYTES,
  memoryAnchor,
} from '@leastwise/raftlog'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headAt } from '../contract/anchor.ts'
import { crashDisk } from './crash-disk.ts'
import { createOn, openOn, utf8 } from './log-support.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const id = fc.stringMatching(/^[\x21-\x7e]{1,64}$/)
const number = fc.bigInt({ min: 0n, max: MAX_ANCHOR_COUNT })
const anyHead: fc.Arbitrary<AnchorHead> = fc.record({
  clusterId: id,
  logId: id,
  epoch: fc.integer({ min: 1, max: 0xffffffff }),
  count: fc.bigInt({ min: 1n, max: MAX_ANCHOR_COUNT }),
  sequence: number,
  offset: fc.maxSafeNat(),
  index: number,
  term: number,
  tag: bytes(16),
  rings: fc.array(bytes(32), { minLength: 1, maxLength: 4 }),
})
const orNull = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value, { nil: null })

const codecs = [
  ['head', encodeAnchorHead, decodeAnchorHead, anyHead, MAX_HEAD_BYTES],
  [
    'request',
    encodeAnchorRequest,
    decodeAnchorRequest,
    fc.oneof(
      fc.record({ kind: fc.constant('read' as const), nonce: bytes(16), clusterId: id, logId: id }),
      fc.record({ kind: fc.constant('advance' as const), nonce: bytes(16), head: anyHead, after: orNull(anyHead) }),
    ),
    MAX_ANCHOR_MESSAGE_BYTES,
  ],
  [
    'answer',
    encodeAnchorAnswer,
    decodeAnchorAnswer,
    fc.record({
      kind: fc.constantFrom('kept' as const, 'conflict' as const, 'full' as const),
      nonce: bytes(16),
      stored: orNull(anyHead),
    }),
    MAX_ANCHOR_MESSAGE_BYTES,
  ],
] as unknown as readonly (readonly [
  string,
  (value: unknown) => Uint8Array,
  (bytes: Uint8Array) => unknown,
  fc.Arbitrary<unknown>,
  number,
])[]

const outcome = (decode: (bytes: Uint8Array) => unknown, encode: (value: unknown) => Uint8Array, input: Uint8Array) => {
  try {
    return encode(decode(input))
  } catch (error) {
    return (error as { code?: string }).code ?? error
  }
}

describe.each(codecs)('the form of a %s', (_name, encode, decode, any, limit) => {
  it('law: reads back what was written, within its limit', () => {
    fc.assert(
      fc.property(any, (value) => {
        const encoded = encode(value)
        expect(encoded.length).toBeLessThanOrEqual(limit)
        expect(decode(encoded)).toEqual(value)
      }),
    )
  })

  it('law: changed at any bit, it is another value in its only form, or refused with a code', () => {
    fc.assert(
      fc.property(any, fc.nat(), (value, where) => {
        const changed = encode(value).slice()
        changed[(where >> 3) % changed.length]! ^= 1 << (where & 7)
        const found = outcome(decode, encode, changed)
        if (found instanceof Uint8Array) expect(found).toEqual(changed)
        else expect(found).toMatch(/^(?:ANCHOR_MALFORMED|RECORD_UNSUPPORTED_VERSION)$/)
      }),
      { numRuns: 500 },
    )
  })

  it('law: cut anywhere, or with anything behind it, it is refused', () => {
    fc.assert(
      fc.property(any, fc.uint8Array({ minLength: 1, maxLength: 8 }), (value, more) => {
        const encoded = encode(value)
        for (let length = 0; length < encoded.length; length += 1) {
          expect(() => decode(encoded.subarray(0, length))).toThrowCode('ANCHOR_MALFORMED')
        }
        expect(() => decode(new Uint8Array([...encoded, ...more]))).toThrowCode('ANCHOR_MALFORMED')
      }),
      { numRuns: 20 },
    )
  })

  it('law: garbage is refused with a code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (garbage) => {
        expect(outcome(decode, encode, garbage)).toBe('ANCHOR_MALFORMED')
      }),
    )
  })
})

describe('heads', () => {
  it('are not written outside of their bounds', () => {
    for (const wrong of [
      { count: 0n },
      { epoch: 0 },
      { offset: -1 },
      { tag: new Uint8Array(15) },
      { rings: [] },
      { rings: [new Uint8Array(31)] },
      { logId: 'a b' },
      { index: -1n },
    ]) {
      expect(() => encodeAnchorHead(headAt(1n, wrong))).toThrow(RangeError)
    }
    const nonce = new Uint8Array(3)
    expect(() => encodeAnchorRequest({ kind: 'read', nonce, clusterId: 'c', logId: 'l' })).toThrow(RangeError)
  })
})

describe('a log and its anchor', () => {
  it('law: after any history every copy of the disk but the last is refused, and the last one is not', async () => {
    const action = fc.constantFrom('append', 'group', 'state', 'snapshot', 'compact', 'replace', 'reopen', 'rotate')
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 12 }), async (actions) => {
        const disk = crashDisk()
        const parts = { anchoring: { anchor: memoryAnchor() }, segmentBytes: 300 }
        let log = await createOn(disk, parts)
        const copy = () =>
          crashDisk({
            names: new Map([...disk.contents].map(([name, inode]) => [name, { ...inode }])),
            ring: disk.ring(),
          })
        const copies = [copy()]
        let term = 1n
        for (const one of actions) {
          const last = log.lastIndex
          const least = (log.snapshotAt?.index ?? 0n) + 1n
          const commit = (log.state?.commit ?? 0n) + 1n
          const made = { index: last, term: log.lastTerm, data: utf8('s') }
          if (one === 'append') await log.append([utf8('x'.repeat(50))])
          if (one === 'group') await Promise.all([1, 2, 3].map(async () => await log.append([utf8('y')])))
          if (one === 'state') await log.saveState({ term: (term += 1n), vote: null, commit: log.state?.commit ?? 0n })
          if (one === 'snapshot' && last >= least) await log.saveSnapshot(made)
          if (one === 'compact' && log.snapshotAt !== null) await log.compact(log.snapshotAt.index)
          if (one === 'replace' && last >= least && last >= commit) await log.append([utf8('z')], { at: last })
          if (one === 'rotate') await log.rotateDek({ snapshot: (index) => ({ ...made, index }) })
          if (one === 'reopen') {
            await log.close()
            log = await openOn(disk, parts)
          }
          copies.push(copy())
        }
        await log.append([utf8('last')])
        for (const old of copies) {
          const refused = await openOn(old, parts).catch((error: unknown) => error)
          expect(refused).toMatchObject({ code: 'ROLLED_BACK' })
        }
        await (await openOn(copy(), parts)).close()
      }),
      { numRuns: 40 },
    )
  })
})
