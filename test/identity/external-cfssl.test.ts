import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import {
  createCsr,
  decodeCfsslAnswer,
  encodeAuthenticatedRequest,
  encodeCfsslRequest,
  encodeCrossSignRequest,
  IdentityError,
  MAX_CFSSL_ANSWER_BYTES,
  MAX_URL_LENGTH,
  MIN_LIFETIME_MS,
  parseCertificate,
  parseCfsslUrl,
  parseCsr,
} from '@leastwise/identity'
import { createNodeKey, hmacAuthenticator, MIN_HMAC_KEY_BYTES } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import { createCrossSignCsr } from '../../packages/identity/src/external/cross-sign-csr.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import { answerOf, askedOf, DAY_MS, fakeRoot, grantOf, NOW, rsaSigner } from './external-support.ts'
import { basicConstraints, CN, forge, forgeName, keyUsage, O, OU, subjectKeyId } from './forge.ts'

interface Recorded {
  readonly endpoint: string
  readonly request: Readonly<Record<string, unknown>> | string | null
  readonly status: number
  readonly answer: string
}

const read = (name: string): string =>
  readFileSync(new URL(`../vectors/identity/cfssl/${name}`, import.meta.url), 'utf8')
const RECORDED = JSON.parse(read('answers.json')) as Readonly<Record<string, Recorded>>
const recorded = (name: string): Recorded => RECORDED[name]!
const decode = (name: string) => decodeCfsslAnswer(answerOf(recorded(name).answer, recorded(name).status))
const TOKEN_KEY = Uint8Array.from(Buffer.from('0123456789ABCDEF0123456789ABCDEF', 'hex'))

const caught = (act: () => unknown): IdentityError => {
  try {
    act()
  } catch (error) {
    if (error instanceof IdentityError) return error
  }
  throw new Error('no refusal')
}

describe('the address of an external CA', () => {
  it.each([
    'https://127.0.0.1:8888/api/v1/cfssl/sign',
    'https://ca.example/api/v1/cfssl/authsign',
    'https://[::1]:8888/sign',
    'https://ca.example:65535',
    'https://localhost:8888',
    'https://[fd00::10.0.0.1]/sign',
    'https://ca-1.zone.example/a%20b/~x/',
  ])('may be %s', (text) => {
    expect(parseCfsslUrl(text)).toBe(text)
  })

  it.each([
    '',
    'http://ca.example/sign',
    'HTTPS://ca.example/sign',
    'https://',
    'https:///sign',
    'https://CA.example/sign',
    'https://user:password@ca.example/sign',
    'https://ca.example/sign?key=1',
    'https://ca.example/sign#top',
    'https://ca.example:0/sign',
    'https://ca.example:65536/sign',
    'https://ca..example/sign',
    'https://ca.example/sign\n',
    'https://[:4:1]/sign',
    'https://[::1%eth0]/sign',
    'https://[127.0.0.1]/sign',
    'https://[1::2::3]/sign',
    'https://256.0.0.1/sign',
    'https://127.1/sign',
    'https://2130706433/sign',
    'https://0x7f.1/sign',
    'https://ca.0x1/sign',
    'https://-ca.example/sign',
    'https://ca.example./sign',
    `https://${'a'.repeat(64)}.example/sign`,
    'https://ca.example\\sign',
    ' https://ca.example/sign',
    `https://ca.example/${'a'.repeat(MAX_URL_LENGTH)}`,
  ])('may not be %j', (text) => {
    expect(() => parseCfsslUrl(text)).toThrowCode('EXTERNAL_CA_URL_INVALID')
  })

  it('is not repeated by its refusal, which may hold a password', () => {
    const error = caught(() => parseCfsslUrl('https://user:marked-secret@ca.example/sign'))
    expect(inspect(error)).not.toContain('marked-secret')
  })
})

