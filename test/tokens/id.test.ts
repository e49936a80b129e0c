import { createId, parseId } from '@leastwise/tokens'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { engineVectors, fromHex, idVectors } from './vectors.ts'

describe('createId', () => {
  it.each(idVectors)('gives $id', ({ randomHex, id }) => {
    expect(createId({ bytes: () => fromHex(randomHex) })).toBe(id)
  })

  it('draws 17 bytes, once', () => {
    const random = seededRandom(5)
    createId(random)
    expect(random.draws.map((draw) => draw.length)).toEqual([17])
  })

  it('refuses a random source that gives too little', () => {
    expect(() => createId({ bytes: () => new Uint8Array(16) })).toThrow(RangeError)
  })
})

describe('parseId', () => {
  it('reads the ids of Docker engines', () => {
    for (const { clusterId, nodeId } of engineVectors) {
      expect(parseId(clusterId)).toBe(clusterId)
      if (nodeId !== undefined) expect(parseId(nodeId)).toBe(nodeId)
    }
  })

  const good = idVectors[0]!.id
  it.each([
    ['nothing', ''],
    ['24 characters', good.slice(1)],
    ['26 characters', `${good}0`],
    ['upper case', good.toUpperCase()],
    ['a trailing newline', `${good}\n`],
    ['a path', `../${good.slice(3)}`],
    ['a FIPS prefix', `FIPS.${good}`],
    ['a megabyte', good.padEnd(1 << 20, '0')],
  ])('refuses %s', (_what, text) => {
    expect(() => parseId(text)).toThrowCode('ID_MALFORMED')
  })
})
