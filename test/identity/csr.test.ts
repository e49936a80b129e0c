import { inspect } from 'node:util'
import { createCsr, IdentityError, MAX_CSR_BYTES, parseCsr, verifyCsr } from '@leastwise/identity'
import { createNodeKey, openSigner, systemVerifier } from '@leastwise/identity/node'
import { toPkcs10 } from '@leastwise/identity/x509'
import { describe, expect, it } from 'vitest'
import { encodeSignatureAlgorithm } from '../../packages/identity/src/algorithms.ts'
import {
  encodeBitString,
  encodeElement,
  encodeSequence,
  encodeUnsigned,
} from '../../packages/identity/src/der/writer.ts'
import { CFSSL, derOf, OPENSSL } from './forge.ts'

const verifier = systemVerifier
const NO_ATTRIBUTES = encodeElement(0xa0)
const ecdsa = encodeSignatureAlgorithm('ecdsa-sha256')

/** A request with a true signature over any body. */
const sealed = (signer: ReturnType<typeof createNodeKey>, ...body: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const tbs = encodeSequence(...body)
  return encodeSequence(tbs, ecdsa, encodeBitString(signer.sign(tbs)))
}
const zero = encodeUnsigned(Uint8Array.of(0))

describe('createCsr', () => {
  it.each(['p256', 'p384', 'ed25519'] as const)('asks for nothing but a key (%s), and proves it', async (keyType) => {
    const signer = createNodeKey(keyType)
    const csr = await createCsr(signer)
    expect(csr.keyType).toBe(keyType)
    expect(csr.publicKey).toEqual(signer.publicKey)
    const view = toPkcs10(csr)
    expect(view.subject).toBe('')
    expect(view.attributes).toEqual([])
    await expect(verifyCsr(csr, verifier)).resolves.toBeUndefined()
  })

  it('writes version, empty name and the empty set of attributes as Go does', async () => {
    const signer = createNodeKey()
    const { tbs } = await createCsr(signer)
    expect(tbs).toEqual(encodeSequence(zero, encodeSequence(), signer.publicKey, NO_ATTRIBUTES))
  })

  it('refuses a key that no node may have', async () => {
    const { generateKeyPairSync } = await import('node:crypto')
    const pkcs8 = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
      format: 'der',
      type: 'pkcs8',
    })
    await expect(createCsr(openSigner(pkcs8))).rejects.toThrowCode('CSR_KEY_UNSUPPORTED')
  })
})

