import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  enterExtension,
  enterShortExtension,
  enterValue,
} from '../../packages/identity/src/certificate/extension-head.ts'
import { readExtensions } from '../../packages/identity/src/certificate/extensions.ts'
import { readName, skipAttribute, skipName, skipShortAttribute } from '../../packages/identity/src/certificate/name.ts'
import { type DerReader, openDer } from '../../packages/identity/src/der/reader.ts'
import {
  IA5_STRING,
  OBJECT_IDENTIFIER,
  OCTET_STRING,
  PRINTABLE_STRING,
  SEQUENCE,
  SET,
  UTF8_STRING,
} from '../../packages/identity/src/der/tags.ts'
import { encodeElement, encodeOctets, encodeOid, encodeSequence, TRUE } from '../../packages/identity/src/der/writer.ts'
import { codeOf } from './forge.ts'

// What is compared at once in its usual form must mean the same as when it is read element by element, whatever comes.

const refusal = { code: 'CERTIFICATE_MALFORMED', document: 'sample' } as const
type Bytes = Uint8Array<ArrayBuffer>

/** What a way of reading gives, and where it leaves the reader. */
const outcome = (bytes: Bytes, end: number, read: (reader: DerReader) => unknown): readonly unknown[] => {
  const reader = openDer(bytes, refusal)
  reader.end = end
  let value: unknown = null
  const code = codeOf(() => {
    value = read(reader)
  })
  return code === 'ok' ? [code, value, reader.at, reader.end] : [code]
}

/** The short way agrees with the long one or steps back; gives whether it was taken. */
function agree(
  bytes: Bytes,
  end: number,
  short: (reader: DerReader) => number,
  long: (r: DerReader) => number,
): boolean {
  const quick = outcome(bytes, end, short)
  if (quick[1] === -1) {
    expect(quick).toEqual(['ok', -1, 0, end])
    return false
  }
  expect(quick).toEqual(outcome(bytes, end, long))
  return true
}

const agreeOnAttribute = (bytes: Bytes, end = bytes.length): boolean =>
  agree(bytes, end, skipShortAttribute, skipAttribute)

const agreeOnExtension = (bytes: Bytes, end = bytes.length): boolean =>
  agree(bytes, end, enterShortExtension, (reader) => {
    const type = enterExtension(reader)
    const critical = enterValue(reader)
    if (typeof type === 'string') throw new Error('the short way took a type that is none of the standard')
    return critical ? type | 0x80 : type
  })

const utf8 = new TextEncoder()
const attribute = (type: string, tag: number, text: string): Bytes =>
  encodeElement(SET, encodeSequence(encodeOid(type), encodeElement(tag, utf8.encode(text))))
const extension = (type: string, critical: boolean, value: Uint8Array): Bytes =>
  encodeSequence(encodeOid(type), ...(critical ? [TRUE] : []), encodeOctets(value))

/** All of a head, the first bytes after it, and the last. */
const isTelling = (at: number, length: number): boolean => at < 20 || at >= length - 2

/** Every other value of every telling byte, one more or less of it, and every place at which what is around it may end. */
function* variants(usual: Bytes): Generator<readonly [Bytes, number]> {
  for (let at = 0; at < usual.length; at += 1) {
    if (!isTelling(at, usual.length)) continue
    for (let byte = 0; byte < 256; byte += 1) {
      const changed = Uint8Array.from(usual)
      changed[at] = byte
      yield [changed, changed.length]
    }
    yield [Uint8Array.of(...usual.subarray(0, at), ...usual.subarray(at + 1)), usual.length - 1]
    yield [Uint8Array.of(...usual.subarray(0, at), 0, ...usual.subarray(at)), usual.length + 1]
    yield [usual, at]
    yield [usual.slice(0, at), at]
  }
}

const followed = (bytes: Bytes): Bytes => Uint8Array.of(...bytes, ...bytes)
const HEADS = [SEQUENCE, SET, OBJECT_IDENTIFIER, OCTET_STRING, UTF8_STRING, PRINTABLE_STRING, 1, 0xff, 0x55, 0x1d, 4]
const jumble = fc
  .array(fc.oneof(fc.constantFrom(...HEADS), fc.nat(40), fc.nat(255)), { maxLength: 60 })
  .map((list) => Uint8Array.from(list))

