import {
  formatCertificateChain,
  MAX_CERTIFICATE_BYTES,
  MAX_CHAIN_CERTIFICATES,
  parseCertificate,
  parseCertificateChain,
} from '@leastwise/identity'
import { createNodeKey } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import {
  encodeBitString,
  encodeElement,
  encodeOid,
  encodeSequence,
  encodeText,
  encodeUnsigned,
} from '../../packages/identity/src/der/writer.ts'
import {
  authorityKeyId,
  basicConstraints,
  CA,
  CFSSL,
  CLIENT,
  CN,
  derOf,
  ENGINES,
  extKeyUsage,
  type ForgedExtension,
  type Forgery,
  forge,
  forgeName,
  keyUsage,
  LEAF,
  O,
  OPENSSL,
  SERVER,
  subjectKeyId,
} from './forge.ts'

const signer = createNodeKey()
const base: Forgery = {
  issuer: forgeName([CN, 'issuer']),
  subject: forgeName([O, 'o'], [CN, 'subject']),
  publicKey: signer.publicKey,
  signer,
  notBefore: Date.UTC(2026, 0, 1),
  notAfter: Date.UTC(2027, 0, 1),
  extensions: LEAF,
}
const refuses = async (changes: Partial<Forgery>, code = 'CERTIFICATE_MALFORMED'): Promise<void> => {
  const der = await forge({ ...base, ...changes })
  expect(() => parseCertificate(der)).toThrowCode(code)
}
const parsed = async (changes: Partial<Forgery> = {}): Promise<ReturnType<typeof parseCertificate>> =>
  parseCertificate(await forge({ ...base, ...changes }))
const raw = (type: string, value: Uint8Array): ForgedExtension => ({ type, value })

