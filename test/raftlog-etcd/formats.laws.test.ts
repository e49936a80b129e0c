import { dekId, FRAME_TYPE, type RandomSource } from '@leastwise/raftlog'
import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { createMemberKey } from '@leastwise/raftlog-etcd'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeEntries, encodeEntries } from '../../packages/raftlog-etcd/src/frames/frame-body.ts'
import { decodeHead, encodeHead, type HeadRecord } from '../../packages/raftlog-etcd/src/head/head-record.ts'
import { openSealed, sealTo } from '../../packages/raftlog-etcd/src/keys/member-key.ts'
import {
  checkPin,
  dataKey,
  encodeRoster,
  openRoster,
  pinOf,
  type Roster,
  vouchFor,
} from '../../packages/raftlog-etcd/src/keys/roster.ts'
import {
  decodeValue,
  openValue,
  sealValue,
  VALUE_KIND,
  type ValueContext,
} from '../../packages/raftlog-etcd/src/keys/sealed-value.ts'
import { seededRandom } from '../support/seeded-random.ts'

const suite = nodeCipherSuite
const context: ValueContext = { clusterId: 'cluster-1', logId: 'state', suite }
const random: RandomSource = seededRandom(7)
const key = dataKey(random.bytes(32), suite)
const bytes = (max = 64) => fc.uint8Array({ minLength: 0, maxLength: max })
const tag = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((data) => new Uint8Array(data))
const u32 = fc.integer({ min: 0, max: 0xffffffff })
const u63 = fc.bigInt({ min: 0n, max: (1n << 63n) - 1n })

const open = (at: ValueContext, dek: Uint8Array, value: Uint8Array): Uint8Array | null => {
  const clear = decodeValue(value, at.suite)
  return clear === null ? null : openValue(at, dek, clear, value)
}

describe('a sealed value', () => {
  const place = { kind: VALUE_KIND.frame, sequence: 5n, previous: new Uint8Array(16).fill(3) }
  const head = { type: FRAME_TYPE.entries, count: 1, index: 9n, term: 2n }
  const sealed = () => sealValue(context, key, place, head, Uint8Array.of(1, 2, 3), random).value

  it('opens to what was sealed, in its place', () => {
    fc.assert(
      fc.property(bytes(300), u63, u63, u63, tag, (body, sequence, index, term, previous) => {
        const { value, tag: made } = sealValue(
          context,
          key,
          { kind: VALUE_KIND.chunk, sequence, previous },
          { type: FRAME_TYPE.chunk, count: 3, index, term },
          body,
          random,
        )
        const clear = decodeValue(value, suite)!
        expect(clear).toMatchObject({ kind: VALUE_KIND.chunk, sequence, keyId: key.id })
        expect(clear.head).toMatchObject({ index, term, count: 3 })
        expect(clear.previous).toEqual(previous)
        expect(clear.tag).toEqual(made)
        expect(openValue(context, key.dek, clear, value)).toEqual(new Uint8Array(body))
      }),
    )
  })

  it('opens for no other cluster, log or key', () => {
    const value = sealed()
    expect(open(context, key.dek, value)).not.toBeNull()
    expect(open({ ...context, clusterId: 'cluster-2' }, key.dek, value)).toBeNull()
    expect(open({ ...context, logId: 'other' }, key.dek, value)).toBeNull()
    expect(open({ ...context, clusterId: 'cluster-1s', logId: 'tate' }, key.dek, value)).toBeNull()
    expect(open(context, random.bytes(32), value)).toBeNull()
  })

  it('does not open with any bit changed, or cut anywhere', () => {
    const value = sealed()
    for (let bit = 0; bit < value.length * 8; bit += 1) {
      const changed = value.slice()
      changed[bit >> 3]! ^= 1 << (bit & 7)
      // A version that is not known is refused by whoever reads it; it opens to nothing either.
      expect(open(context, key.dek, changed), `bit ${bit}`).toBeNull()
    }
    for (let length = 0; length < value.length; length += 1)
      expect(decodeValue(value.slice(0, length), suite)).toBeNull()
    expect(decodeValue(Uint8Array.of(...value, 0), suite)).toBeNull()
  })

  it('has a key of its own each time, so that two for one place share no nonce', () => {
    const [one, other] = [sealed(), sealed()]
    const body = (value: Uint8Array): Uint8Array => value.subarray(value.length - 19, value.length - 16)
    expect(decodeValue(one, suite)!.salt).not.toEqual(decodeValue(other, suite)!.salt)
    expect(body(one)).not.toEqual(body(other))
  })

  it('is decoded without an exception, whatever it is', () => {
    fc.assert(
      fc.property(bytes(400), (garbage) => {
        expect(decodeValue(garbage, suite)).toBeNull()
      }),
    )
  })
})

