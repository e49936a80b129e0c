import {
  formatReference,
  MAX_REFERENCE_LENGTH,
  MAX_TARGET_BYTES,
  parseReference,
  type Reference,
} from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'
import vectors from '../vectors/secrets/references.json' with { type: 'json' }

describe('parseReference', () => {
  it.each(vectors.accepted)('reads $text', ({ text, canonical, ...fields }) => {
    expect(parseReference(text)).toEqual(fields)
    expect(formatReference(parseReference(text))).toBe(canonical)
  })

  it.each(vectors.refused)('refuses $text', ({ text, code }) => {
    expect(() => parseReference(text)).toThrowCode(code)
  })

  it('counts the target in bytes', () => {
    const target = 'é'.repeat(Math.floor(MAX_TARGET_BYTES / 2))
    expect(parseReference(`source=a,target=${target}x`).target).toBe(`${target}x`)
    expect(() => parseReference(`source=a,target=${target}xx`)).toThrowCode('REFERENCE_INVALID')
  })

  it('refuses half a surrogate pair', () => {
    expect(() => parseReference('source=a,target=\ud800')).toThrowCode('REFERENCE_INVALID')
  })

  it('refuses oversize before it looks closer', () => {
    expect(() => parseReference(`source=a,target=${'x'.repeat(MAX_REFERENCE_LENGTH)}`)).toThrowCode('REFERENCE_INVALID')
  })
})

describe('formatReference', () => {
  const good = parseReference('source=a')
  it.each<[string, Partial<Reference>]>([
    ['a path as target', { target: 'a/b' }],
    ['a fraction as uid', { uid: 0.5 }],
    ['a negative gid', { gid: -1 }],
    ['special bits in the mode', { mode: 0o4400 }],
    ['no number as mode', { mode: Number.NaN }],
  ])('refuses %s', (_, change) => {
    expect(() => formatReference({ ...good, ...change })).toThrowCode('REFERENCE_INVALID')
  })
})
