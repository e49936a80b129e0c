import {
  createDek,
  decodeFrameHead,
  decodeHeader,
  encodeFrameHead,
  encodeHeader,
  type FileHeader,
  type FrameContext,
  type FrameHead,
  openFrame,
  RaftLogError,
  sealFrame,
  verifyHeader,
} from '@leastwise/raftlog'
import { nodeCipherSuite as suite } from '@leastwise/raftlog/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isLifeOver } from '../../packages/raftlog/src/format/file-header.ts'
import {
  parseFileName,
  segmentName,
  snapshotName,
  temporaryName,
} from '../../packages/raftlog/src/format/file-names.ts'
import { decodeHardState, encodeHardState, MAX_STATE_BYTES } from '../../packages/raftlog/src/format/hard-state.ts'
import { deriveFileKey } from '../../packages/raftlog/src/keys/data-key.ts'
import { termRuns } from '../../packages/raftlog/src/term-runs.ts'
import { seededRandom } from '../support/seeded-random.ts'

const dek = createDek(seededRandom(5))
const u63 = fc.bigInt({ min: 0n, max: (1n << 63n) - 1n })
const exactly = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => new Uint8Array(bytes))
const id = fc.stringMatching(/^[\x21-\x7e]{1,64}$/)
const life = fc.integer({ min: 0, max: 0xffffff })
const fields = fc.record({
  sequence: u63,
  index: u63,
  term: u63,
  keyId: exactly(16),
  salt: exactly(32),
  previous: exactly(16),
  clusterId: id,
  logId: id,
})
/** Of both versions: a snapshot is never written over another file. */
const header: fc.Arbitrary<FileHeader> = fc.oneof(
  fc.tuple(fields, fc.constantFrom(1, 2, 3)).map(([rest, kind]) => ({ ...rest, kind, over: null }) as const),
  fc
    .tuple(fields, fc.constantFrom(1, 3), life)
    .filter(([rest, , over]) => isLifeOver(rest, over))
    .map(([rest, kind, over]) => ({ ...rest, kind, over }) as const),
)
const keyOf = (of: FileHeader) => suite.aead(deriveFileKey(dek, of, suite))

describe('a file header', () => {
  it('law: reads back what was written, proves itself, and encodes to the same bytes', () => {
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 40 }), (wanted, rest) => {
        const { bytes } = encodeHeader(wanted, keyOf(wanted), suite)
        const { tag, lengthBytes, ...read } = decodeHeader(new Uint8Array([...bytes, ...rest]), 'f', suite)
        expect(read).toEqual(wanted)
        expect(lengthBytes).toBe(bytes.length)
        verifyHeader({ ...read, tag, lengthBytes }, 'f', keyOf(read))
        expect(encodeHeader(read, keyOf(read), suite).bytes).toEqual(bytes)
      }),
    )
  })

  it('law: with any one field changed it is not authentic, even with a right checksum', () => {
    fc.assert(
      fc.property(header, header, (one, other) => {
        const { bytes } = encodeHeader(one, keyOf(one), suite)
        const read = decodeHeader(bytes, 'f', suite)
        for (const field of Object.keys(other) as (keyof FileHeader)[]) {
          const forged = { ...read, [field]: other[field] }
          if (JSON.stringify(String(other[field])) === JSON.stringify(String(one[field]))) continue
          expect(() => verifyHeader(forged, 'f', keyOf(forged)), field).toThrowCode('RECORD_NOT_AUTHENTIC')
        }
      }),
      { numRuns: 30 },
    )
  })

  it('is refused when cut at any byte', () => {
    const wanted = fc.sample(header, { seed: 1, numRuns: 1 })[0]!
    const { bytes } = encodeHeader(wanted, keyOf(wanted), suite)
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeHeader(bytes.slice(0, length), 'f', suite), `${length}`).toThrowCode('RECORD_TRUNCATED')
    }
  })

  it('over a life that cannot be told from its own, or none at all, is refused', () => {
    const [wanted] = fc.sample(fields, { seed: 1, numRuns: 1 }) as [Omit<FileHeader, 'kind' | 'over'>]
    const refused = (salt: readonly number[], over: number, kind: 1 | 2): void => {
      const forged: FileHeader = {
        ...wanted,
        salt: Uint8Array.from({ length: 32 }, (_, at) => salt[at] ?? 9),
        kind,
        over,
      }
      const { bytes } = encodeHeader(forged, keyOf(forged), suite)
      expect(() => decodeHeader(bytes, 'f', suite)).toThrowCode('RECORD_MALFORMED')
    }
    refused([1, 2, 3], 0x010203, 1)
    refused([0, 0, 0], 0x010203, 1)
    refused([1, 2, 3], 0x1000000, 1)
    refused([1, 2, 3], 5, 2)
  })

  it('of another version says so', () => {
    const wanted = fc.sample(header, { seed: 1, numRuns: 1 })[0]!
    const { bytes } = encodeHeader(wanted, keyOf(wanted), suite)
    bytes[4] = 3
    expect(() => decodeHeader(bytes, 'f', suite)).toThrowCode('RECORD_UNSUPPORTED_VERSION')
  })

  it('law: garbage is refused with a code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, marked) => {
        if (marked) bytes.set([0x4c, 0x57, 0x4c, 0x47, 1, 1].slice(0, bytes.length))
        expect(() => decodeHeader(bytes, 'f', suite)).toThrow(RaftLogError)
      }),
    )
  })
})