describe('an attribute of a name', () => {
  const usual = [
    attribute('2.5.4.3', PRINTABLE_STRING, 'n'.repeat(25)),
    attribute('2.5.4.11', UTF8_STRING, 'swarm-wörker'),
    attribute('2.5.4.10', IA5_STRING, 'a@b'),
    attribute('2.5.4.3', UTF8_STRING, ''),
    attribute('2.5.4.3', PRINTABLE_STRING, 'n'.repeat(118)),
  ]
  const others = [
    attribute('2.5.4.3', PRINTABLE_STRING, 'n'.repeat(119)),
    attribute('2.5.4.3', PRINTABLE_STRING, 'n'.repeat(300)),
    attribute('0.9.2342.19200300.100.1.25', IA5_STRING, 'org'),
    attribute('2.5.4.200', UTF8_STRING, 'a'),
  ]

  it('as nodes have it is taken at once, a long one or one of another type is not', () => {
    for (const bytes of usual) expect(agreeOnAttribute(followed(bytes))).toBe(true)
    for (const bytes of others) expect(agreeOnAttribute(followed(bytes))).toBe(false)
  })

  it('means the same as element by element, whatever byte is changed, added, left out or cut off', () => {
    let taken = 0
    for (const bytes of [...usual, ...others])
      for (const [variant, end] of variants(bytes)) if (agreeOnAttribute(variant, end)) taken += 1
    expect(taken).toBeGreaterThan(1000)
  })

  it('means the same in a jumble of its parts', () => {
    fc.assert(
      fc.property(jumble, (bytes) => {
        agreeOnAttribute(bytes)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a name', () => {
  const type = fc.constantFrom(
    '2.5.4.3',
    '2.5.4.10',
    '2.5.4.11',
    '2.5.4.6',
    '2.5.4.200',
    '2.5.29.3',
    '2.999.3',
    '0.9.2342.19200300.100.1.25',
    '1.2.840.113549.1.9.1',
  )
  const ascii = fc.string({ unit: fc.constantFrom(...'azAZ09 -.='.split('')), maxLength: 140 })
  const one = fc.oneof(
    fc.record({ type, tag: fc.constantFrom(UTF8_STRING, PRINTABLE_STRING, IA5_STRING), value: ascii }),
    fc.record({ type, tag: fc.constant(UTF8_STRING), value: fc.string({ unit: 'binary', maxLength: 40 }) }),
  )

  it('of any types and texts reads back, letter by letter', () => {
    fc.assert(
      fc.property(fc.array(one, { maxLength: 5 }), fc.nat(3), (attributes, before) => {
        const der = encodeSequence(...attributes.map((each) => attribute(each.type, each.tag, each.value)))
        const bytes = Uint8Array.of(...new Array<number>(before).fill(0x30), ...der, 0x30)
        const reader = openDer(bytes, refusal)
        reader.at = before
        const name = readName(reader)
        expect(name.der).toEqual(der)
        expect(name.attributes).toEqual(attributes.map(({ type: own, value }) => ({ type: own, value })))
        expect(reader.at).toBe(before + der.length)
        reader.at = before
        expect(skipName(reader)).toBe(before)
        expect(reader.at).toBe(before + der.length)
      }),
      { numRuns: 1000 },
    )
  })

  it('of broken letters is refused, also where as many letters come out as bytes went in', () => {
    for (const text of [[0xff], [0x80], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98]]) {
      for (const tag of [UTF8_STRING, PRINTABLE_STRING, IA5_STRING]) {
        const der = encodeSequence(
          encodeElement(SET, encodeSequence(encodeOid('2.5.4.3'), encodeElement(tag, Uint8Array.from(text)))),
        )
        for (const read of [readName, skipName])
          expect(() => read(openDer(der, refusal))).toThrowCode('CERTIFICATE_MALFORMED')
      }
    }
  })
})

describe('an extension', () => {
  const usual = [
    extension('2.5.29.15', true, Uint8Array.of(3, 2, 5, 0xa0)),
    extension('2.5.29.14', false, Uint8Array.of(4, 3, 1, 2, 3)),
    extension('2.5.29.19', true, encodeSequence()),
    extension('2.5.29.99', false, new Uint8Array(0)),
    extension('2.5.29.17', false, new Uint8Array(120)),
    extension('2.5.29.17', true, new Uint8Array(117)),
  ]
  const others = [
    extension('2.5.29.17', false, new Uint8Array(121)),
    extension('2.5.29.17', true, new Uint8Array(118)),
    extension('2.5.29.17', true, new Uint8Array(300)),
    extension('1.3.6.1.5.5.7.1.1', false, encodeSequence()),
    extension('2.5.29.200', true, encodeSequence()),
  ]

  it('as nodes have it is entered at once, a long one or one of another type is not', () => {
    for (const bytes of usual) expect(agreeOnExtension(followed(bytes))).toBe(true)
    for (const bytes of others) expect(agreeOnExtension(followed(bytes))).toBe(false)
  })

  it('means the same as element by element, whatever byte is changed, added, left out or cut off', () => {
    let taken = 0
    for (const bytes of [...usual, ...others])
      for (const [variant, end] of variants(bytes)) if (agreeOnExtension(variant, end)) taken += 1
    expect(taken).toBeGreaterThan(1000)
  })

  it('means the same in a jumble of its parts', () => {
    fc.assert(
      fc.property(jumble, (bytes) => {
        agreeOnExtension(bytes)
      }),
      { numRuns: 2000 },
    )
  })

  it('with anything behind its value is refused, in both ways', () => {
    for (const type of ['2.5.29.14', '1.2.3']) {
      const more = encodeSequence(encodeOid(type), encodeOctets(Uint8Array.of(4, 1, 7)), TRUE)
      const less = encodeSequence(encodeOid(type), encodeOctets(Uint8Array.of(4, 1, 7)))
      expect(() => readExtensions(openDer(encodeSequence(more), refusal))).toThrowCode('CERTIFICATE_MALFORMED')
      expect(() => readExtensions(openDer(encodeSequence(less, less), refusal))).toThrowCode('CERTIFICATE_MALFORMED')
      expect(readExtensions(openDer(encodeSequence(less), refusal)).critical).toBe(0)
    }
  })
})