describe('a request', () => {
  it.each([
    ['worker', ['swarm-worker', testNodeId(7)]],
    ['manager', ['swarm-manager', testNodeId(7), 'swarm-ca']],
  ] as const)('for a %s says everything that the grant says, in the fields of Docker Swarm', async (role, hosts) => {
    const csr = await createCsr(createNodeKey())
    const body = encodeCfsslRequest(csr, grantOf({ role, lifetimeMs: DAY_MS }), {
      now: NOW,
      profile: 'node',
      label: 'one',
    })
    expect(askedOf(body)).toEqual({
      hosts,
      certificate_request: csr.pem,
      subject: { CN: testNodeId(7), names: [{ O: testClusterId(3), OU: `swarm-${role}` }], SerialNumber: '' },
      profile: 'node',
      crl_override: '',
      label: 'one',
      NotBefore: '2026-11-21T11:00:20Z',
      NotAfter: '2026-11-22T12:00:20Z',
    })
  })

  it('asks for the default profile and the only key unless told otherwise', async () => {
    const asked = askedOf(encodeCfsslRequest(await createCsr(createNodeKey()), grantOf(), { now: NOW }))
    expect([asked.profile, asked.label]).toEqual(['', ''])
  })

  it('is not made for a lifetime that no node may have', async () => {
    const csr = await createCsr(createNodeKey())
    const grant = grantOf({ lifetimeMs: MIN_LIFETIME_MS - 1 })
    expect(() => encodeCfsslRequest(csr, grant, { now: NOW })).toThrowCode('LIFETIME_TOO_SHORT')
  })

  it('to sign a root once more names the root, its constraints and the profile for CAs', async () => {
    const signer = createNodeKey()
    const subject = forgeName(['2.5.4.6', 'NL'], [O, 'one'], [O, 'two'], [OU, 'unit'], [CN, 'next'])
    const root = parseCertificate(
      await forge({
        ...{ issuer: subject, subject, publicKey: signer.publicKey, signer },
        ...{ notBefore: NOW, notAfter: NOW + DAY_MS - 20_000 },
        extensions: [keyUsage(0x06), basicConstraints(true, 1), subjectKeyId(new Uint8Array(20))],
      }),
    )
    const csr = await createCrossSignCsr(root, signer)
    expect(askedOf(encodeCrossSignRequest(root, csr))).toEqual({
      hosts: [],
      certificate_request: csr,
      subject: { CN: 'next', names: [{ C: 'NL' }, { O: 'one' }, { O: 'two' }, { OU: 'unit' }], SerialNumber: '' },
      profile: 'CA',
      crl_override: '',
      label: '',
      extensions: [{ id: '2.5.29.19', critical: true, value: '30060101ff020101' }],
      NotBefore: '2026-11-21T12:00:20Z',
      NotAfter: '2026-11-22T12:00:00Z',
    })
    // Read back by our own strict reader: name and key are those of the root, and the key signed it.
    expect(parseCsr(csr).publicKey).toEqual(root.publicKey)
  })

  it('to sign a root is made for an RSA key too, and only with the key of that root', async () => {
    const signer = rsaSigner()
    const root = await fakeRoot(2, signer)
    expect(await createCrossSignCsr(root, signer)).toMatch(/^-----BEGIN CERTIFICATE REQUEST-----\n/)
    await expect(createCrossSignCsr(root, rsaSigner())).rejects.toThrowCode('AUTHORITY_KEY_MISMATCH')
  })

  it.each([
    [
      'two common names',
      [
        [CN, 'a'],
        [CN, 'b'],
      ],
    ],
    ['no common name', [[O, 'a']]],
    [
      'a part that the protocol has no field for',
      [
        [CN, 'a'],
        ['2.5.4.65', 'b'],
      ],
    ],
  ] as const)('is not made for a root with %s', async (_, attributes) => {
    const signer = createNodeKey()
    const subject = forgeName(...attributes)
    const times = { notBefore: NOW, notAfter: NOW + DAY_MS }
    const extensions = [keyUsage(0x06), basicConstraints(true)]
    const der = await forge({ issuer: subject, subject, publicKey: signer.publicKey, signer, ...times, extensions })
    expect(() => encodeCrossSignRequest(parseCertificate(der), '')).toThrowCode('AUTHORITY_UNFIT')
  })
})

describe('the token of a request', () => {
  it.each(['authsign-ok', 'authsign-badkey', 'authsign-tampered'])(
    'is what the real server said of %s',
    async (name) => {
      const { request, status } = recorded(name)
      const { token, request: inner } = request as { readonly token: string; readonly request: string }
      const bytes = Uint8Array.from(Buffer.from(inner, 'base64'))
      const made = await hmacAuthenticator(TOKEN_KEY).authenticate(bytes)
      expect(Buffer.from(made).toString('base64') === token).toBe(status === 200)
      const body = JSON.parse(Buffer.from(encodeAuthenticatedRequest(bytes, made)).toString()) as unknown
      expect(body).toEqual({ token: Buffer.from(made).toString('base64'), request: inner })
    },
  )

  it('is made with 16 bytes and more, and the key is neither shown nor shared', async () => {
    expect(() => hmacAuthenticator(new Uint8Array(MIN_HMAC_KEY_BYTES - 1))).toThrow(RangeError)
    const key = TOKEN_KEY.slice()
    const authenticator = hmacAuthenticator(key)
    const before = await authenticator.authenticate(new Uint8Array(3))
    key.fill(0)
    expect(await authenticator.authenticate(new Uint8Array(3))).toEqual(before)
    expect(inspect(authenticator, { depth: 9, showHidden: true })).not.toMatch(/0123456789abcdef|01 23 45 67/i)
  })
})