describe('parseCsr', () => {
  it.each([...OPENSSL.requests.accepted, { keyType: 'p256', pem: CFSSL.csr }])(
    'reads a foreign request with a $keyType key',
    async ({ keyType, pem }) => {
      const csr = parseCsr(pem)
      expect(csr.keyType).toBe(keyType)
      expect(csr.pem).toBe(pem)
      expect(parseCsr(derOf(pem))).toEqual(csr)
      expect(parseCsr(new TextEncoder().encode(pem))).toEqual(csr)
      expect(new Uint8Array(toPkcs10(csr).publicKey.rawData)).toEqual(csr.publicKey)
      await expect(verifyCsr(csr, verifier)).resolves.toBeUndefined()
    },
  )

  it.each(OPENSSL.requests.unsupported)('refuses a $what key', ({ pem }) => {
    expect(() => parseCsr(pem)).toThrowCode('CSR_KEY_UNSUPPORTED')
  })

  it('accepts the attributes left out, and nothing else in their place', () => {
    const signer = createNodeKey()
    expect(parseCsr(sealed(signer, zero, encodeSequence(), signer.publicKey)).publicKey).toEqual(signer.publicKey)
    for (const place of [encodeElement(0xa1), encodeSequence(), encodeElement(0x80)]) {
      expect(() => parseCsr(sealed(signer, zero, encodeSequence(), signer.publicKey, place))).toThrowCode(
        'CSR_MALFORMED',
      )
    }
    expect(() =>
      parseCsr(sealed(signer, zero, encodeSequence(), signer.publicKey, NO_ATTRIBUTES, NO_ATTRIBUTES)),
    ).toThrowCode('CSR_MALFORMED')
  })

  it('refuses another version, a name that is no sequence, and nesting without end', () => {
    const signer = createNodeKey()
    const bodies = [
      [encodeUnsigned(Uint8Array.of(1)), encodeSequence(), signer.publicKey],
      [zero, encodeElement(0x31), signer.publicKey],
      [
        zero,
        Array.from({ length: 40 }).reduce<Uint8Array>((inner) => encodeSequence(inner), encodeSequence()),
        signer.publicKey,
      ],
    ]
    for (const body of bodies)
      expect(() => parseCsr(sealed(signer, ...body, NO_ATTRIBUTES))).toThrowCode('CSR_MALFORMED')
  })

  const OID = Uint8Array.of(6, 3, 85, 4, 3)
  const SET_TAG = 0x31
  const text = (tag: number, ...bytes: readonly number[]) => encodeElement(tag, Uint8Array.from(bytes))
  const attribute = (value: Uint8Array) => encodeSequence(OID, value)
  const named = (...parts: readonly Uint8Array[]) => encodeSequence(encodeElement(SET_TAG, ...parts))

  it('reads any name that is one, also of several attributes in a set and in older strings, and forgets it', () => {
    const signer = createNodeKey()
    for (const name of [
      named(attribute(text(0x0c, 0xc3, 0xa4)), attribute(text(0x13, 0x61))),
      named(attribute(text(0x14, 0xe4))),
      named(attribute(text(0x1e, 0, 0x61))),
    ])
      expect(parseCsr(sealed(signer, zero, name, signer.publicKey, NO_ATTRIBUTES)).keyType).toBe('p256')
  })

  it('refuses a name that is none: without sets, attributes, types or text, or with text that is not valid', () => {
    const signer = createNodeKey()
    for (const name of [
      encodeSequence(text(2, 1)),
      encodeSequence(encodeElement(SET_TAG)),
      named(text(2, 1)),
      named(encodeSequence(OID)),
      named(encodeSequence(text(0x0c, 0x61))),
      named(attribute(text(2, 1))),
      named(attribute(text(0x0c, 0xff))),
      named(attribute(text(0x13, 0x40))),
      named(attribute(text(0x16, 0xe4))),
      named(encodeSequence(OID, text(0x0c, 0x61), text(0x0c, 0x62))),
    ])
      expect(() => parseCsr(sealed(signer, zero, name, signer.publicKey, NO_ATTRIBUTES))).toThrowCode('CSR_MALFORMED')
  })

  it('refuses attributes that are none: without a type, or a set with a value', () => {
    const signer = createNodeKey()
    const value = encodeElement(SET_TAG, text(0x0c, 0x61))
    const read = (...attributes: readonly Uint8Array[]) =>
      parseCsr(sealed(signer, zero, encodeSequence(), signer.publicKey, encodeElement(0xa0, ...attributes)))
    expect(read(encodeSequence(OID, value), encodeSequence(OID, value)).keyType).toBe('p256')
    for (const wrong of [
      text(2, 1),
      encodeSequence(),
      encodeSequence(OID),
      encodeSequence(value),
      encodeSequence(OID, encodeElement(SET_TAG)),
      encodeSequence(OID, text(0x0c, 0x61)),
      encodeSequence(OID, value, value),
    ])
      expect(() => read(wrong)).toThrowCode('CSR_MALFORMED')
  })

  it('refuses a signature algorithm of another kind of key', async () => {
    const csr = await createCsr(createNodeKey('ed25519'))
    expect(() => parseCsr(encodeSequence(csr.tbs, ecdsa, encodeBitString(csr.signature)))).toThrowCode(
      'CSR_KEY_UNSUPPORTED',
    )
  })

  it('refuses a compressed point and a point of another length', () => {
    const signer = createNodeKey()
    const compressed = Uint8Array.from(signer.publicKey)
    compressed[26] = 2
    expect(() => parseCsr(sealed(signer, zero, encodeSequence(), compressed, NO_ATTRIBUTES))).toThrowCode(
      'CSR_KEY_UNSUPPORTED',
    )
  })

  it('refuses what is too large before reading it', () => {
    expect(() => parseCsr(new Uint8Array(MAX_CSR_BYTES + 1).fill(0x30))).toThrowCode('CSR_TOO_LARGE')
    expect(() => parseCsr('-'.repeat(20_000))).toThrowCode('CSR_TOO_LARGE')
    expect(() => parseCsr(new Uint8Array(MAX_CSR_BYTES).fill(0x30))).toThrowCode('CSR_MALFORMED')
  })

  it('takes exactly one canonical PEM block', async () => {
    const { pem } = await createCsr(createNodeKey())
    const lines = pem.split('\n')
    const variants = {
      twice: pem + pem,
      crlf: pem.replaceAll('\n', '\r\n'),
      noFinalNewline: pem.slice(0, -1),
      leadingText: `a line\n${pem}`,
      trailingText: `${pem}a line\n`,
      header: pem.replace('\n', '\nProc-Type: 4,ENCRYPTED\n\n'),
      otherLabel: pem.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'),
      oneLongLine: [lines[0], lines.slice(1, -2).join(''), ...lines.slice(-2)].join('\n'),
      emptyLine: [lines[0], '', ...lines.slice(1)].join('\n'),
      space: [lines[0], `${lines[1] ?? ''} `, ...lines.slice(2)].join('\n'),
      empty: '',
      noBody: `${lines[0] ?? ''}\n${lines.at(-2) ?? ''}\n`,
    }
    for (const [name, text] of Object.entries(variants)) expect(() => parseCsr(text), name).toThrowCode('CSR_MALFORMED')
    expect(parseCsr(pem).pem).toBe(pem)
  })

  it('shows nothing of its input in a refusal', () => {
    const marked = 'MARKEDSECRETMARKEDSECRET'
    const bad = `-----BEGIN CERTIFICATE REQUEST-----\n${marked}\n-----END CERTIFICATE REQUEST-----\n`
    for (const input of [marked, bad, new TextEncoder().encode(marked)]) {
      try {
        parseCsr(input)
        expect.unreachable()
      } catch (error) {
        expect(error).toBeInstanceOf(IdentityError)
        expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('MARKED')
      }
    }
  })

  it('keeps bytes of its own', async () => {
    const der = Uint8Array.from((await createCsr(createNodeKey())).der)
    const csr = parseCsr(der)
    const before = csr.pem
    der.fill(0)
    expect(csr.pem).toBe(before)
  })
})

describe('verifyCsr', () => {
  it('refuses a request that another key signed', async () => {
    const [mine, other] = [createNodeKey(), createNodeKey()]
    const tbs = encodeSequence(zero, encodeSequence(), mine.publicKey, NO_ATTRIBUTES)
    const stolen = parseCsr(encodeSequence(tbs, ecdsa, encodeBitString(other.sign(tbs))))
    await expect(verifyCsr(stolen, verifier)).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
  })

  it('refuses a key that is no point of its curve', async () => {
    const signer = createNodeKey()
    const offCurve = Uint8Array.from(signer.publicKey)
    offCurve.fill(0x55, 27)
    const csr = parseCsr(sealed(signer, zero, encodeSequence(), offCurve, NO_ATTRIBUTES))
    await expect(verifyCsr(csr, verifier)).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
  })

  it('waits for a verifier that takes its time', async () => {
    const csr = await createCsr(createNodeKey())
    await expect(verifyCsr(csr, { verify: async () => false })).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
    await expect(verifyCsr(csr, { verify: async () => true })).resolves.toBeUndefined()
  })
})
