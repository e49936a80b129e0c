import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Certificate,
  type CfsslUrl,
  createCsr,
  type ExternalAuthority,
  type ExternalAuthorityOptions,
  type Grant,
  IdentityError,
  issueCertificate,
  openAuthority,
  openExternalAuthority,
  parseCfsslUrl,
  verifyOperator,
  verifyPeer,
} from '@leastwise/identity'
import {
  type ClientIdentity,
  createNodeKey,
  hmacAuthenticator,
  httpsPost,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier as verifier,
} from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { signingAuthorityContract } from '../contract/signing-authority.ts'
import { type TestCluster, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import { freePort, type MadeCa, makeCa, makeServerCertificate, START_MS } from './support/cfssl.ts'
import { describePeer, needs, program } from './support/needs.ts'
import { stateDirectory } from './support/orchestrator.ts'
import { until } from './support/until.ts'

const TOKEN_KEY = '0123456789abcdef0123456789abcdef'
const LEAF = { usages: ['signing', 'key encipherment', 'server auth', 'client auth'], expiry: '2160h' }
const PROFILES = {
  CA: { usages: ['cert sign', 'crl sign'], expiry: '43800h', ca_constraint: { is_ca: true } },
  client: { usages: ['signing', 'key encipherment', 'client auth'], expiry: '2160h' },
  day: { ...LEAF, expiry: '24h' },
  years: { ...LEAF, expiry: '8760h' },
  signing: { ...LEAF, usages: [...LEAF.usages, 'code signing'] },
  'leastwise-operator': { usages: ['signing', 'client auth'], expiry: '8h' },
  noted: {
    ...LEAF,
    crl_url: 'http://ca.example/crl',
    ocsp_url: 'http://ca.example/ocsp',
    issuer_urls: ['http://ca.example/ca'],
  },
}
const OPEN = { signing: { default: LEAF, profiles: PROFILES } }
const AUTHED = {
  signing: { default: { ...LEAF, auth_key: 'primary' } },
  auth_keys: { primary: { type: 'standard', key: TOKEN_KEY } },
}

const at = (port: number, endpoint: 'sign' | 'authsign'): CfsslUrl =>
  parseCfsslUrl(`https://127.0.0.1:${port}/api/v1/cfssl/${endpoint}`)

describePeer('cfssl', needs('cfssl'), () => {
  let directory: ReturnType<typeof stateDirectory>
  const children: ChildProcess[] = []
  let cluster: TestCluster
  let client: ClientIdentity
  let ca: MadeCa
  let rsa: MadeCa
  let tls: ReturnType<typeof makeServerCertificate>
  let open: number
  let authed: number
  let ofRsa: number

  /** Starts a server and waits until it answers those that it knows. */
  async function start(
    signing: MadeCa,
    config: object,
    more: readonly string[] = [],
  ): Promise<{ readonly port: number; readonly child: ChildProcess }> {
    const port = await freePort()
    const file = join(directory.path, `config-${port}.json`)
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
    const clusterRoot = join(directory.path, 'cluster.pem')
    const child = spawn(
      program('cfssl'),
      [
        ...['serve', '-loglevel=5', '-address=127.0.0.1', `-port=${port}`, '-config', file],
        ...['-ca', signing.certificate, '-ca-key', signing.key],
        ...['-tls-cert', tls.certificate, '-tls-key', tls.key, '-mutual-tls-ca', clusterRoot, ...more],
      ],
      { cwd: directory.path, stdio: 'ignore' },
    )
    children.push(child)
    const known = await until('cfssl answers', START_MS, async () => {
      if (child.exitCode !== null) throw new Error(`cfssl ended with ${child.exitCode}`)
      return await http.post(bare(at(port, 'sign'))).then(
        () => true,
        (error: unknown) => (error instanceof IdentityError && error.code === 'EXTERNAL_CA_UNREACHABLE' ? null : true),
      )
    })
    expect(known).toBe(true)
    return { port, child }
  }

  const bare = (url: string) => ({
    url,
    body: new TextEncoder().encode('{}'),
    deadlineMs: 5000,
    maxAnswerBytes: 10_000,
    signal: new AbortController().signal,
  })
  const http = {
    post: async (asked: Parameters<ReturnType<typeof httpsPost>['post']>[0]) => await posts(client).post(asked),
  }
  const posts = (identity: ClientIdentity | null) => httpsPost({ serverRoots: ca.root.pem, identity: () => identity })
  const authority = (urls: readonly CfsslUrl[], more: Partial<ExternalAuthorityOptions> = {}): ExternalAuthority =>
    openExternalAuthority({ urls, http, roots: [ca.root], verifier, ...more })
  const tokens = () => hmacAuthenticator(Uint8Array.from(Buffer.from(TOKEN_KEY, 'hex')))
  const grantOf = (more: Partial<Grant> = {}): Grant => ({
    ...{ nodeId: testNodeId(7), clusterId: testClusterId(3), role: 'worker', lifetimeMs: 90 * 24 * 3_600_000 },
    ...more,
  })
  const now = () => ({ now: Date.now(), signal: new AbortController().signal })
  const issue = async (from: ExternalAuthority, grant = grantOf()): Promise<Certificate> =>
    await from.issue(await createCsr(createNodeKey()), grant, now())

  beforeAll(async () => {
    directory = stateDirectory()
    cluster = await testCluster()
    client = await cluster.issue({ role: 'manager' })
    writeFileSync(join(directory.path, 'cluster.pem'), cluster.root.pem)
    ca = makeCa(directory.path, 'external', { algo: 'ecdsa', size: 256 })
    rsa = makeCa(directory.path, 'external-rsa', { algo: 'rsa', size: 2048 })
    tls = makeServerCertificate(directory.path, ca)
    open = (await start(ca, OPEN)).port
    authed = (await start(ca, AUTHED)).port
    ofRsa = (await start(rsa, OPEN)).port
  })
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL')
    directory[Symbol.dispose]()
  })

  signingAuthorityContract('cfssl, open', async () => ({
    authority: authority([at(open, 'sign')]),
    roots: [ca.root],
    now: Date.now(),
  }))

  signingAuthorityContract('cfssl, with tokens', async () => ({
    authority: authority([at(authed, 'authsign')], { authenticator: tokens() }),
    roots: [ca.root],
    now: Date.now(),
  }))

  signingAuthorityContract('cfssl, under an RSA root', async () => ({
    authority: authority([at(ofRsa, 'sign')], { roots: [rsa.root] }),
    roots: [rsa.root],
    now: Date.now(),
  }))

  it('passes a dry run at each of its addresses', async () => {
    const { port: second } = await start(ca, OPEN)
    const issued = await authority([at(open, 'sign'), at(second, 'sign')]).dryRun(createNodeKey(), grantOf(), now())
    expect(issued).toHaveLength(2)
  })

  it('fails a dry run where the key is under another root', async () => {
    const run = authority([at(open, 'sign'), at(ofRsa, 'sign')]).dryRun(createNodeKey(), grantOf(), now())
    await expect(run).rejects.toThrowCode('ISSUED_ISSUER_UNTRUSTED')
  })

  it('takes an unknown profile for its default, which the check of the fields finds out', async () => {
    // The default is for servers and clients, as asked; the name is what its operator got wrong.
    const narrow = await start(ca, { signing: { default: PROFILES.client, profiles: { node: LEAF } } })
    expect((await issue(authority([at(narrow.port, 'sign')], { profile: 'node' }))).isCa).toBe(false)
    await expect(issue(authority([at(narrow.port, 'sign')], { profile: 'nodes' }))).rejects.toThrowCode(
      'ISSUED_USAGE_MISMATCH',
    )
  })

  it.each([
    ['years', 'ISSUED_LIFETIME_MISMATCH'],
    ['client', 'ISSUED_USAGE_MISMATCH'],
    ['signing', 'ISSUED_USAGE_MISMATCH'],
    ['CA', 'ISSUED_CONSTRAINTS_MISMATCH'],
  ])('is refused with the profile %s: %s', async (profile, code) => {
    await expect(issue(authority([at(open, 'sign')], { profile }))).rejects.toThrowCode(code)
  })

  it('may give less time than asked, and say where to look things up', async () => {
    const { notAfter } = await issue(authority([at(open, 'sign')], { profile: 'day' }))
    expect(notAfter - Date.now()).toBeLessThan(25 * 3_600_000)
    expect((await issue(authority([at(open, 'sign')], { profile: 'noted' }))).unknownCritical).toEqual([])
  })

  it('refuses a wrong token key for good, and a plain request where it wants tokens', async () => {
    const wrong = hmacAuthenticator(new Uint8Array(16).fill(1))
    const badKey = issue(authority([at(authed, 'authsign')], { authenticator: wrong }))
    await expect(badKey).rejects.toMatchObject({ code: 'EXTERNAL_CA_REFUSED', retryable: false })
    const plain = issue(authority([at(authed, 'sign')]))
    await expect(plain).rejects.toMatchObject({ code: 'EXTERNAL_CA_REFUSED', retryable: false })
    await expect(plain).rejects.toThrow(/http status 404/)
  })

  it('turns down who shows no certificate of the cluster', async () => {
    const stranger = await (await testCluster({ commonName: 'other' })).issue()
    for (const identity of [null, stranger]) {
      const issued = issue(authority([at(open, 'sign')], { http: posts(identity) }))
      // It says why and closes; when the end of the connection overtakes what it said, only that is seen.
      await expect(issued).rejects.toMatchObject({
        code: expect.stringMatching(/^EXTERNAL_CA_(REFUSED|UNREACHABLE)$/) as string,
      })
    }
  })

  it('is not asked when it shows a certificate under another root', async () => {
    const expecting = httpsPost({ serverRoots: cluster.root.pem, identity: () => client })
    const issued = issue(authority([at(open, 'sign')], { http: expecting }))
    await expect(issued).rejects.toMatchObject({ code: 'EXTERNAL_CA_UNTRUSTED', retryable: false })
  })

  it('gives no certificate through another of its endpoints', async () => {
    const info = parseCfsslUrl(`https://127.0.0.1:${open}/api/v1/cfssl/info`)
    await expect(issue(authority([info]))).rejects.toThrowCode('EXTERNAL_CA_ANSWER_MALFORMED')
  })

  it('is asked at its second address when the first was killed, in between and for good', async () => {
    const first = await start(ca, OPEN)
    const both = authority([at(first.port, 'sign'), at(open, 'sign')])
    await issue(both)
    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    expect((await issue(both)).issuer.der).toEqual(ca.root.subject.der)
    const dead = issue(authority([at(first.port, 'sign')]))
    await expect(dead).rejects.toMatchObject({ code: 'EXTERNAL_CA_UNREACHABLE', retryable: true })
  })

  it('is asked at its second address when the first hangs, after the deadline', async () => {
    const first = await start(ca, OPEN)
    first.child.kill('SIGSTOP')
    onTestFinished(() => {
      first.child.kill('SIGKILL')
    })
    const begun = performance.now()
    await issue(authority([at(first.port, 'sign'), at(open, 'sign')], { deadlineMs: 300 }))
    expect(performance.now() - begun).toBeGreaterThan(290)
    const alone = issue(authority([at(first.port, 'sign')], { deadlineMs: 300 }))
    await expect(alone).rejects.toMatchObject({ code: 'EXTERNAL_CA_TIMEOUT', retryable: true })
  })

  it('signs for an operator through a profile of its own, and nothing else passes for one', async () => {
    const grant = { operatorId: testNodeId(7), clusterId: testClusterId(3) }
    const asked = async (from: ExternalAuthority) =>
      await from.issueOperator(await createCsr(createNodeKey()), grant, now())
    const certificate = await asked(authority([at(open, 'sign')]))
    const against = { roots: [ca.root], now: Date.now(), clusterId: grant.clusterId, verifier }
    expect(verifyOperator([certificate], against)).toMatchObject(grant)
    await expect(verifyPeer([certificate], against)).rejects.toThrowCode('PEER_PROFILE_INVALID')
    expect((await asked(authority([at(ofRsa, 'sign')], { roots: [rsa.root] }))).keyUsage).toEqual(['digitalSignature'])
    for (const [operatorProfile, code] of [
      ['nobody knows it', 'ISSUED_USAGE_MISMATCH'],
      ['client', 'ISSUED_USAGE_MISMATCH'],
      ['CA', 'ISSUED_CONSTRAINTS_MISMATCH'],
    ] as const)
      await expect(asked(authority([at(open, 'sign')], { operatorProfile }))).rejects.toThrowCode(code)
    const brief = { ...grant, lifetimeMs: 3_600_000 }
    const tooLong = authority([at(open, 'sign')]).issueOperator(await createCsr(createNodeKey()), brief, now())
    await expect(tooLong).rejects.toThrowCode('ISSUED_LIFETIME_MISMATCH')
  })

  it('signs a new root once more, through which leaves of it are trusted by who knows the old one', async () => {
    const { certificate: next, privateKey } = await createRoot({
      ...{ now: Date.now(), serial: systemRandom.bytes(20), commonName: 'swarm-ca-2', clusterId: testClusterId(3) },
    })
    const cross = await authority([at(open, 'sign')]).crossSign(next, openSigner(privateKey), now())
    expect(cross.issuer.der).toEqual(ca.root.subject.der)
    const issuer = await openAuthority(
      { certificate: next, signer: openSigner(privateKey), intermediates: [cross] },
      { verifier },
    )
    const leaf = await issueCertificate(issuer, await createCsr(createNodeKey()), grantOf({ lifetimeMs: 3_600_000 }), {
      ...{ random: systemRandom, now: Date.now(), verifier, digest: systemDigest },
    })
    for (const roots of [[ca.root], [next]]) {
      const peer = await verifyPeer([leaf, cross], { roots, now: Date.now(), clusterId: testClusterId(3), verifier })
      expect(peer.nodeId).toBe(testNodeId(7))
    }
    await expect(
      verifyPeer([leaf, cross], { roots: [cluster.root], now: Date.now(), clusterId: testClusterId(3), verifier }),
    ).rejects.toThrowCode('PEER_UNTRUSTED')
  })

  it('signs no root where it has no profile for it: what it takes instead is found out', async () => {
    const { certificate: next, privateKey } = await createRoot({
      ...{ now: Date.now(), serial: systemRandom.bytes(20), commonName: 'swarm-ca-2' },
    })
    const narrow = await start(ca, { signing: { default: LEAF } })
    const signed = authority([at(narrow.port, 'sign')]).crossSign(next, openSigner(privateKey), now())
    await expect(signed).rejects.toThrowCode('ISSUED_CONSTRAINTS_MISMATCH')
  })
})
