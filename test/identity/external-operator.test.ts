import {
  type Certificate,
  type Csr,
  createCsr,
  DEFAULT_OPERATOR_LIFETIME_MS,
  type ExternalAuthorityOptions,
  type HttpRequest,
  MAX_OPERATOR_LIFETIME_MS,
  OPERATOR_PROFILE,
  OPERATOR_UNIT,
  openExternalAuthority,
  parseCsr,
  verifyOperator,
  verifyPeer,
} from '@leastwise/identity'
import { createNodeKey, systemVerifier as verifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  altNames,
  askedOf,
  asking,
  type Bend,
  DAY_MS,
  type FakeCa,
  fakeCa,
  fakeServer,
  goodAnswer,
  HOUR_MS,
  MINUTE_MS,
  NOW,
  URL_1,
  withExtensions,
} from './external-support.ts'
import { basicConstraints, CLIENT, CN, extKeyUsage, forgeName, keyUsage, O, OU, SERVER } from './forge.ts'

const grant = { operatorId: testNodeId(7), clusterId: testClusterId(3) }

/** What the profile for operators makes of it. */
const narrow: Bend = (forgery, asked) => ({
  ...withExtensions(keyUsage(0x80), extKeyUsage(CLIENT))(forgery, asked),
  notAfter: forgery.notBefore + 5 * MINUTE_MS + 8 * HOUR_MS,
})
const then =
  (next: Bend): Bend =>
  (forgery, asked) =>
    next(narrow(forgery, asked), asked)

describe('an operator with an external CA', () => {
  let ca: FakeCa
  let other: FakeCa
  let csr: Csr
  beforeAll(async () => {
    ca = await fakeCa()
    other = await fakeCa({ number: 2 })
    csr = await createCsr(createNodeKey())
  })
  const server = (bend: Bend = narrow, by = ca, key?: Uint8Array) =>
    fakeServer(async ({ body }: HttpRequest) => {
      const asked = askedOf(body)
      return goodAnswer(await by.sign(asked, key ?? parseCsr(asked.certificate_request).publicKey, bend))
    })
  const open = (http = server(), more: Partial<ExternalAuthorityOptions> = {}) =>
    openExternalAuthority({ urls: [URL_1], http, roots: [ca.root], verifier, ...more })
  const issued = async (bend?: Bend): Promise<Certificate> =>
    await open(server(bend)).issueOperator(csr, grant, asking())

  it('gets a certificate that is an operator’s to managers, and a node’s to nobody', async () => {
    const certificate = await issued()
    const against = { roots: [ca.root], now: NOW, clusterId: grant.clusterId, verifier }
    expect(verifyOperator([certificate], against)).toMatchObject(grant)
    await expect(verifyPeer([certificate], against)).rejects.toThrowCode('PEER_PROFILE_INVALID')
  })

  it('is asked for without names, in the profile for operators, for eight hours', async () => {
    const http = server()
    await open(http).issueOperator(csr, grant, asking())
    const asked = askedOf(http.asked[0]!.body)
    expect(asked).toMatchObject({
      hosts: [],
      profile: 'leastwise-operator',
      subject: { CN: grant.operatorId, names: [{ O: grant.clusterId, OU: OPERATOR_UNIT }] },
    })
    expect(OPERATOR_PROFILE).toBe('leastwise-operator')
    expect(Date.parse(asked.NotAfter)).toBe(NOW + DEFAULT_OPERATOR_LIFETIME_MS)
    const named = server()
    await open(named, { operatorProfile: 'people', profile: 'nodes', label: 'second' }).issueOperator(
      csr,
      grant,
      asking(),
    )
    expect(askedOf(named.asked[0]!.body)).toMatchObject({ profile: 'people', label: 'second' })
  })

  it.each<[string, string, Bend]>([
    ['the default profile, which is for nodes', 'ISSUED_USAGE_MISMATCH', (forgery) => forgery],
    ['a server’s use beside', 'ISSUED_USAGE_MISMATCH', then(withExtensions(extKeyUsage(SERVER, CLIENT)))],
    ['another use of the key', 'ISSUED_USAGE_MISMATCH', then(withExtensions(keyUsage(0xa0)))],
    ['a name', 'ISSUED_NAMES_MISMATCH', then(withExtensions(altNames('swarm-manager')))],
    ['the rights of a ca', 'ISSUED_CONSTRAINTS_MISMATCH', then(withExtensions(basicConstraints(true)))],
    [
      'one more extension',
      'ISSUED_EXTENSION_UNEXPECTED',
      then(withExtensions({ type: '1.2.3.4', value: Uint8Array.of(5, 0) })),
    ],
    [
      'the subject of a manager',
      'ISSUED_SUBJECT_MISMATCH',
      then((forgery) => ({
        ...forgery,
        subject: forgeName([O, grant.clusterId], [OU, 'swarm-manager'], [CN, grant.operatorId]),
      })),
    ],
    [
      'another operator’s id',
      'ISSUED_SUBJECT_MISMATCH',
      then((forgery) => ({
        ...forgery,
        subject: forgeName([O, grant.clusterId], [OU, OPERATOR_UNIT], [CN, testNodeId(8)]),
      })),
    ],
    ['a longer life', 'ISSUED_LIFETIME_MISMATCH', then((forgery) => ({ ...forgery, notAfter: NOW + 9 * HOUR_MS }))],
    [
      'a life that has ended',
      'ISSUED_LIFETIME_MISMATCH',
      then((forgery) => ({ ...forgery, notAfter: NOW - MINUTE_MS })),
    ],
  ])('is not given what has %s: %s', async (_what, code, bend) => {
    await expect(issued(bend)).rejects.toThrowCode(code)
  })

  it('is not given what is for another key, or under another root', async () => {
    const key = createNodeKey().publicKey
    await expect(open(server(narrow, ca, key)).issueOperator(csr, grant, asking())).rejects.toThrowCode(
      'ISSUED_KEY_MISMATCH',
    )
    await expect(open(server(narrow, other)).issueOperator(csr, grant, asking())).rejects.toThrowCode(
      'ISSUED_ISSUER_UNTRUSTED',
    )
  })

  it('asks nobody for what cannot be: by an intermediate, for too long, beyond the root, or for another key than it has', async () => {
    const http = server()
    const under = open(http, { intermediates: [other.root] })
    await expect(under.issueOperator(csr, grant, asking())).rejects.toThrowCode('AUTHORITY_UNFIT')
    for (const lifetimeMs of [0, 999, MAX_OPERATOR_LIFETIME_MS + 1, Number.NaN])
      await expect(open(http).issueOperator(csr, { ...grant, lifetimeMs }, asking())).rejects.toThrow(RangeError)
    const ending = asking({ now: NOW + 20 * 365 * DAY_MS - HOUR_MS })
    await expect(open(http).issueOperator(csr, grant, ending)).rejects.toThrowCode('LIFETIME_EXCEEDS_ISSUER')
    const forged = { ...csr, publicKey: (await createCsr(createNodeKey())).publicKey }
    await expect(open(http).issueOperator(forged, grant, asking())).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
    const gone = AbortSignal.abort(new Error('gave up'))
    await expect(open(http).issueOperator(csr, grant, asking({ signal: gone }))).rejects.toThrow('gave up')
    expect(http.asked).toEqual([])
  })
})
