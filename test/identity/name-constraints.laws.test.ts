import { parseCertificate } from '@leastwise/identity'
import { createNodeKey } from '@leastwise/identity/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readNameConstraints } from '../../packages/identity/src/certificate/name-constraints.ts'
import { explicit } from '../../packages/identity/src/der/tags.ts'
import { encodeElement, encodeSequence, encodeText } from '../../packages/identity/src/der/writer.ts'
import { isNamePermitted } from '../../packages/identity/src/verifying/name-constraints-match.ts'
import { CA, CN, forge, forgeName } from './forge.ts'

const NAME = forgeName([CN, 'name'])
const signer = createNodeKey()
const REFUSAL = { code: 'CERTIFICATE_MALFORMED', document: 'certificate' } as const

const read = (bytes: Uint8Array<ArrayBuffer>) => {
  const reader = { bytes, at: 0, end: bytes.length, refusal: REFUSAL }
  return { constraints: readNameConstraints(reader), at: reader.at, end: reader.end }
}

const label = fc.constantFrom('a', 'b', 'ab', 'x-y', 'A')
const name = fc.array(label, { minLength: 1, maxLength: 4 })
const encoded = (tag: number, bases: readonly (readonly string[])[]): Uint8Array =>
  encodeElement(explicit(tag), ...bases.map((base) => encodeSequence(encodeText(0x82, base.join('.')))))

const lower = (labels: readonly string[]): readonly string[] => labels.map((each) => each.toLowerCase())
/** Label by label from the end: nothing of the code under test. */
const below = (labels: readonly string[], base: readonly string[]): boolean =>
  base.length <= labels.length &&
  lower(base)
    .toReversed()
    .every((each, at) => lower(labels).at(-1 - at) === each)

describe('name constraints', () => {
  it('are read or not, whatever the bytes are, and the reader stands at their end', () => {
    const wellFormed = name.map((base) => encodeSequence(encoded(0, [base])))
    const changed = fc
      .tuple(wellFormed, fc.nat(), fc.nat({ max: 255 }))
      .map(([bytes, at, byte]) => Uint8Array.from(bytes, (old, index) => (index === at % bytes.length ? byte : old)))
    const cut = fc.tuple(wellFormed, fc.nat()).map(([bytes, at]) => Uint8Array.from(bytes.slice(0, at % bytes.length)))
    const noise = fc.uint8Array({ maxLength: 64 }).map((bytes) => Uint8Array.from(bytes))
    fc.assert(
      fc.property(fc.oneof(changed, cut, noise), (bytes) => {
        const { constraints, at, end } = read(bytes)
        expect({ at, end }).toEqual({ at: bytes.length, end: bytes.length })
        if (constraints !== null) expect(constraints.permitted.length + constraints.excluded.length).toBeGreaterThan(0)
      }),
    )
  })

  it('let DNS names pass which are below what is permitted and not below what is excluded', () => {
    const bases = fc.array(name, { maxLength: 3 })
    fc.assert(
      fc.property(name, bases, bases, (labels, permitted, excluded) => {
        fc.pre(permitted.length + excluded.length > 0)
        const parts = [
          ...(permitted.length === 0 ? [] : [encoded(0, permitted)]),
          ...(excluded.length === 0 ? [] : [encoded(1, excluded)]),
        ]
        const { constraints } = read(encodeSequence(...parts))
        if (constraints === null) throw new Error('constraints were not understood')
        const expected =
          !excluded.some((base) => below(labels, base)) &&
          (permitted.length === 0 || permitted.some((base) => below(labels, base)))
        expect(isNamePermitted({ kind: 'dns', value: labels.join('.') }, constraints)).toBe(expected)
      }),
    )
  })

  it('that are not understood never hide from who reads the certificate', async () => {
    const noise = fc.uint8Array({ maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(noise, fc.boolean(), async (raw, critical) => {
        const extension = { type: '2.5.29.30', value: raw, ...(critical ? { critical: true as const } : {}) }
        const at = { notBefore: 0, notAfter: 1000 }
        const parts = { issuer: NAME, subject: NAME, publicKey: signer.publicKey, signer, ...at }
        const certificate = parseCertificate(await forge({ ...parts, extensions: [...CA, extension] }))
        expect(certificate.nameConstraints === null).toBe(certificate.unknownCritical.includes('2.5.29.30'))
      }),
    )
  })
})
