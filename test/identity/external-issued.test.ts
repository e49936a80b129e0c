import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import {
  allowShortLifetime,
  type Certificate,
  type ClusterId,
  type Csr,
  createCsr,
  decodeCfsslAnswer,
  encodeCfsslRequest,
  encodeCrossSignRequest,
  type Grant,
  ISSUED_TOLERANCE_MS,
  MAX_BACKDATE_MS,
  MIN_LIFETIME_MS,
  type NodeId,
  parseCertificate,
  parseCsr,
  type Signer,
  verifyCrossSigned,
  verifyIssued,
  verifyPeer,
} from '@leastwise/identity'
import { createNodeKey, systemVerifier as verifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { encodeElement, encodeSequence, encodeText } from '../../packages/identity/src/der/writer.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  altNames,
  answerOf,
  askedOf,
  type Bend,
  DAY_MS,
  type FakeCa,
  fakeCa,
  fakeRoot,
  grantOf,
  ipName,
  keyId,
  NOW,
  uriName,
  withExtensions,
  withoutExtension,
} from './external-support.ts'
import {
  authorityKeyId,
  basicConstraints,
  CLIENT,
  CN,
  extKeyUsage,
  type ForgedExtension,
  forgeName,
  keyUsage,
  O,
  OU,
  SERVER,
  subjectKeyId,
} from './forge.ts'

const unknown = (type: string, critical?: true): ForgedExtension => ({
  type,
  ...(critical === undefined ? {} : { critical }),
  value: encodeSequence(),
})

/** Critical constraints on names: one subtree, permitted (0xa0) or excluded (0xa1). */
const boundTo = (tag: number, base: Uint8Array): ForgedExtension => ({
  type: '2.5.29.30',
  critical: true,
  value: encodeSequence(encodeElement(tag, encodeSequence(base))),
})

const starts =
  (notBefore: number): Bend =>
  (forgery) => ({ ...forgery, notBefore })
const ends =
  (notAfter: number): Bend =>
  (forgery) => ({ ...forgery, notAfter })
const named =
  (...attributes: readonly (readonly [string, string])[]): Bend =>
  (forgery) => ({
    ...forgery,
    subject: forgeName(...attributes),
  })
const MINIMUM_END = NOW - 5000 + MIN_LIFETIME_MS

