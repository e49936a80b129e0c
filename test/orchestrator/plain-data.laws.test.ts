import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodePlain, encodePlain } from '../../examples/orchestrator/plain-data.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const TAGS = ['$bytes', '$map', '$set', '$big', '$plain'] as const

const leaf = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.boolean(),
  fc.constant(null),
  fc.integer(),
  fc.double({ noDefaultInfinity: true, noNaN: true }).filter((number) => !Object.is(number, -0)),
  fc.bigInt(),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => new Uint8Array(bytes)),
)
/** Names that a careless codec takes for its own, or that JavaScript treats specially. */
const key = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom(...TAGS, '__proto__', 'constructor', 'toJSON', '0'))
const { value: plain } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    fc.array(fc.tuple(leaf, tie('value')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.uniqueArray(leaf, { maxLength: 3 }).map((items) => new Set(items)),
  ),
}))

describe('a journal record', () => {
  it('gives back every value that went in', () => {
    fc.assert(
      fc.property(plain, (value) => {
        expect(decodePlain(encodePlain(value))).toEqual(value)
      }),
      { numRuns: 500 },
    )
  })

  it('has one form only: what can be read is written again as the same bytes', () => {
    fc.assert(
      fc.property(plain, (value) => {
        const bytes = encodePlain(value)
        expect(text(encodePlain(decodePlain(bytes)))).toBe(text(bytes))
      }),
    )
  })

  it.each([
    ['an object whose only key is a tag', { $bytes: 'AAAA' }],
    ['one with a tag among other keys', { $map: [], other: 1 }],
    ['a tag in a tag', { $plain: { $plain: { $set: [1] } } }],
    ['the name of the prototype', JSON.parse('{"__proto__":{"polluted":true}}') as unknown],
    ['bytes', new Uint8Array([0, 255, 128])],
    ['no bytes', new Uint8Array()],
    ['a view into a larger buffer', new Uint8Array([1, 2, 3, 4]).subarray(1, 3)],
    ['a map with bytes as keys', new Map([[new Uint8Array([7]), { $big: '1' }]])],
    ['an integer of eighty digits', -(10n ** 80n)],
    ['half a surrogate pair', '\ud800'],
  ])('keeps %s', (_what, value) => {
    expect(decodePlain(encodePlain(value))).toEqual(value)
  })

  it('pollutes no prototype', () => {
    decodePlain(utf8('{"__proto__":{"polluted":true}}'))
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('leaves out what is undefined, as JSON does', () => {
    expect(decodePlain(encodePlain({ a: 1, b: undefined }))).toEqual({ a: 1 })
  })

  it.each([
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['undefined', undefined],
    ['an instance of a class', new Date(0)],
    ['NaN', Number.NaN],
    ['Infinity', { deep: [Number.POSITIVE_INFINITY] }],
  ])('is refused for %s before anything is written', (_what, value) => {
    expect(() => encodePlain(value)).toThrow(TypeError)
  })
})

describe('a damaged journal record', () => {
  /** The value, or the one code that may come instead. */
  const readOrCode = (bytes: Uint8Array): unknown => {
    try {
      return decodePlain(bytes)
    } catch (error) {
      expect(error).toMatchObject({ name: 'OrchestratorError', code: 'JOURNAL_UNREADABLE' })
      return 'refused'
    }
  }

  it('is refused with one code, whatever the bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readOrCode(bytes)))
  })

  it('is refused with one code, whatever the JSON', () => {
    const tagged = fc.oneof(
      fc.jsonValue(),
      fc.tuple(fc.constantFrom(...TAGS), fc.jsonValue()).map(([tag, item]) => ({ [tag]: item })),
    )
    fc.assert(fc.property(tagged, (json) => void readOrCode(utf8(JSON.stringify(json)))))
  })

  it('is refused when it is cut at any byte', () => {
    const whole = encodePlain([{ part: 'secrets', value: new Uint8Array(20), at: 5n, seen: new Set(['a']) }])
    for (let length = 0; length < whole.length; length += 1)
      expect(readOrCode(whole.subarray(0, length)), `cut at ${length}`).toBe('refused')
  })

  it.each([
    '{"$bytes":1}',
    '{"$bytes":"no base64!"}',
    '{"$bytes":"AAB"}',
    '{"$bytes":"AAB="}',
    '{"$big":"1.5"}',
    '{"$big":""}',
    '{"$big":"007"}',
    '{"$big":"-0"}',
    '{"$map":[[1]]}',
    '{"$map":[[1,2,3]]}',
    '{"$map":{}}',
    '{"$map":[[1,2],[1,3]]}',
    '{"$set":1}',
    '{"$set":["a","a"]}',
    '{"$plain":[]}',
    '{"$plain":null}',
    '{"$plain":{"ordinary":1}}',
    '{"$map":[],"other":1}',
    '1e999',
    '{"a":1,"a":2}',
    ' 1',
    '',
  ])('is refused for %s, which is never written', (json) => {
    expect(() => decodePlain(utf8(json))).toThrowCode('JOURNAL_UNREADABLE')
  })

  it('is refused when it is nested beyond all measure', () => {
    expect(() => decodePlain(utf8('['.repeat(200_000) + ']'.repeat(200_000)))).toThrowCode('JOURNAL_UNREADABLE')
  })

  it('says nothing of what it held', () => {
    const mark = 'MARKED-VALUE-IN-THE-JOURNAL'
    for (const json of [`"${mark}`, `{"$bytes":["${mark}"]}`, `{"$big":"${mark}"}`]) {
      let said = ''
      try {
        decodePlain(utf8(json))
      } catch (error) {
        said = `${String(error)}${error instanceof Error ? String(error.cause) : ''}`
      }
      expect(said).toContain('journal record')
      expect(said).not.toContain('MARKED')
    }
  })
})
