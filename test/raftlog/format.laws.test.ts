import {
  createDek,
  decodeFrameHead,
  decodeHeader,
  encodeFrameHead,
  encodeHeader,
  type FileHeader,
  type FrameContext,
  openFrame,
  RaftLogError,
  sealFrame,
  verifyHeader,
} from '@leastwise/raftlog'
import { nodeCipherSuite as suite } from '@leastwise/raftlog/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { deriveFileKey } from '../../packages/raftlog/src/data-key.ts'
import { parseFileName, segmentName, snapshotName, temporaryName } from '../../packages/raftlog/src/file-names.ts'
import { seededRandom } from '../support/seeded-random.ts'

const dek = createDek(seededRandom(5))
const u63 = fc.bigInt({ min: 0n, max: (1n << 63n) - 1n })
const exactly = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => new Uint8Array(bytes))
const id = fc.stringMatching(/^[\x21-\x7e]{1,64}$/)
const header: fc.Arbitrary<FileHeader> = fc.record({
  kind: fc.constantFrom(1, 2),
  sequence: u63,
  index: u63,
  term: u63,
  keyId: exactly(16),
  salt: exactly(32),
  previous: exactly(16),
  clusterId: id,
  logId: id,
})
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

  it('of another version says so', () => {
    const wanted = fc.sample(header, { seed: 1, numRuns: 1 })[0]!
    const { bytes } = encodeHeader(wanted, keyOf(wanted), suite)
    bytes[4] = 2
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
  const context: FrameContext = { key: suite.aead(dek), headerHash: suite.sha256(dek) }
  const other: FrameContext = { key: context.key, headerHash: suite.sha256(suite.sha256(dek)) }
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
          expect(decodeFrameHead(bytes, suite)).toEqual(headOf(body.length, index, term))
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
        fc.constantFrom('type' as const, 'count' as const, 'index' as const, 'term' as const),
        (body, index, term, field) => {
          const place = { number: 0, previous: new Uint8Array(16) }
          const head = headOf(body.length, index, term)
          const bytes = whole(sealFrame(context, place, head, body, suite).parts)
          const forged = {
            ...head,
            ...(field === 'type' || field === 'count' ? { [field]: head[field] + 1 } : { [field]: head[field] ^ 1n }),
          }
          bytes.set(encodeFrameHead(forged, suite))
          expect(decodeFrameHead(bytes, suite)).toEqual(forged)
          expect(openFrame(context, place, bytes)).toBeNull()
        },
      ),
    )
  })

  it('head with any bit flipped is no head', () => {
    const head = encodeFrameHead(headOf(7, 3n, 2n), suite)
    for (let at = 0; at < head.length * 8; at += 1) {
      const flipped = head.slice()
      flipped[at >> 3]! ^= 1 << (at & 7)
      expect(decodeFrameHead(flipped, suite)).toBeNull()
    }
    expect(decodeFrameHead(encodeFrameHead(headOf(0xffffffff, 3n, 2n), suite), suite)).toBeNull()
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