describe('a node certificate from an external CA', () => {
  let ca: FakeCa
  let csr: Csr
  const worker = grantOf()
  beforeAll(async () => {
    ca = await fakeCa()
    csr = await createCsr(createNodeKey())
  })
  const sign = async (bend?: Bend, grant: Grant = worker): Promise<Certificate> =>
    await ca.sign(askedOf(encodeCfsslRequest(csr, grant, { now: NOW })), csr.publicKey, bend)
  const verify = async (certificate: Certificate, grant: Grant = worker): Promise<Certificate> =>
    await verifyIssued(certificate, { csr, grant, now: NOW, roots: [ca.root], verifier })

  it.each(['worker', 'manager'] as const)('of a %s that is what was asked for is given back', async (role) => {
    const grant = grantOf({ role })
    const certificate = await sign(undefined, grant)
    expect(await verify(certificate, grant)).toBe(certificate)
  })

  it.each<readonly [string, Bend]>([
    [
      'names and usages in another order',
      withExtensions(altNames(testNodeId(7), 'swarm-worker'), extKeyUsage(CLIENT, SERVER)),
    ],
    [
      'no key identifiers',
      (forgery) => withoutExtension('2.5.29.35')(withoutExtension('2.5.29.14')(forgery, null!), null!),
    ],
    [
      'places to look things up',
      withExtensions(unknown('2.5.29.31'), unknown('2.5.29.32'), unknown('1.3.6.1.5.5.7.1.1')),
    ],
    ['no basic constraints', withoutExtension('2.5.29.19')],
    ['less time', ends(NOW + DAY_MS)],
    ['the tolerance used up', ends(Math.floor((NOW + worker.lifetimeMs + ISSUED_TOLERANCE_MS) / 1000) * 1000)],
    ['a start as far back as the tolerance lets it', starts(NOW - MAX_BACKDATE_MS - ISSUED_TOLERANCE_MS)],
    ['a clock that is a little ahead', starts(NOW + ISSUED_TOLERANCE_MS)],
    ['just the least life', (forgery) => ({ ...forgery, notBefore: NOW - 5000, notAfter: MINIMUM_END })],
  ])('may have %s', async (_, bend) => {
    const certificate = await sign(bend)
    expect(await verify(certificate)).toBe(certificate)
  })

  it.each<readonly [string, string, Bend]>([
    ['another key', 'ISSUED_KEY_MISMATCH', (forgery) => ({ ...forgery, publicKey: createNodeKey().publicKey })],
    [
      'another cluster',
      'ISSUED_SUBJECT_MISMATCH',
      named([O, testClusterId(4)], [OU, 'swarm-worker'], [CN, testNodeId(7)]),
    ],
    [
      'another role',
      'ISSUED_SUBJECT_MISMATCH',
      named([O, testClusterId(3)], [OU, 'swarm-manager'], [CN, testNodeId(7)]),
    ],
    [
      'another node',
      'ISSUED_SUBJECT_MISMATCH',
      named([O, testClusterId(3)], [OU, 'swarm-worker'], [CN, testNodeId(8)]),
    ],
    ['no subject', 'ISSUED_SUBJECT_MISMATCH', named()],
    [
      'a subject in another order',
      'ISSUED_SUBJECT_MISMATCH',
      named([CN, testNodeId(7)], [OU, 'swarm-worker'], [O, testClusterId(3)]),
    ],
    [
      'a second unit',
      'ISSUED_SUBJECT_MISMATCH',
      named([O, testClusterId(3)], [OU, 'swarm-worker'], [OU, 'swarm-manager'], [CN, testNodeId(7)]),
    ],
    [
      'a country',
      'ISSUED_SUBJECT_MISMATCH',
      named([O, testClusterId(3)], [OU, 'swarm-worker'], [CN, testNodeId(7)], ['2.5.4.6', 'NL']),
    ],
    ['no names', 'ISSUED_NAMES_MISMATCH', withoutExtension('2.5.29.17')],
    ['a name less', 'ISSUED_NAMES_MISMATCH', withExtensions(altNames('swarm-worker'))],
    ['a name more', 'ISSUED_NAMES_MISMATCH', withExtensions(altNames('swarm-worker', testNodeId(7), 'swarm-ca'))],
    ['a name twice', 'ISSUED_NAMES_MISMATCH', withExtensions(altNames('swarm-worker', 'swarm-worker'))],
    ['the names of a manager', 'ISSUED_NAMES_MISMATCH', withExtensions(altNames('swarm-manager', testNodeId(7)))],
    [
      'an address more',
      'ISSUED_NAMES_MISMATCH',
      withExtensions(altNames('swarm-worker', testNodeId(7), ipName(10, 0, 0, 1))),
    ],
    [
      'an identity of SPIFFE more',
      'ISSUED_NAMES_MISMATCH',
      withExtensions(altNames('swarm-worker', testNodeId(7), uriName('spiffe://a/b'))),
    ],
    ['the right to sign certificates', 'ISSUED_CONSTRAINTS_MISMATCH', withExtensions(basicConstraints(true))],
    ['a usage more', 'ISSUED_USAGE_MISMATCH', withExtensions(keyUsage(0xe0))],
    ['a usage less', 'ISSUED_USAGE_MISMATCH', withExtensions(keyUsage(0x80))],
    ['the usage of a CA', 'ISSUED_USAGE_MISMATCH', withExtensions(keyUsage(0x06))],
    ['no usages', 'ISSUED_USAGE_MISMATCH', withoutExtension('2.5.29.15')],
    ['one side of TLS alone', 'ISSUED_USAGE_MISMATCH', withExtensions(extKeyUsage(SERVER))],
    [
      'code signing beside TLS',
      'ISSUED_USAGE_MISMATCH',
      withExtensions(extKeyUsage(SERVER, CLIENT, '1.3.6.1.5.5.7.3.3')),
    ],
    ['any purpose', 'ISSUED_USAGE_MISMATCH', withExtensions(extKeyUsage('2.5.29.37.0'))],
    ['no purposes', 'ISSUED_USAGE_MISMATCH', withoutExtension('2.5.29.37')],
    ['an extension that nobody knows', 'ISSUED_EXTENSION_UNEXPECTED', withExtensions(unknown('1.3.6.1.4.1.99999.1'))],
    ['a critical one', 'ISSUED_EXTENSION_UNEXPECTED', withExtensions(unknown('1.3.6.1.4.1.99999.1', true))],
    ['policies that must be understood', 'ISSUED_EXTENSION_UNEXPECTED', withExtensions(unknown('2.5.29.32', true))],
    ['name constraints', 'ISSUED_EXTENSION_UNEXPECTED', withExtensions(unknown('2.5.29.30'))],
    [
      'more time than the tolerance',
      'ISSUED_LIFETIME_MISMATCH',
      ends(NOW + worker.lifetimeMs + ISSUED_TOLERANCE_MS + 1000),
    ],
    [
      'no time left',
      'ISSUED_LIFETIME_MISMATCH',
      (forgery) => ({ ...forgery, notBefore: NOW - MAX_BACKDATE_MS - ISSUED_TOLERANCE_MS, notAfter: NOW - 1000 }),
    ],
    [
      'less than the least life',
      'ISSUED_LIFETIME_MISMATCH',
      (forgery) => ({ ...forgery, notBefore: NOW - 5000, notAfter: MINIMUM_END - 1000 }),
    ],
    ['a start too far back', 'ISSUED_LIFETIME_MISMATCH', starts(NOW - MAX_BACKDATE_MS - ISSUED_TOLERANCE_MS - 1000)],
    ['a start in the future', 'ISSUED_LIFETIME_MISMATCH', starts(NOW + ISSUED_TOLERANCE_MS + 1000)],
    ['another issuer', 'ISSUED_ISSUER_UNTRUSTED', (forgery) => ({ ...forgery, issuer: forgeName([CN, 'ca-9']) })],
    [
      'extended usages that must be understood',
      'ISSUED_EXTENSION_UNEXPECTED',
      withExtensions({ ...extKeyUsage(SERVER, CLIENT), critical: true }),
    ],
    [
      'names that must be understood, beside a subject',
      'ISSUED_EXTENSION_UNEXPECTED',
      withExtensions({ ...altNames('swarm-worker', testNodeId(7)), critical: true }),
    ],
    [
      'a key identifier that must be understood',
      'ISSUED_EXTENSION_UNEXPECTED',
      withExtensions({ ...subjectKeyId(keyId(9)), critical: true }),
    ],
    ['another signature', 'ISSUED_ISSUER_UNTRUSTED', (forgery) => ({ ...forgery, signer: createNodeKey() })],
    ['the key identifier of another issuer', 'ISSUED_ISSUER_UNTRUSTED', withExtensions(authorityKeyId(keyId(99)))],
  ])('with %s is refused: %s', async (_, code, bend) => {
    const certificate = await sign(bend)
    await expect(verify(certificate)).rejects.toThrowCode(code)
    await expect(verify(certificate)).rejects.toMatchObject({ retryable: false })
  })

  it('of a short life is taken when the grant allows it, and not longer than it says', async () => {
    const short = grantOf({ lifetimeMs: 60_000, [allowShortLifetime]: true })
    const certificate = await sign(ends(NOW + 60_000), short)
    expect(await verify(certificate, short)).toBe(certificate)
    const longer = await sign(ends(NOW + 60_000 + ISSUED_TOLERANCE_MS + 1000), short)
    await expect(verify(longer, short)).rejects.toThrowCode('ISSUED_LIFETIME_MISMATCH')
  })

  it('may say that an Ed25519 key signs alone, and of no other key', async () => {
    const signing = withExtensions(keyUsage(0x80))
    const ed25519 = await createCsr(createNodeKey('ed25519'))
    const asked = askedOf(encodeCfsslRequest(ed25519, worker, { now: NOW }))
    const expected = { csr: ed25519, grant: worker, now: NOW, roots: [ca.root], verifier }
    for (const bend of [undefined, signing]) {
      const certificate = await ca.sign(asked, ed25519.publicKey, bend)
      expect(await verifyIssued(certificate, expected)).toBe(certificate)
    }
    await expect(verify(await sign(signing))).rejects.toThrowCode('ISSUED_USAGE_MISMATCH')
  })

  it('may come from an RSA root, and never outlives its issuer', async () => {
    const rsa = await fakeCa({ number: 5, keys: 'rsa', lifetimeMs: 30 * DAY_MS })
    const asked = askedOf(encodeCfsslRequest(csr, worker, { now: NOW }))
    const expected = { csr, grant: worker, now: NOW, roots: [ca.root, rsa.root], verifier }
    const fits = await rsa.sign(asked, csr.publicKey, ends(NOW + 29 * DAY_MS))
    expect(await verifyIssued(fits, expected)).toBe(fits)
    const beyond = await rsa.sign(asked, csr.publicKey, ends(NOW + 31 * DAY_MS))
    await expect(verifyIssued(beyond, expected)).rejects.toThrowCode('ISSUED_LIFETIME_MISMATCH')
  })

  it('may come through an intermediate that was named, and only then', async () => {
    const key = createNodeKey()
    const next = await fakeRoot(2, key)
    const cross = await ca.sign(askedOf(encodeCrossSignRequest(next, '')), key.publicKey)
    const asked = askedOf(encodeCfsslRequest(csr, worker, { now: NOW }))
    const below = await ca.sign(asked, csr.publicKey, (forgery) => ({
      ...withExtensions(authorityKeyId(keyId(2)))(forgery, asked),
      issuer: next.subject.der,
      signer: key,
    }))
    const expected = { csr, grant: worker, now: NOW, roots: [ca.root], verifier }
    expect(await verifyIssued(below, { ...expected, intermediates: [cross] })).toBe(below)
    await expect(verifyIssued(below, expected)).rejects.toThrowCode('ISSUED_ISSUER_UNTRUSTED')
  })

  it.each<readonly [string, string, string, ForgedExtension]>([
    ['for half of TLS', 'ISSUED_ISSUER_UNTRUSTED', 'PEER_ISSUER_UNFIT', extKeyUsage(SERVER)],
    [
      'that may give no mail address',
      'ISSUED_NAMES_MISMATCH',
      'PEER_NAMES_INVALID',
      boundTo(0xa1, encodeText(0x81, 'example.org')),
    ],
    [
      'that may give other names',
      'ISSUED_ISSUER_UNTRUSTED',
      'PEER_NAMES_FORBIDDEN',
      boundTo(0xa0, encodeText(0x82, 'example.org')),
    ],
  ])('from an intermediate %s is refused (%s), as every peer refuses it (%s)', async (_, code, peers, more) => {
    const key = createNodeKey()
    const next = await fakeRoot(2, key)
    const cross = await ca.sign(
      askedOf(encodeCrossSignRequest(next, '')),
      key.publicKey,
      withExtensions(more, basicConstraints(true, 0)),
    )
    const asked = askedOf(encodeCfsslRequest(csr, worker, { now: NOW }))
    const below = await ca.sign(asked, csr.publicKey, (forgery) => ({
      ...withExtensions(authorityKeyId(keyId(2)))(forgery, asked),
      issuer: next.subject.der,
      signer: key,
    }))
    const trust = { now: NOW, roots: [ca.root], verifier }
    await expect(verifyIssued(below, { csr, grant: worker, ...trust, intermediates: [cross] })).rejects.toThrowCode(
      code,
    )
    const { clusterId } = worker
    await expect(verifyPeer([below, cross], { ...trust, clusterId })).rejects.toThrowCode(peers)
  })

  it('is accepted by every peer when it passes, whatever was bent', async () => {
    const { clusterId } = worker
    const marks = [keyUsage(0xa0), extKeyUsage(SERVER, CLIENT), basicConstraints(false), subjectKeyId(keyId(9))]
    for (const mark of [...marks, authorityKeyId(keyId(1)), altNames('swarm-worker', testNodeId(7))]) {
      for (const critical of [true, false]) {
        const { type, value } = mark
        const certificate = await sign(withExtensions(critical ? { type, value, critical } : { type, value }))
        const outcome = async (proof: Promise<unknown>): Promise<boolean> =>
          await proof.then(
            () => true,
            () => false,
          )
        const passes = await outcome(verify(certificate))
        expect(await outcome(verifyPeer([certificate], { roots: [ca.root], now: NOW, clusterId, verifier }))).toBe(
          passes,
        )
      }
    }
  })

  it('that a real server made passes, and with the wrong grant does not', async () => {
    const read = (name: string): string =>
      readFileSync(new URL(`../vectors/identity/cfssl/${name}`, import.meta.url), 'utf8')
    const answers = JSON.parse(read('answers.json')) as Readonly<
      Record<string, { readonly request: { readonly certificate_request: string }; readonly answer: string }>
    >
    const at = Date.UTC(2026, 10, 21, 21, 10, 5)
    const real = {
      csr: parseCsr(answers['sign-ok']!.request.certificate_request),
      grant: grantOf({ nodeId: 'z7qy0' as NodeId, clusterId: 'clusterid' as ClusterId }),
      now: at,
      roots: [parseCertificate(read('root.pem'))],
      verifier,
    }
    const issued = (name: string): Certificate => decodeCfsslAnswer(answerOf(answers[name]!.answer))
    expect((await verifyIssued(issued('sign-ok'), real)).dnsNames).toEqual(['swarm-worker', 'z7qy0'])
    await expect(verifyIssued(issued('authsign-ok'), real)).rejects.toThrowCode('ISSUED_NAMES_MISMATCH')
    await expect(verifyIssued(issued('sign-unknown-profile'), real)).rejects.toThrowCode('ISSUED_SUBJECT_MISMATCH')
    await expect(verifyIssued(issued('sign-profile-CA'), real)).rejects.toThrowCode('ISSUED_SUBJECT_MISMATCH')
    await expect(verifyIssued(real.roots[0]!, real)).rejects.toThrowCode('ISSUED_KEY_MISMATCH')
    await expect(verifyIssued(issued('sign-ok'), { ...real, now: at + 90 * DAY_MS })).rejects.toThrowCode(
      'ISSUED_LIFETIME_MISMATCH',
    )
  })

  it('leaves nothing of itself in a refusal', async () => {
    const certificate = await sign(named([CN, 'marked-secret-91c']))
    const error: unknown = await verify(certificate).catch((thrown: unknown) => thrown)
    expect(inspect(error, { depth: 9 })).not.toContain('marked-secret-91c')
  })
})