describe('a head', () => {
  const end = fc.record({ frames: u63, index: u63, term: u63, tag })
  const hex = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((id) => Buffer.from(id).toString('hex'))
  const snapshot = fc.record({ id: hex, index: u63, term: u63, chunks: u32, bytes: u63, tag })
  const record: fc.Arbitrary<HeadRecord> = fc
    .record({ change: u63, last: end, base: end, snapshot: fc.option(snapshot) })
    .filter(({ last, base, snapshot: at }) =>
      base.index <= last.index && base.frames <= last.frames && base.term <= last.term
        ? at === null || (at.chunks > 0 && at.index <= last.index)
        : false,
    )

  it('is read as it was written, and has one form', () => {
    fc.assert(
      fc.property(record, (head) => {
        const encoded = encodeHead(head)
        expect(decodeHead(encoded)).toEqual(head)
        for (const length of [0, 1, encoded.length - 1]) expect(decodeHead(encoded.slice(0, length))).toBeNull()
        expect(decodeHead(Uint8Array.of(...encoded, 0))).toBeNull()
      }),
    )
  })

  it('is null or encodes to the same bytes, whatever it is', () => {
    fc.assert(
      fc.property(fc.constantFrom(89, 149), fc.uint8Array({ minLength: 149, maxLength: 149 }), (length, drawn) => {
        const garbage = new Uint8Array(drawn.subarray(0, length))
        const head = decodeHead(garbage)
        if (head !== null) expect(encodeHead(head)).toEqual(garbage)
      }),
    )
  })
})

describe('the body of a frame', () => {
  it('is read as it was written, and only with its own count', () => {
    fc.assert(
      fc.property(fc.array(bytes(20), { minLength: 1, maxLength: 6 }), (entries) => {
        const body = encodeEntries(entries)
        const read = decodeEntries(body, { index: 4n, term: 2n, count: entries.length })!
        expect(read.map(({ data }) => [...data])).toEqual(entries.map((data) => [...data]))
        expect(read.map(({ index }) => index)).toEqual(entries.map((_, at) => BigInt(4 + at)))
        expect(decodeEntries(body, { index: 4n, term: 2n, count: entries.length + 1 })).toBeNull()
        expect(decodeEntries(body.slice(0, -1), { index: 4n, term: 2n, count: entries.length })).toBeNull()
      }),
    )
    expect(decodeEntries(new Uint8Array(0), { index: 1n, term: 1n, count: 0 })).toBeNull()
  })
})

describe('a box for a member', () => {
  it('opens with the secret key of its receiver alone', () => {
    const [mine, other] = [createMemberKey(random), createMemberKey(random)]
    const sealed = sealTo(mine.publicKey, Uint8Array.of(1, 2, 3), random)
    expect(openSealed(mine, sealed)).toEqual(Uint8Array.of(1, 2, 3))
    expect(openSealed(other, sealed)).toBeNull()
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = sealed.slice()
      changed[at]! ^= 1
      expect(openSealed(mine, changed), `byte ${at}`).toBeNull()
      expect(openSealed(mine, sealed.slice(0, at))).toBeNull()
    }
  })
})