describe('a frame', () => {
  const context: FrameContext = { key: suite.aead(dek), headerHash: suite.sha256(dek), life: 0xabcdef }
  const other: FrameContext = { ...context, headerHash: suite.sha256(suite.sha256(dek)) }
  const found = (head: FrameHead, life = context.life) => ({ ...head, life })
  const headOf = (bodyBytes: number, index: bigint, term: bigint) => ({ type: 1, count: 1, bodyBytes, index, term })
  const whole = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts))

  it('law: opens in its place, and in no other', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat(1 << 20),
        exactly(16),
        u63,
        u63,
        (body, number, previous, index, term) => {
          const place = { number, previous }
          const sealed = sealFrame(context, place, headOf(body.length, index, term), body, suite)
          const bytes = whole(sealed.parts)
          expect(bytes.length).toBe(sealed.lengthBytes)
          expect(openFrame(context, place, bytes)).toEqual(new Uint8Array(body))
          expect(decodeFrameHead(bytes, suite)).toEqual(found(headOf(body.length, index, term)))
          expect(openFrame(context, { ...place, number: number + 1 }, bytes)).toBeNull()
          expect(openFrame(context, { ...place, previous: previous.map((byte) => byte ^ 1) }, bytes)).toBeNull()
          expect(openFrame(other, place, bytes)).toBeNull()
        },
      ),
    )
  })

  it('law: with a head that says something else it does not open', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 50 }),
        u63,
        u63,
        fc.constantFrom('type', 'count', 'index', 'term', 'life'),
        (body, index, term, field) => {
          const place = { number: 0, previous: new Uint8Array(16) }
          const head = headOf(body.length, index, term)
          const bytes = whole(sealFrame(context, place, head, body, suite).parts)
          const said = found(head)
          const forged = {
            ...said,
            ...(field === 'index' || field === 'term' ? { [field]: said[field] ^ 1n } : { [field]: said[field] + 1 }),
          }
          bytes.set(encodeFrameHead(forged, place.previous, suite))
          expect(decodeFrameHead(bytes, suite)).toEqual(forged)
          expect(openFrame(context, place, bytes)).toBeNull()
        },
      ),
    )
  })

  it('head with any bit flipped is no head', () => {
    const previous = new Uint8Array(16).fill(0xa5)
    const head = encodeFrameHead(found(headOf(7, 3n, 2n)), previous, suite)
    for (let at = 0; at < head.length * 8; at += 1) {
      const flipped = head.slice()
      flipped[at >> 3]! ^= 1 << (at & 7)
      expect(decodeFrameHead(flipped, suite)).toBeNull()
    }
    expect(decodeFrameHead(encodeFrameHead(found(headOf(0xffffffff, 3n, 2n)), previous, suite), suite)).toBeNull()
  })
})

