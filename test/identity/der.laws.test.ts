import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64, encodeBase64 } from '../../packages/identity/src/base64.ts'
import { type DerReader, enter, finish, openDer, readContent, skipAny } from '../../packages/identity/src/der/reader.ts'
import { readInteger, readOid, readSmallInteger, readTime } from '../../packages/identity/src/der/values.ts'
import {
  encodeElement,
  encodeOid,
  encodeSequence,
  encodeText,
  encodeTime,
  encodeUnsigned,
} from '../../packages/identity/src/der/writer.ts'
import { formatPem, parsePem } from '../../packages/identity/src/pem.ts'
import { codeOf } from './forge.ts'

const refusal = { code: 'CERTIFICATE_MALFORMED', document: 'sample' } as const
const reader = (...bytes: readonly number[]): DerReader => openDer(Uint8Array.from(bytes), refusal)
const refuses = (act: () => unknown): void => {
  expect(act).toThrowCode('CERTIFICATE_MALFORMED')
}

describe('elements', () => {
  it('of any size read back, with nothing left over', () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000]) {
      const content = new Uint8Array(length).fill(7)
      const whole = openDer(encodeElement(4, content), refusal)
      expect(readContent(whole, 4)).toEqual(content)
      expect(() => {
        finish(whole)
      }).not.toThrow()
    }
  })

  it('with a length that is indefinite, too long, cut off or not minimal are refused', () => {
    for (const bytes of [
      [4],
      [4, 0x80],
      [4, 0x81],
      [4, 0x81, 0x7f],
      [4, 0x82, 0, 0x80],
      [4, 0x82, 1],
      [4, 0x84, 0, 0, 0, 1],
      [4, 2, 1],
      [4, 0x81, 0x80, 1],
    ]) {
      refuses(() => readContent(reader(...bytes), 4))
    }
    refuses(() => readContent(reader(5, 0), 4))
    refuses(() => readContent(reader(), 4))
  })

  it('with a length in more bytes than it needs are refused, though all of the content is there', () => {
    const padded = (content: number, ...header: readonly number[]): number[] => [
      4,
      ...header,
      ...new Array<number>(content).fill(9),
    ]
    for (const bytes of [
      padded(1, 0x81, 1),
      padded(127, 0x81, 127),
      padded(128, 0x82, 0, 128),
      padded(255, 0x83, 0, 0, 255),
      padded(256, 0x83, 0, 1, 0),
    ]) {
      refuses(() => readContent(reader(...bytes), 4))
    }
    expect(readContent(reader(...padded(128, 0x81, 128)), 4)).toHaveLength(128)
    expect(readContent(reader(...padded(256, 0x82, 1, 0)), 4)).toHaveLength(256)
  })

  it('may not reach past the one around them', () => {
    const inner = enter(reader(0x30, 2, 4, 1, 9, 9), 0x30)
    refuses(() => readContent(inner, 4))
  })

  it('of any kind are stepped over when they are well-formed all the way down', () => {
    const nested = (depth: number): Uint8Array<ArrayBuffer> =>
      depth === 0 ? encodeSequence() : encodeSequence(nested(depth - 1))
    expect(() => {
      skipAny(openDer(nested(15), refusal))
    }).not.toThrow()
    refuses(() => {
      skipAny(openDer(nested(17), refusal))
    })
    for (const bytes of [[], [0x1f, 0], [0x3f, 0], [0, 0], [0x30, 2, 4, 1], [0x30, 1, 4]]) {
      refuses(() => {
        skipAny(reader(...bytes))
      })
    }
  })
})

