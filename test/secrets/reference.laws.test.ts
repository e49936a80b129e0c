import {
  formatReference,
  MAX_OWNER_ID,
  parseReference,
  parseSecretName,
  type Reference,
  SecretsError,
} from '@leastwise/secrets'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import vectors from '../vectors/secrets/references.json' with { type: 'json' }

const owner = fc.option(fc.integer({ min: 0, max: MAX_OWNER_ID }), { nil: null })
const reference: fc.Arbitrary<Reference> = fc.record({
  source: fc.stringMatching(/^[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?$/).map(parseSecretName),
  target: fc.stringMatching(/^[\w .=-]{1,60}$/).filter((text) => text !== '.' && text !== '..'),
  uid: owner,
  gid: owner,
  mode: fc.integer({ min: 0, max: 0o777 }),
})

/** Parses, or `null` for a coded refusal; anything else fails the test. */
function parsed(text: string): Reference | null {
  try {
    return parseReference(text)
  } catch (error) {
    if (!(error instanceof SecretsError)) throw error
    return null
  }
}

it('what is written reads back', () => {
  fc.assert(
    fc.property(reference, (one) => {
      expect(parseReference(formatReference(one))).toEqual(one)
    }),
  )
})

it('the parser is total, and its values have one canonical form', () => {
  const near = fc
    .array(
      fc.tuple(
        fc.constantFrom('source', 'src', 'target', 'uid', 'gid', 'mode', ''),
        fc.constantFrom('=', '==', ''),
        fc.oneof(fc.constantFrom('a', '0', '0400', '777', '1000', '..'), fc.string({ maxLength: 6 })),
      ),
    )
    .map((parts) => parts.map((part) => part.join('')).join(','))
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), near), (text) => {
      const one = parsed(text)
      if (one !== null) expect(parsed(formatReference(one))).toEqual(one)
    }),
    { numRuns: 1000 },
  )
})

it('a cut or flipped text is a value with a canonical form or a refusal', () => {
  const whole = vectors.accepted.map(({ canonical }) => canonical)
  for (const text of whole) {
    const bytes = new TextEncoder().encode(text)
    const damaged = [...bytes.keys()].flatMap((at) => [
      bytes.slice(0, at),
      ...Array.from({ length: 8 }, (_, bit) => bytes.with(at, (bytes[at] ?? 0) ^ (1 << bit))),
    ])
    for (const one of damaged) {
      const value = parsed(new TextDecoder().decode(one))
      if (value !== null) expect(parsed(formatReference(value))).toEqual(value)
    }
  }
})