describe('a file name', () => {
  it('law: reads back, and sorts as its number', () => {
    fc.assert(
      fc.property(u63, u63, (one, other) => {
        expect(parseFileName(segmentName(one))).toEqual({ kind: 'segment', number: one })
        expect(parseFileName(snapshotName(one))).toEqual({ kind: 'snapshot', number: one })
        expect(parseFileName(temporaryName(segmentName(one)))).toEqual({ kind: 'temporary' })
        expect(segmentName(one) < segmentName(other)).toBe(one < other)
      }),
    )
  })

  it('of anything else is not ours', () => {
    for (const name of ['LOCK', '1.log', 'x.tmp', `${segmentName(1n)}x`, '99999999999999999999.log', '']) {
      expect(parseFileName(name)).toBeNull()
    }
  })
})

describe('a hard state', () => {
  const state = fc.record({ term: u63, vote: fc.option(id), commit: u63 })

  it('law: reads back, and is nothing when cut, longer or in other characters', () => {
    fc.assert(
      fc.property(state, (wanted) => {
        const bytes = encodeHardState(wanted)
        expect(bytes.length).toBeLessThanOrEqual(MAX_STATE_BYTES)
        expect(decodeHardState(bytes)).toEqual(wanted)
        for (let length = 0; length < bytes.length; length += 1) {
          expect(decodeHardState(bytes.subarray(0, length))).toBeNull()
        }
        expect(decodeHardState(new Uint8Array([...bytes, 0x61]))).toBeNull()
        if (wanted.vote === null) return
        bytes[bytes.length - 1] = 0x20
        expect(decodeHardState(bytes)).toBeNull()
      }),
    )
  })

  it('law: bytes that read as one are the bytes that it is written as', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 17, maxLength: 90 }), (bytes) => {
        bytes[16] = bytes.length - 17
        const read = decodeHardState(bytes)
        if (read !== null) expect(encodeHardState(read)).toEqual(new Uint8Array(bytes))
      }),
    )
  })
})

describe('terms by index', () => {
  it('law: are those of a list of all of them', () => {
    const put = fc.record({ back: fc.nat(6), raise: fc.nat(2), count: fc.integer({ min: 1, max: 5 }) })
    fc.assert(
      fc.property(fc.array(put, { maxLength: 20 }), (puts) => {
        const terms = termRuns({ index: 10n, term: 3n })
        let list: bigint[] = []
        for (const { back, raise, count } of puts) {
          const kept = Math.max(list.length - back, 0)
          const term = (list[kept - 1] ?? 3n) + BigInt(raise)
          list = [...list.slice(0, kept), ...Array.from({ length: count }, () => term)]
          terms.put(BigInt(kept) + 11n, term, BigInt(count))
          const copy = terms.copy()
          for (const each of [terms, copy]) {
            expect(each.at(9n)).toBeNull()
            expect(each.at(10n)).toBe(3n)
            expect(list.map((_, at) => each.at(BigInt(at) + 11n))).toEqual(list)
            expect(each.at(BigInt(list.length) + 11n)).toBeNull()
            expect(each.last()).toEqual({ index: BigInt(list.length) + 10n, term: list.at(-1) })
          }
        }
        terms.reset({ index: 50n, term: 9n })
        expect([terms.at(49n), terms.at(50n), terms.last()]).toEqual([null, 9n, { index: 50n, term: 9n }])
      }),
    )
  })
})
