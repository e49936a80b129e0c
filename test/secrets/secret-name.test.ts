import { MAX_SECRET_NAME_LENGTH, parseSecretName } from '@leastwise/secrets'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

describe('parseSecretName', () => {
  it.each(['a', 'Z', '0', 'db-password', 'a.b_c-9', 'a--b', 'a'.repeat(MAX_SECRET_NAME_LENGTH)])('takes %s', (name) => {
    expect(parseSecretName(name)).toBe(name)
  })

  it.each([
    '',
    '-a',
    'a-',
    '.a',
    'a.',
    '_a',
    'a_',
    'a b',
    'a/b',
    'a\n',
    'ä',
    'a\0b',
    'a'.repeat(MAX_SECRET_NAME_LENGTH + 1),
  ])('refuses %j', (name) => {
    expect(() => parseSecretName(name)).toThrowCode('SECRET_NAME_INVALID')
  })

  it('agrees with the rule written letter by letter, for any text', () => {
    const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
    const allowed = (text: string): boolean =>
      text.length >= 1 &&
      text.length <= 64 &&
      Array.from(text).every((letter) => `${letters}-_.`.includes(letter)) &&
      letters.includes(text.charAt(0)) &&
      letters.includes(text.charAt(text.length - 1))
    const near = fc.string({ unit: fc.constantFrom('a', 'Z', '5', '-', '_', '.', '/', 'é'), maxLength: 70 })
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        if (allowed(text)) expect(parseSecretName(text)).toBe(text)
        else expect(() => parseSecretName(text)).toThrowCode('SECRET_NAME_INVALID')
      }),
      { numRuns: 500 },
    )
  })
})