describe('values', () => {
  it('integers are minimal', () => {
    for (const bytes of [
      [2, 0],
      [2, 2, 0, 0x7f],
      [2, 2, 0xff, 0x80],
    ])
      refuses(() => readInteger(reader(...bytes)))
    for (const bytes of [
      [2, 1, 0x80],
      [2, 2, 0, 0x80],
    ])
      refuses(() => readSmallInteger(reader(...bytes)))
    expect(readInteger(openDer(encodeUnsigned(Uint8Array.of(0x80)), refusal))).toEqual(Uint8Array.of(0, 0x80))
    expect(readSmallInteger(reader(2, 1, 0x7f))).toBe(127)
  })

  it('object identifiers read back', () => {
    const arcs = fc.tuple(
      fc.integer({ min: 0, max: 2 }),
      fc.integer({ min: 0, max: 39 }),
      fc.array(fc.integer({ min: 0, max: 2 ** 31 }), { maxLength: 8 }),
    )
    fc.assert(
      fc.property(arcs, ([root, branch, rest]) => {
        const dotted = [root, branch, ...rest].join('.')
        expect(readOid(openDer(encodeOid(dotted), refusal))).toBe(dotted)
      }),
    )
    expect(readOid(openDer(encodeOid('2.999.3'), refusal))).toBe('2.999.3')
    refuses(() => readOid(reader(6, 9, 0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)))
  })

  it('times read back to the second from 1950 to 9999', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(1950, 0, 1) / 1000, max: Date.UTC(9999, 11, 31, 23, 59, 59) / 1000 }),
        (second) => {
          expect(readTime(openDer(encodeTime(second * 1000 + 999), refusal))).toBe(second * 1000)
        },
      ),
    )
  })

  it('text longer than a name has is a mistake of the program', () => {
    expect(() => encodeText(0x13, 'a'.repeat(128))).toThrow(RangeError)
  })
})

describe('base64', () => {
  it('is what the platform writes, and reads back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        const text = encodeBase64(data)
        expect(Buffer.from(text).toString('latin1')).toBe(Buffer.from(data).toString('base64'))
        expect(decodeBase64(text)).toEqual(data)
      }),
    )
  })

  it('has no bits left over, no padding elsewhere, and no other alphabet', () => {
    const read = (text: string): Uint8Array | null => decodeBase64(new TextEncoder().encode(text))
    for (const bad of [
      'AB==',
      'AAB=',
      'A===',
      '====',
      'AA=A',
      '=AAA',
      'AA',
      'A-==',
      'AA_=',
      'AAA ',
      'AAAA=',
      'AQ==AQ==',
    ])
      expect(read(bad), bad).toBeNull()
    expect(read('AQ==')).toEqual(Uint8Array.of(1))
    expect(read('AAE=')).toEqual(Uint8Array.of(0, 1))
    expect(read('')).toEqual(new Uint8Array(0))
  })

  it('has one text for each content', () => {
    const ascii = fc
      .array(fc.constantFrom('A', 'B', 'Q', 'g', 'w', '+', '/', '=', '-', ' ', '\n', 'é'), { maxLength: 12 })
      .map((letters) => letters.join(''))
    fc.assert(
      fc.property(ascii, (text) => {
        const bytes = new TextEncoder().encode(text)
        const data = decodeBase64(bytes)
        if (data !== null) expect(encodeBase64(data)).toEqual(bytes)
        else expect(Buffer.from(text, 'base64').toString('base64') === text && text.length % 4 === 0).toBe(false)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('PEM', () => {
  it('reads back one or many blocks, and only as it is written', () => {
    const block = fc.uint8Array({ minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(
        fc.array(block, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.constantFrom('\n', ' ', '=', 'A', '-', '\r'),
        (blocks, at, letter) => {
          const text = blocks.map((der) => formatPem('CERTIFICATE', der)).join('')
          const bytes = new TextEncoder().encode(text)
          expect(parsePem('CERTIFICATE', bytes, refusal)).toEqual(blocks)
          const place = at % (text.length + 1)
          const changed = new TextEncoder().encode(text.slice(0, place) + letter + text.slice(place))
          // A letter more is never a block of the same content.
          let read: readonly Uint8Array[] = []
          const code = codeOf(() => {
            read = parsePem('CERTIFICATE', changed, refusal)
          })
          if (code === 'ok')
            expect(new TextEncoder().encode(read.map((der) => formatPem('CERTIFICATE', der)).join(''))).toEqual(changed)
          else expect(code).toBe('CERTIFICATE_MALFORMED')
        },
      ),
      { numRuns: 500 },
    )
  })
})