describe('an answer', () => {
  const root = parseCertificate(read('root.pem'))

  it.each(['sign-ok', 'sign-unknown-profile', 'sign-profile-CA', 'authsign-ok'])(
    'of the real server to %s gives the certificate in it',
    (name) => {
      const certificate = decode(name)
      expect(certificate.issuer.der).toEqual(root.subject.der)
      expect(certificate.isCa).toBe(name === 'sign-profile-CA')
    },
  )

  it('of another endpoint, which tells of the root, is none', () => {
    expect(() => decode('info')).toThrowCode('EXTERNAL_CA_ANSWER_MALFORMED')
  })

  it.each([
    ['sign-empty', 'http status 400, code 400'],
    ['sign-bad-csr', 'http status 400, code 9002'],
    ['sign-notjson', 'http status 400, code 400'],
    ['sign-GET', 'http status 405, code 405'],
    [
      'sign-on-authserver',
      'http status 404); check the path of the address, and whether the server wants authenticated requests',
    ],
    ['sign-authed-profile-on-sign', 'http status 400, code 400'],
    ['authsign-badkey', 'http status 400, code 400'],
    ['authsign-notoken', 'http status 400, code 400'],
    ['authsign-tampered', 'http status 400, code 400'],
  ])('of the real server to %s is a refusal for good, told by its numbers', (name, facts) => {
    const error = caught(() => decode(name))
    expect(error.code).toBe('EXTERNAL_CA_REFUSED')
    expect(error.retryable).toBe(false)
    expect(error.message).toContain(facts)
  })

  it.each([408, 425, 429, 500, 502, 503, 599])('with status %i says later', (status) => {
    const error = caught(() => decodeCfsslAnswer(answerOf('<html>', status)))
    expect([error.code, error.retryable]).toEqual(['EXTERNAL_CA_BUSY', true])
  })

  it.each([0, 101, 201, 204, 301, 302, 307, 400, 401, 403, 404, 410, 418])(
    'with status %i is a refusal, also with a certificate in it',
    (status) => {
      const error = caught(() => decodeCfsslAnswer(answerOf(recorded('sign-ok').answer, status)))
      expect([error.code, error.retryable]).toEqual(['EXTERNAL_CA_REFUSED', false])
    },
  )

  it('with status 200 and without success is a refusal', () => {
    const answer = { success: false, result: { certificate: root.pem }, errors: [{ code: 5100, message: 'no' }] }
    const error = caught(() => decodeCfsslAnswer(answerOf(answer)))
    expect([error.code, error.message.includes('code 5100')]).toEqual(['EXTERNAL_CA_REFUSED', true])
  })

  it.each([
    ['nothing', ''],
    ['a page', '<html></html>'],
    ['null', null],
    ['a list', []],
    ['a number', 7],
    ['no result', { success: true }],
    ['an empty result', { success: true, result: {} }],
    ['a result of null', { success: true, result: null }],
    ['a list as result', { success: true, result: ['x'] }],
    ['another kind of success', { success: 'true', result: { certificate: root.pem } }],
    ['no success', { result: { certificate: root.pem } }],
    ['a number for a certificate', { success: true, result: { certificate: 1 } }],
    ['an inherited certificate', '{"success":true,"result":{"__proto__":{"certificate":"x"}}}'],
    ['no certificate at all', { success: true, result: { certificate: '' } }],
    ['two certificates', { success: true, result: { certificate: root.pem + root.pem } }],
    ['text around a certificate', { success: true, result: { certificate: `x\n${root.pem}` } }],
    [
      'a request',
      { success: true, result: { certificate: root.pem.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST') } },
    ],
    ['too large a certificate', { success: true, result: { certificate: 'A'.repeat(30_000) } }],
  ])('that holds %s is malformed', (_, answer) => {
    const error = caught(() => decodeCfsslAnswer(answerOf(answer)))
    expect([error.code, error.retryable]).toEqual(['EXTERNAL_CA_ANSWER_MALFORMED', false])
  })

  it('that is not UTF-8 is malformed, wherever the wrong byte is', () => {
    const good = Buffer.from(recorded('sign-ok').answer.replace('"messages":[]', '"messages":["x"]'))
    expect(decodeCfsslAnswer({ status: 200, body: good }).dnsNames).toContain('swarm-worker')
    const body = good.map((byte, at) => (at === good.indexOf('"x"') + 1 ? 0xff : byte))
    expect(() => decodeCfsslAnswer({ status: 200, body })).toThrowCode('EXTERNAL_CA_ANSWER_MALFORMED')
  })

  it('beyond its size is refused whatever it says, up to it is read', () => {
    const good = recorded('sign-ok').answer
    const fit = good + ' '.repeat(MAX_CFSSL_ANSWER_BYTES - good.length)
    expect(decodeCfsslAnswer(answerOf(fit)).dnsNames).toContain('swarm-worker')
    expect(() => decodeCfsslAnswer(answerOf(`${fit} `))).toThrowCode('EXTERNAL_CA_ANSWER_TOO_LARGE')
  })

  it('is not repeated by any refusal', () => {
    const marked = 'marked-secret-7f3a'
    const answers = [
      answerOf(`{"${marked}`),
      answerOf({ success: false, errors: [{ code: marked, message: marked }] }, 400),
      answerOf({ success: true, result: { certificate: marked } }),
      answerOf(marked, 503),
    ]
    for (const answer of answers)
      expect(
        inspect(
          caught(() => decodeCfsslAnswer(answer)),
          { depth: 9 },
        ),
      ).not.toContain(marked)
  })
})