describe('parseCertificate', () => {
  it.each(ENGINES)('reads what a Docker engine made for $nodeId', (engine) => {
    const root = parseCertificate(engine.root)
    expect(root).toMatchObject({
      keyType: 'p256',
      isCa: true,
      pathLength: null,
      keyUsage: ['keyCertSign', 'cRLSign'],
      extKeyUsage: null,
      authorityKeyId: null,
      dnsNames: [],
      unknownCritical: [],
    })
    expect(root.subject).toEqual(root.issuer)
    expect(root.subject.attributes).toEqual([{ type: CN, value: 'swarm-ca' }])
    const leaf = parseCertificate(engine.leaf)
    expect(leaf).toMatchObject({
      isCa: false,
      keyUsage: ['digitalSignature', 'keyEncipherment'],
      extKeyUsage: [SERVER, CLIENT],
      dnsNames: ['swarm-manager', engine.nodeId, 'swarm-ca'],
      signatureAlgorithm: 'ecdsa-sha256',
    })
    expect(leaf.authorityKeyId).toEqual(root.subjectKeyId)
    expect(leaf.pem).toBe(engine.leaf)
    expect(leaf.notAfter - leaf.notBefore).toBe((90 * 24 + 1) * 3_600_000)
  })

  it('reads what cfssl made', () => {
    const root = parseCertificate(CFSSL.root)
    expect(root.subject.attributes).toEqual([
      { type: O, value: 'Example Org' },
      { type: CN, value: 'swarm-ca-external' },
    ])
    for (const leaf of CFSSL.leaves) expect(parseCertificate(leaf).issuer).toEqual(root.subject)
  })

  it.each(OPENSSL.roots.accepted)('reads a root with a $keyType key', ({ keyType, pem }) => {
    expect(parseCertificate(pem)).toMatchObject({ keyType, isCa: true, pem })
  })

  it('reads letters outside ASCII and times after 2049', () => {
    expect(parseCertificate(OPENSSL.roots.accepted[1]!.pem).subject.attributes[1]?.value).toBe('Wurzel Größe')
    expect(new Date(parseCertificate(OPENSSL.roots.accepted[5]!.pem).notAfter).getUTCFullYear()).toBe(2126)
  })

  it.each(OPENSSL.roots.unsupported)('refuses $what', ({ pem }) => {
    expect(() => parseCertificate(pem)).toThrowCode('CERTIFICATE_UNSUPPORTED')
  })

  it('refuses another version, two algorithms, and serial numbers that are not positive or too long', async () => {
    await refuses({ version: 1 })
    await refuses({ version: 0 })
    await refuses({ outerAlgorithm: 'ecdsa-sha384' })
    await refuses({ serial: Uint8Array.of(0) })
    await refuses({ serial: new Uint8Array(21).fill(1) })
    await refuses({ serial: Uint8Array.of(0, 1) })
    expect((await parsed({ serial: Uint8Array.of(0x9a, 1) })).serial).toBe('9a01')
    await refuses({ serial: new Uint8Array(20).fill(0xff) })
  })

  it('gives the uses that are told, and tells none from absent', async () => {
    expect(
      (await parsed({ extensions: [] as readonly ForgedExtension[] }).catch((error: unknown) => error)) as object,
    ).toMatchObject({ code: 'CERTIFICATE_MALFORMED' })
    const bare = await parsed({ extensions: [subjectKeyId(Uint8Array.of(1, 2))] })
    expect(bare).toMatchObject({
      keyUsage: null,
      extKeyUsage: null,
      isCa: false,
      pathLength: null,
      subjectKeyId: Uint8Array.of(1, 2),
    })
    expect(await parsed({ extensions: [...CA.slice(0, 1), basicConstraints(true, 3)] })).toMatchObject({
      isCa: true,
      pathLength: 3,
    })
    expect((await parsed({ extensions: [authorityKeyId(Uint8Array.of(9))] })).authorityKeyId).toEqual(Uint8Array.of(9))
    expect((await parsed({ extensions: [extKeyUsage('1.2.3.4', '2.999.1')] })).extKeyUsage).toEqual([
      '1.2.3.4',
      '2.999.1',
    ])
  })

  it('tells critical extensions that it does not understand from harmless ones', async () => {
    const value = encodeSequence()
    const certificate = await parsed({
      extensions: [
        ...LEAF,
        { type: '1.2.3', critical: true, value },
        { type: '2.5.29.30', critical: true, value },
        { type: '1.2.4', value },
      ],
    })
    expect(certificate.unknownCritical).toEqual(['1.2.3', '2.5.29.30'])
  })

  it('refuses extensions that are not in their one form', async () => {
    const flag = Uint8Array.of(1, 1, 0)
    const bad: readonly (readonly ForgedExtension[])[] = [
      [...LEAF, ...LEAF.slice(0, 1)],
      [raw('2.5.29.15', Uint8Array.of(3, 2, 0, 0xa0))],
      [raw('2.5.29.15', Uint8Array.of(3, 1, 0))],
      [raw('2.5.29.15', Uint8Array.of(3, 3, 6, 0, 0x40))],
      [raw('2.5.29.19', encodeSequence(flag))],
      [raw('2.5.29.19', encodeSequence(Uint8Array.of(1, 1, 1)))],
      [raw('2.5.29.19', encodeSequence(encodeUnsigned(Uint8Array.of(0))))],
      [raw('2.5.29.19', encodeSequence(Uint8Array.of(1, 1, 0xff, 2, 1, 0xff)))],
      [raw('2.5.29.37', encodeSequence())],
      [raw('2.5.29.37', encodeSequence(Uint8Array.of(6, 2, 0x80, 1)))],
      [raw('2.5.29.37', encodeSequence(Uint8Array.of(6, 1, 0x80)))],
      [raw('2.5.29.37', encodeSequence(Uint8Array.of(6, 0)))],
      [raw('2.5.29.14', encodeElement(4))],
      [raw('2.5.29.14', Uint8Array.of(4, 1, 1, 0))],
      [raw('2.5.29.17', encodeSequence())],
      [raw('2.5.29.17', encodeSequence(encodeElement(0x82, Uint8Array.of(0xc3, 0xa9))))],
      [raw('2.5.29.17', encodeSequence(encodeText(0x0c, 'a')))],
      // Structures that are none, an identifier that is none, and choices that do not exist.
      ...[0x80, 0x83, 0x85, 0x88, 0xa1, 0xa2, 0xa6, 0xa7, 0xa8, 0x89, 0x9e, 0xa9].map((tag) => [
        raw('2.5.29.17', encodeSequence(encodeElement(tag, Uint8Array.of(0x05, 0x80)))),
      ]),
      [raw('2.5.29.35', encodeSequence(encodeElement(0x82, Uint8Array.of(1))))],
      [raw('2.5.29.35', encodeSequence(encodeElement(0xa1)))],
      Array.from({ length: 33 }, (_, index) => raw(`1.2.${index}`, encodeSequence())),
    ]
    for (const extensions of bad) await refuses({ extensions })
    const other = [
      encodeElement(0x87, Uint8Array.of(10, 0, 0, 1)),
      encodeText(0x82, 'a.example'),
      encodeText(0x86, 'spiffe://a'),
      encodeElement(0xa0, encodeOid('1.3.6.1.4.1.311.20.2.3'), encodeElement(0xa0, encodeText(0x0c, 'a'))),
      encodeElement(0xa5, encodeElement(0xa1, encodeText(0x0c, 'a'))),
      encodeElement(0x88, Uint8Array.of(0x2a, 3)),
    ]
    expect((await parsed({ extensions: [raw('2.5.29.17', encodeSequence(...other))] })).dnsNames).toEqual(['a.example'])
  })

  it('refuses names outside the accepted string types, and two attributes in one set', async () => {
    const attribute = (tag: number, ...text: number[]): Uint8Array =>
      encodeSequence(encodeOid(CN), encodeElement(tag, Uint8Array.from(text)))
    const name = (...sets: readonly Uint8Array[]): Uint8Array =>
      encodeSequence(...sets.map((set) => encodeElement(0x31, set)))
    await refuses({ subject: name(attribute(0x14, 0x41)) })
    await refuses({ subject: name(attribute(0x13, 0x2a)) })
    await refuses({ subject: name(attribute(0x0c, 0xff)) })
    await refuses({ subject: name(attribute(0x16, 0xc3, 0xa9)) })
    await refuses({ subject: encodeSequence(encodeElement(0x31, attribute(0x0c, 0x41), attribute(0x0c, 0x42))) })
    await refuses({ subject: encodeSequence(encodeElement(0x31)) })
    const longer = encodeSequence(encodeOid(CN), encodeText(0x0c, 'a'), encodeText(0x0c, 'b'))
    await refuses({ subject: encodeSequence(encodeElement(0x31, longer)) })
    expect((await parsed({ subject: name(attribute(0x0c, 0xef, 0xbb, 0xbf)) })).subject.attributes[0]?.value).toBe(
      '\ufeff',
    )
  })

  it('refuses unique identifiers and bytes after the end', async () => {
    const good = parseCertificate(await forge(base))
    const body = good.tbs.subarray(good.tbs[1] === 0x82 ? 4 : 3)
    const withId = encodeSequence(body.subarray(0, body.length), encodeElement(0x81, Uint8Array.of(0, 1)))
    const algorithm = encodeSequence(encodeOid('1.2.840.10045.4.3.2'))
    expect(() => parseCertificate(encodeSequence(withId, algorithm, encodeBitString(good.signature)))).toThrowCode(
      'CERTIFICATE_MALFORMED',
    )
    expect(() => parseCertificate(Uint8Array.of(...good.der, 0))).toThrowCode('CERTIFICATE_MALFORMED')
  })

  it('takes RSA keys of 2048 to 8192 bits in whole bytes, odd, with a small odd exponent, and with nothing after them', async () => {
    const numbers = (
      modulus: Uint8Array,
      exponent: readonly number[],
      ...more: readonly Uint8Array[]
    ): Uint8Array<ArrayBuffer> =>
      encodeSequence(encodeUnsigned(modulus), encodeUnsigned(Uint8Array.from(exponent)), ...more)
    const key = (bits: Uint8Array, ...more: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
      encodeSequence(
        encodeSequence(encodeOid('1.2.840.113549.1.1.1'), encodeElement(5)),
        encodeBitString(bits),
        ...more,
      )
    const modulus = (bytes: number, first = 0x80, last = 1): Uint8Array => {
      const number = new Uint8Array(bytes)
      number[0] = first
      number[bytes - 1] = last
      return number
    }
    const e = [1, 0, 1]
    const good = [
      numbers(modulus(256), e),
      numbers(modulus(257), e),
      numbers(modulus(1024, 0xff), e),
      numbers(modulus(256), [3]),
    ]
    for (const bits of good) expect((await parsed({ publicKey: key(bits) })).keyType).toBe('rsa')
    const unsupported = [
      numbers(modulus(256, 0x7f), e),
      numbers(modulus(257, 1), e),
      numbers(modulus(255), e),
      numbers(modulus(1025, 1), e),
      numbers(modulus(256, 0x80, 2), e),
      numbers(modulus(256), [2]),
      numbers(modulus(256), [1]),
      numbers(modulus(256), [1, 0, 0, 0, 1]),
    ]
    for (const bits of unsupported) await refuses({ publicKey: key(bits) }, 'CERTIFICATE_UNSUPPORTED')
    await refuses({ publicKey: key(numbers(modulus(256), e, encodeUnsigned(Uint8Array.of(1)))) })
    await refuses({ publicKey: key(numbers(modulus(256), e, encodeSequence())) })
    await refuses({ publicKey: key(Uint8Array.of(...numbers(modulus(256), e), 0)) })
    await refuses({
      publicKey: key(encodeSequence(encodeElement(2, modulus(256)), encodeUnsigned(Uint8Array.from(e)))),
    })
    await refuses({ publicKey: key(numbers(modulus(256), e), encodeElement(5)) })
  })

  it('takes elliptic keys as uncompressed points of the full length alone', async () => {
    const { publicKey } = signer
    const changed = (at: number, value: number): Uint8Array =>
      Uint8Array.from(publicKey, (byte, index) => (index === at ? value : byte))
    await refuses({ publicKey: changed(26, 2) }, 'CERTIFICATE_UNSUPPORTED')
    await refuses({ publicKey: changed(25, 1) })
    await refuses({ publicKey: encodeSequence(publicKey.subarray(2), encodeElement(5)) })
  })

  it('refuses what is too large before reading it', () => {
    expect(() => parseCertificate(new Uint8Array(MAX_CERTIFICATE_BYTES + 1))).toThrowCode('CERTIFICATE_TOO_LARGE')
    expect(() => parseCertificate('x'.repeat(30_000))).toThrowCode('CERTIFICATE_TOO_LARGE')
  })
})

describe('times', () => {
  const rewritten = async (from: string, to: string): Promise<Uint8Array<ArrayBuffer>> => {
    const der = await forge(base)
    const text = Buffer.from(der).toString('latin1')
    expect(text).toContain(from)
    return Uint8Array.from(Buffer.from(text.replace(from, to), 'latin1'))
  }
  it.each([
    '261301000000Z',
    '260001000000Z',
    '260230000000Z',
    '260132000000Z',
    '260100000000Z',
    '260101240000Z',
    '260101006000Z',
    '260101000060Z',
    '26010100000aZ',
    '2601010000001',
    '26/101000000Z',
  ])('refuses %s', async (time) => {
    const der = await rewritten('260101000000Z', time)
    expect(() => parseCertificate(der)).toThrowCode('CERTIFICATE_MALFORMED')
  })

  it('knows leap days, and the years before 2000', async () => {
    expect(parseCertificate(await rewritten('260101000000Z', '240229235959Z')).notBefore).toBe(
      Date.UTC(2024, 1, 29, 23, 59, 59),
    )
    expect(parseCertificate(await rewritten('260101000000Z', '700101000000Z')).notBefore).toBe(0)
    const der = await rewritten('260101000000Z', '230229000000Z')
    expect(() => parseCertificate(der)).toThrowCode('CERTIFICATE_MALFORMED')
  })

  it('changes its form at 2050', async () => {
    const [before, after] = [Date.UTC(2049, 11, 31, 23, 59, 59), Date.UTC(2050, 0, 1)]
    const certificate = await parsed({ notBefore: before, notAfter: after })
    expect([certificate.notBefore, certificate.notAfter]).toEqual([before, after])
    const text = Buffer.from(certificate.der).toString('latin1')
    expect(text).toContain('491231235959Z')
    expect(text).toContain('20500101000000Z')
    const early = Uint8Array.from(Buffer.from(text.replace('20500101000000Z', '20490101000000Z'), 'latin1'))
    expect(() => parseCertificate(early)).toThrowCode('CERTIFICATE_MALFORMED')
  })
})

describe('parseCertificateChain', () => {
  it('reads what it writes, in order', () => {
    const chain = [parseCertificate(ENGINES[0]!.leaf), parseCertificate(ENGINES[0]!.root)]
    const pem = formatCertificateChain(chain)
    expect(pem).toBe(ENGINES[0]!.leaf + ENGINES[0]!.root)
    expect(parseCertificateChain(pem)).toEqual(chain)
    expect(parseCertificateChain(new TextEncoder().encode(pem))).toEqual(chain)
  })

  it('refuses none, too many and too much', () => {
    expect(() => parseCertificateChain('')).toThrowCode('CERTIFICATE_MALFORMED')
    expect(parseCertificateChain(ENGINES[0]!.root.repeat(MAX_CHAIN_CERTIFICATES))).toHaveLength(MAX_CHAIN_CERTIFICATES)
    expect(() => parseCertificateChain(ENGINES[0]!.root.repeat(MAX_CHAIN_CERTIFICATES + 1))).toThrowCode(
      'CERTIFICATE_MALFORMED',
    )
    expect(() => parseCertificateChain('-'.repeat(100_000))).toThrowCode('CERTIFICATE_TOO_LARGE')
    expect(() => parseCertificateChain(derOf(ENGINES[0]!.root))).toThrowCode('CERTIFICATE_MALFORMED')
  })

  it('holds each certificate to the size of one', () => {
    const large = encodeSequence(new Uint8Array(MAX_CERTIFICATE_BYTES))
    const body = Buffer.from(large).toString('base64').replaceAll(/.{64}/gu, '$&\n')
    const pem = `-----BEGIN CERTIFICATE-----\n${body.endsWith('\n') ? body : `${body}\n`}-----END CERTIFICATE-----\n`
    expect(() => parseCertificateChain(pem)).toThrowCode('CERTIFICATE_TOO_LARGE')
    expect(() => parseCertificate(pem)).toThrowCode('CERTIFICATE_TOO_LARGE')
  })

  it('writes key usages of every bit', async () => {
    expect((await parsed({ extensions: [keyUsage(0x80)] })).keyUsage).toEqual(['digitalSignature'])
    expect(
      (await parsed({ extensions: [raw('2.5.29.15', Uint8Array.of(3, 3, 7, 0xff, 0x80))] })).keyUsage,
    ).toHaveLength(9)
  })
})
