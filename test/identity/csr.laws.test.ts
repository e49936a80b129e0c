import { type Csr, createCsr, parseCsr } from '@leastwise/identity'
import { createNodeKey, systemVerifier } from '@leastwise/identity/node'
import { toPkcs10 } from '@leastwise/identity/x509'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codeOf, derOf, OPENSSL } from './forge.ts'

const CODES = new Set(['CSR_MALFORMED', 'CSR_KEY_UNSUPPORTED', 'CSR_TOO_LARGE'])
const wish = OPENSSL.requests.accepted[3]!

const proves = (der: Uint8Array): boolean => {
  const csr = parseCsr(der)
  return systemVerifier.verify(csr, csr.signatureAlgorithm, csr.tbs, csr.signature)
}

const keyInOtherReader = (csr: Csr): Uint8Array | null => {
  try {
    return new Uint8Array(toPkcs10(csr).publicKey.rawData)
  } catch {
    return null
  }
}

describe('every request', () => {
  it('is refused when cut at any byte or continued by any', () => {
    for (const der of [derOf(wish.pem), derOf(OPENSSL.requests.accepted[2]!.pem)]) {
      for (let length = 0; length < der.length; length += 1) {
        expect(
          codeOf(() => parseCsr(der.subarray(0, length))),
          `cut at ${length}`,
        ).toBe('CSR_MALFORMED')
      }
      expect(codeOf(() => parseCsr(Uint8Array.of(...der, 0)))).toBe('CSR_MALFORMED')
    }
    for (let length = 0; length < wish.pem.length; length += 1) {
      expect(
        codeOf(() => parseCsr(wish.pem.slice(0, length))),
        `cut at ${length}`,
      ).toBe('CSR_MALFORMED')
    }
  })

  it('is refused or proves nothing when any bit is flipped', async () => {
    const samples = [
      derOf(wish.pem),
      (await createCsr(createNodeKey())).der,
      (await createCsr(createNodeKey('ed25519'))).der,
    ]
    for (const der of samples) {
      for (let bit = 0; bit < der.length * 8; bit += 1) {
        const flipped = Uint8Array.from(der)
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        let proven = false
        const code = codeOf(() => {
          proven = proves(flipped)
        })
        expect(code === 'ok' ? !proven : CODES.has(code), `bit ${bit}: ${code}`).toBe(true)
      }
    }
  })

  it('reads to a value or a coded refusal, and back to the same bytes, whatever comes', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(...OPENSSL.requests.accepted.map(({ pem }) => derOf(pem))),
        fc.nat(),
        fc.uint8Array({ maxLength: 6 }),
        fc.nat(3),
      )
      .map(([der, at, patch, drop]) => {
        const start = at % der.length
        return Uint8Array.of(...der.subarray(0, start), ...patch, ...der.subarray(start + drop))
      })
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 400 })), (bytes) => {
        const code = codeOf(() => {
          const csr = parseCsr(bytes)
          expect(csr.der).toEqual(bytes)
          expect(parseCsr(csr.pem).der).toEqual(bytes)
          // Names and wishes are not interpreted here, so the other reader may refuse more; it never sees another key.
          const other = keyInOtherReader(csr)
          if (other !== null) expect(other).toEqual(csr.publicKey)
        })
        expect(code === 'ok' || CODES.has(code)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it('is refused as text of any kind', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => CODES.has(codeOf(() => parseCsr(text)))),
      { numRuns: 500 },
    )
  })
})