describe('a root that an external CA signed once more', () => {
  let old: FakeCa
  let key: Signer
  let root: Certificate
  beforeAll(async () => {
    old = await fakeCa()
    key = createNodeKey()
    root = await fakeRoot(2, key)
  })
  const sign = async (bend?: Bend): Promise<Certificate> =>
    await old.sign(askedOf(encodeCrossSignRequest(root, '')), root.publicKey, bend)
  const verify = async (certificate: Certificate): Promise<Certificate> =>
    await verifyCrossSigned(certificate, { root, now: NOW, roots: [old.root], verifier })

  it('is given back when it is that root', async () => {
    const certificate = await sign()
    expect(await verify(certificate)).toBe(certificate)
  })

  it.each<readonly [string, Bend]>([
    ['the usages of TLS, and may sign', withExtensions(extKeyUsage(SERVER, CLIENT), keyUsage(0x86))],
    ['the end of the root itself', (forgery) => ({ ...forgery, notAfter: root.notAfter })],
    ['a place to look things up', withExtensions(unknown('2.5.29.31'))],
  ])('may have %s', async (_, bend) => {
    const certificate = await sign(bend)
    expect(await verify(certificate)).toBe(certificate)
  })

  it.each<readonly [string, string, Bend]>([
    ['another key', 'ISSUED_KEY_MISMATCH', (forgery) => ({ ...forgery, publicKey: createNodeKey().publicKey })],
    ['another name', 'ISSUED_SUBJECT_MISMATCH', named([CN, 'ca-3'])],
    ['no right to sign certificates', 'ISSUED_CONSTRAINTS_MISMATCH', withExtensions(basicConstraints(false))],
    ['no constraints', 'ISSUED_CONSTRAINTS_MISMATCH', withoutExtension('2.5.29.19')],
    ['a path length', 'ISSUED_CONSTRAINTS_MISMATCH', withExtensions(basicConstraints(true, 0))],
    [
      'constraints that need not be understood',
      'ISSUED_CONSTRAINTS_MISMATCH',
      withExtensions({ type: '2.5.29.19', value: basicConstraints(true).value }),
    ],
    ['the usages of a leaf', 'ISSUED_USAGE_MISMATCH', withExtensions(keyUsage(0xa0))],
    ['no usages', 'ISSUED_USAGE_MISMATCH', withoutExtension('2.5.29.15')],
    ['a usage more', 'ISSUED_USAGE_MISMATCH', withExtensions(keyUsage(0x26))],
    ['half of TLS', 'ISSUED_USAGE_MISMATCH', withExtensions(extKeyUsage(SERVER))],
    ['a name of a node', 'ISSUED_NAMES_MISMATCH', withExtensions(altNames('swarm-manager'))],
    ['an extension that nobody knows', 'ISSUED_EXTENSION_UNEXPECTED', withExtensions(unknown('1.3.6.1.4.1.99999.1'))],
    ['no identifier of its issuer', 'ISSUED_KEY_ID_MISMATCH', withoutExtension('2.5.29.35')],
    ['the identifier of another issuer', 'ISSUED_KEY_ID_MISMATCH', withExtensions(authorityKeyId(keyId(9)))],
    ['no identifier of its key', 'ISSUED_KEY_ID_MISMATCH', withoutExtension('2.5.29.14')],
    ['another identifier of its key', 'ISSUED_KEY_ID_MISMATCH', withExtensions(subjectKeyId(keyId(9)))],
    [
      'more time than the root',
      'ISSUED_LIFETIME_MISMATCH',
      (forgery) => ({ ...forgery, notAfter: root.notAfter + ISSUED_TOLERANCE_MS + 1000 }),
    ],
    ['a start in the future', 'ISSUED_LIFETIME_MISMATCH', starts(NOW + 1000)],
    ['no time left', 'ISSUED_LIFETIME_MISMATCH', ends(NOW - 1000)],
    ['another signature', 'ISSUED_ISSUER_UNTRUSTED', (forgery) => ({ ...forgery, signer: createNodeKey() })],
    ['another issuer', 'ISSUED_ISSUER_UNTRUSTED', (forgery) => ({ ...forgery, issuer: forgeName([CN, 'ca-9']) })],
  ])('with %s is refused: %s', async (_, code, bend) => {
    await expect(sign(bend).then(verify)).rejects.toThrowCode(code)
  })
})