describe('a roster', () => {
  const [mine, other] = [createMemberKey(random), createMemberKey(random)]
  const members = [
    { id: 'm1', publicKey: mine.publicKey },
    { id: 'm2', publicKey: other.publicKey },
  ]
  const roster: Roster = { generation: 1, key, members, previous: null, vouches: [] }
  const me = { id: 'm1', key: mine }
  const encoded = encodeRoster(context, roster, random)

  it('opens for each of its members, and says the same to all', () => {
    expect(openRoster(context, encoded, me)).toEqual(roster)
    expect(openRoster(context, encoded, { id: 'm2', key: other })).toEqual(roster)
    const second = dataKey(random.bytes(32), suite)
    const next = { ...roster, generation: 2, key: second, previous: { key, upTo: 7n }, vouches: [vouchFor(key, suite)] }
    expect(openRoster(context, encodeRoster(context, next, random), me)).toEqual(next)
  })

  it('opens for nobody else', () => {
    expect(() => openRoster(context, encoded, { id: 'm3', key: mine })).toThrowCode('MEMBER_UNKNOWN')
    expect(() => openRoster(context, encoded, { id: 'm2', key: mine })).toThrowCode('MEMBER_KEY_WRONG')
    expect(() => openRoster({ ...context, clusterId: 'cluster-2' }, encoded, me)).toThrowCode('ROSTER_NOT_AUTHENTIC')
    expect(() => openRoster({ ...context, logId: 'other' }, encoded, me)).toThrowCode('ROSTER_NOT_AUTHENTIC')
  })

  it('refuses with a code when any byte is changed, or it is cut anywhere', () => {
    const codes = /^(?:ROSTER_NOT_AUTHENTIC|MEMBER_UNKNOWN|MEMBER_KEY_WRONG|RECORD_UNSUPPORTED_VERSION)$/
    const codeOf = (changed: Uint8Array): string => {
      try {
        openRoster(context, changed, me)
        return 'opened'
      } catch (error) {
        return (error as { code?: string }).code ?? String(error)
      }
    }
    for (let at = 0; at < encoded.length; at += 1) {
      const changed = encoded.slice()
      changed[at]! ^= 1 << (at & 7)
      expect(codeOf(changed), `byte ${at}`).toMatch(codes)
      expect(codeOf(encoded.slice(0, at)), `cut at ${at}`).toMatch(codes)
    }
    fc.assert(
      fc.property(bytes(300), (garbage) => {
        expect(codeOf(garbage)).toMatch(codes)
      }),
    )
  })

  it('cannot have a member added by somebody who does not hold the data key', () => {
    // He can make boxes, since public keys are public, and he can copy what stands there.
    const forger = createMemberKey(random)
    const strange = dataKey(random.bytes(32), suite)
    const forged = encodeRoster(
      context,
      { ...roster, key: strange, members: [...members, { id: 'm3', publicKey: forger.publicKey }] },
      random,
    )
    const pin = pinOf(roster, suite)
    const opened = openRoster(context, forged, me)
    expect(() => {
      checkPin(opened, pin, suite)
    }).toThrowCode('ROSTER_NOT_AUTHENTIC')
    // Under the right generation, with a vouch that he makes up.
    const later = openRoster(
      context,
      encodeRoster(context, { ...roster, generation: 2, key: strange, vouches: [random.bytes(32)] }, random),
      me,
    )
    expect(() => {
      checkPin(later, pin, suite)
    }).toThrowCode('ROSTER_NOT_AUTHENTIC')
  })

  it('is believed by a pin of its own data key, or of one that handed it down', () => {
    const second = dataKey(random.bytes(32), suite)
    const third = dataKey(random.bytes(32), suite)
    const vouches = [vouchFor(key, suite), vouchFor(second, suite)]
    const now: Roster = { ...roster, generation: 3, key: third, vouches }
    const pins = [
      pinOf(roster, suite),
      pinOf({ ...roster, generation: 2, key: second, vouches: vouches.slice(0, 1) }, suite),
      pinOf(now, suite),
    ]
    for (const pin of pins) {
      checkPin(now, pin, suite)
      expect(() => {
        checkPin(now, { ...pin, mark: 'ab'.repeat(32) }, suite)
      }).toThrowCode('ROSTER_NOT_AUTHENTIC')
    }
    expect(() => {
      checkPin(roster, pins[2]!, suite)
    }).toThrowCode('LOG_ROLLED_BACK')
  })

  it('tells nothing of the data key in a pin', () => {
    const pin = pinOf(roster, suite)
    expect(pin.mark).not.toContain(Buffer.from(key.dek).toString('hex').slice(0, 8))
    expect(pin.mark).not.toBe(Buffer.from(dekId(key.dek, suite)).toString('hex'))
  })

  it('takes 1 to 64 members', () => {
    expect(() => encodeRoster(context, { ...roster, members: [] }, random)).toThrow(RangeError)
    const many = Array.from({ length: 65 }, (_, at) => ({ id: `m${at}`, publicKey: mine.publicKey }))
    expect(() => encodeRoster(context, { ...roster, members: many }, random)).toThrow(RangeError)
  })
})
