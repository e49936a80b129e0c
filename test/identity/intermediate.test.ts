import {
  allowManagerIssuing,
  type Certificate,
  createCsr,
  evictionBook,
  evictionsFrom,
  type IntermediateGrant,
  issueIntermediate,
  listedIssuers,
  MAX_INTERMEDIATE_LIFETIME_MS,
  MAX_INTERMEDIATE_ZONES,
  type Membership,
  type MembershipCommand,
  managerOfIntermediate,
  membership,
  ofEvictedManager,
  openAuthority,
  type PeerIdentity,
  parseCertificate,
  parseCsr,
  parseTrustDomain,
  parseZone,
  type SyncVerifyPeerOptions,
  verifyPeerSync,
  viewOf,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  authorityKeyId,
  basicConstraints,
  CA,
  CLIENT,
  CN,
  codeOf,
  forge,
  forgeName,
  keyUsage,
  O,
  OU,
  SERVER,
  subjectKeyId,
  twinOf,
} from './forge.ts'
import {
  DAY,
  deps,
  email,
  HOUR,
  type IssuingManager,
  ip,
  issuingManager,
  leafNamed,
  subjectOf,
  uri,
  withManagers,
} from './intermediate-support.ts'

const NOW = Date.UTC(2026, 10, 25, 12)
const ZONE_A = parseZone('zone-a')
const ZONE_B = parseZone('zone-b')
const DOMAIN = parseTrustDomain('prod.example')

let cluster: TestCluster
let whole: IssuingManager
let zoned: IssuingManager
let trusted: IssuingManager
beforeAll(async () => {
  cluster = await testCluster({ now: NOW })
  whole = await issuingManager({ cluster })
  zoned = await issuingManager({ cluster, grant: { zones: [ZONE_A] }, managerNumber: 901 })
  trusted = await issuingManager({ cluster, grant: { ...withManagers, trustDomain: DOMAIN }, managerNumber: 902 })
})

const verify = (chain: readonly Certificate[], changes: Partial<SyncVerifyPeerOptions> = {}): PeerIdentity =>
  verifyPeerSync(chain, {
    roots: [cluster.root],
    now: NOW,
    clusterId: cluster.clusterId,
    verifier: systemVerifier,
    ...changes,
  })
const outcome = (...args: Parameters<typeof verify>): string => codeOf(() => verify(...args))

describe('an intermediate', () => {
  it('is a CA for leaves alone, for days, bound to cluster, role and zone, with nothing else critical', () => {
    const { intermediate, manager } = zoned
    expect(intermediate).toMatchObject({
      isCa: true,
      pathLength: 0,
      keyUsage: ['keyCertSign', 'cRLSign'],
      extKeyUsage: [SERVER, CLIENT],
      critical: ['2.5.29.15', '2.5.29.19', '2.5.29.30'],
      unknownCritical: [],
      authorityKeyId: cluster.root.subjectKeyId,
      notBefore: NOW - HOUR,
      notAfter: NOW + 7 * DAY,
    })
    expect(intermediate.subject.attributes.map(({ value }) => value)).toEqual([
      cluster.clusterId,
      'swarm-issuer',
      manager.nodeId,
    ])
    expect(intermediate.nameConstraints).toEqual({
      permitted: [
        { kind: 'dns', value: 'swarm-worker' },
        { kind: 'dns', value: `zone-a.${cluster.clusterId}` },
        { kind: 'uri', value: 'invalid' },
        { kind: 'email', value: 'invalid' },
      ],
      excluded: [
        { kind: 'ip', address: new Uint8Array(4), mask: new Uint8Array(4) },
        { kind: 'ip', address: new Uint8Array(16), mask: new Uint8Array(16) },
      ],
    })
    expect(parseCertificate(intermediate.pem).der).toEqual(intermediate.der)
  })

  it('issues workers, whose names say cluster and zone', async () => {
    const plain = await whole.issue()
    expect(plain.dnsNames).toEqual(['swarm-worker', `${testNodeId(1)}.${cluster.clusterId}`])
    const peer = verify([plain, whole.intermediate])
    expect(peer).toMatchObject({ role: 'worker', nodeId: testNodeId(1), clusterId: cluster.clusterId })
    expect(peer.zone).toBeUndefined()
    expect(outcome([plain])).toBe('PEER_UNTRUSTED')
    expect(outcome([plain, whole.intermediate, cluster.root])).toBe('ok')
    const inZone = await zoned.issue({ zone: ZONE_A })
    expect(inZone.dnsNames).toEqual(['swarm-worker', `${testNodeId(1)}.zone-a.${cluster.clusterId}`])
    expect(verify([inZone, zoned.intermediate]).zone).toBe(ZONE_A)
    expect(verify([await whole.issue({ zone: ZONE_B }), whole.intermediate]).zone).toBe(ZONE_B)
  })

  it('issues managers and SPIFFE IDs only when the root says so', async () => {
    const chain = [await trusted.issue({ role: 'manager' }), trusted.intermediate]
    expect(verify(chain)).toMatchObject({ role: 'manager' })
    expect(chain[0]?.dnsNames).toEqual(['swarm-manager', `${testNodeId(1)}.${cluster.clusterId}`, 'swarm-ca'])
    const id = `spiffe://${DOMAIN}/worker` as NonNullable<Parameters<typeof whole.issue>[0]>['spiffeId'] & string
    expect(
      verify([await trusted.issue({ spiffeId: id }), trusted.intermediate], { trustDomain: DOMAIN }),
    ).toMatchObject({
      spiffeId: id,
    })
    await expect(whole.issue({ role: 'manager' })).rejects.toThrowCode('GRANT_OUTSIDE_ISSUER')
    await expect(whole.issue({ spiffeId: id })).rejects.toThrowCode('GRANT_OUTSIDE_ISSUER')
  })

  it('refuses to issue outside its grant', async () => {
    await expect(zoned.issue()).rejects.toThrowCode('GRANT_OUTSIDE_ISSUER')
    await expect(zoned.issue({ zone: ZONE_B })).rejects.toThrowCode('GRANT_OUTSIDE_ISSUER')
    await expect(whole.issue({ clusterId: testClusterId(2) })).rejects.toThrowCode('GRANT_OUTSIDE_ISSUER')
    await expect(whole.issue({ lifetimeMs: 8 * DAY })).rejects.toThrowCode('LIFETIME_EXCEEDS_ISSUER')
    // What was refused is not remembered as a template.
    await expect(whole.issue()).resolves.toBeDefined()
    await expect(zoned.issue({ zone: ZONE_A })).resolves.toBeDefined()
  })

  it('serves through a rotation: leaf, intermediate, and the new root signed by the old', async () => {
    const next = await testCluster({ now: NOW, commonName: 'swarm-ca-2' })
    const issuer = await issuingManager({ cluster: next })
    const twin = parseCertificate(
      await forge({
        ...twinOf(next.root),
        issuer: cluster.root.subject.der,
        signer: openSigner(cluster.rootKey),
        extensions: [
          ...CA,
          subjectKeyId(next.root.subjectKeyId ?? new Uint8Array(1)),
          authorityKeyId(cluster.root.subjectKeyId ?? new Uint8Array(1)),
        ],
      }),
    )
    const chain = [await issuer.issue(), issuer.intermediate, twin]
    expect(outcome(chain)).toBe('ok')
    expect(outcome(chain, { roots: [next.root] })).toBe('ok')
    const parts = {
      certificate: issuer.intermediate,
      signer: issuer.signer,
      intermediates: [issuer.intermediate, twin],
    }
    await expect(openAuthority(parts, { verifier: systemVerifier })).resolves.toBeDefined()
  })
})

describe('a changed intermediate', () => {
  it('vouches for nothing, whichever bit was flipped and wherever it was cut off', async () => {
    const leaf = await whole.issue()
    const { der } = whole.intermediate
    const judged = (bytes: Uint8Array): string => codeOf(() => verify([leaf, parseCertificate(bytes)]))
    expect(judged(der)).toBe('ok')
    for (let bit = 0; bit < der.length * 8; bit += 1) {
      const flipped = Uint8Array.from(der)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(judged(flipped)).not.toBe('ok')
    }
    for (let length = 0; length < der.length; length += 1)
      expect(judged(der.slice(0, length))).toBe('CERTIFICATE_MALFORMED')
  })
})

describe('who holds the key of an intermediate', () => {
  const node = testNodeId(1)
  const c = (): string => cluster.clusterId
  const forged = async (
    issuer: IssuingManager,
    role: string,
    names: readonly (string | Uint8Array)[],
    subject: Uint8Array = subjectOf(c(), role, node),
  ): Promise<string> =>
    outcome([await issuer.forge({ subject, extensions: leafNamed(issuer.intermediate, names) }), issuer.intermediate])

  it('can make what the grant says', async () => {
    expect(await forged(whole, 'swarm-worker', ['swarm-worker', `${node}.${c()}`])).toBe('ok')
    expect(await forged(whole, 'swarm-worker', ['swarm-worker', `${node}.zone-q.${c()}`])).toBe('ok')
    expect(await forged(zoned, 'swarm-worker', ['swarm-worker', `${node}.zone-a.${c()}`])).toBe('ok')
  })

  it('cannot make a manager, by name or by subject', async () => {
    const names = ['swarm-manager', `${node}.${c()}`, 'swarm-ca']
    expect(await forged(whole, 'swarm-manager', names)).toBe('PEER_NAMES_FORBIDDEN')
    expect(await forged(whole, 'swarm-manager', ['swarm-worker', `${node}.${c()}`])).toBe('PEER_NAMES_INVALID')
    expect(await forged(whole, 'swarm-worker', ['swarm-worker', `${node}.${c()}`, 'swarm-ca'])).toBe(
      'PEER_NAMES_FORBIDDEN',
    )
    expect(await forged(trusted, 'swarm-manager', names)).toBe('ok')
  })

  it('cannot leave its zone or its cluster', async () => {
    const other = testClusterId(2)
    expect(await forged(zoned, 'swarm-worker', ['swarm-worker', `${node}.zone-b.${c()}`])).toBe('PEER_NAMES_FORBIDDEN')
    expect(await forged(zoned, 'swarm-worker', ['swarm-worker', `${node}.${c()}`])).toBe('PEER_NAMES_FORBIDDEN')
    expect(await forged(zoned, 'swarm-worker', ['swarm-worker', `${node}.xzone-a.${c()}`])).toBe('PEER_NAMES_FORBIDDEN')
    const subject = subjectOf(other, 'swarm-worker', node)
    expect(await forged(whole, '', ['swarm-worker', `${node}.${other}`], subject)).toBe('PEER_NAMES_FORBIDDEN')
    // Named for this cluster, and by its subject of the other one.
    expect(await forged(whole, '', ['swarm-worker', `${node}.${c()}`], subject)).toBe('PEER_NAMES_INVALID')
  })

  it('cannot say one thing in the subject and another in the names, nor leave names out', async () => {
    const subject = subjectOf(c(), 'swarm-worker', testNodeId(2))
    expect(await forged(whole, '', ['swarm-worker', `${node}.${c()}`], subject)).toBe('PEER_NAMES_INVALID')
    expect(await forged(whole, 'swarm-worker', ['swarm-worker'])).toBe('PEER_NAMES_INVALID')
    expect(await forged(whole, 'swarm-worker', [`${node}.${c()}`, 'swarm-worker'])).toBe('PEER_NAMES_INVALID')
    const name = `${node}.${c()}`
    expect(await forged(whole, 'swarm-worker', ['swarm-worker', name, name])).toBe('PEER_NAMES_INVALID')
    expect(await forged(whole, 'swarm-worker', ['swarm-worker', `${node}.a.b.${c()}`])).toBe('PEER_NAMES_INVALID')
    const nameless = await whole.forge({
      extensions: leafNamed(whole.intermediate, ['x']).filter(({ type }) => type !== '2.5.29.17'),
    })
    expect(outcome([nameless, whole.intermediate])).toBe('PEER_NAMES_INVALID')
  })

  it('cannot give names of other kinds', async () => {
    const names = ['swarm-worker', `${node}.${c()}`]
    for (const more of [uri('spiffe://prod.example/worker'), uri('urn:x:y'), email('a@b.example'), ip(10, 0, 0, 1)])
      expect(await forged(whole, 'swarm-worker', [...names, more])).toBe('PEER_NAMES_FORBIDDEN')
    // Kinds that no constraint is for: a registered identifier, and a directory name.
    const registered = Uint8Array.of(0x88, 2, 42, 3)
    const directory = Uint8Array.of(0xa4, 2, 0x30, 0)
    for (const more of [registered, directory])
      expect(await forged(whole, 'swarm-worker', [...names, more])).toBe('PEER_NAMES_INVALID')
    expect(await forged(trusted, 'swarm-worker', [...names, uri('spiffe://prod.example/worker')])).toBe('ok')
    for (const more of [
      uri('spiffe://dev.example/worker'),
      uri('spiffe://a.prod.example/w'),
      uri('spiffe:prod.example'),
    ])
      expect(await forged(trusted, 'swarm-worker', [...names, more])).toBe('PEER_NAMES_FORBIDDEN')
  })

  it('cannot put two units into the subject', async () => {
    const two = forgeName([O, c()], [OU, 'swarm-worker'], [OU, 'swarm-manager'], [CN, node])
    expect(await forged(whole, '', ['swarm-worker', `${node}.${c()}`], two)).toBe('PEER_SUBJECT_INVALID')
  })

  it('cannot make a CA', async () => {
    const key = createNodeKey()
    const id = [subjectKeyId(new Uint8Array(20).fill(3)), authorityKeyId(whole.intermediate.subjectKeyId!)]
    const ca = await whole.forge({
      subject: subjectOf(c(), 'swarm-issuer', node),
      publicKey: key.publicKey,
      extensions: [keyUsage(0x04), basicConstraints(true, 0), ...id],
    })
    const below = await whole.forge({
      issuer: ca.subject.der,
      signer: key,
      extensions: leafNamed(ca, ['swarm-worker', `${node}.${c()}`]),
    })
    expect(outcome([below, ca, whole.intermediate])).toBe('PEER_ISSUER_UNFIT')
    // Also none that bears the name of its issuer, which RFC 5280 would not count against the path length.
    const twin = await whole.forge({
      subject: whole.intermediate.subject.der,
      publicKey: key.publicKey,
      extensions: [keyUsage(0x04), basicConstraints(true, 0), ...id],
    })
    const under = await whole.forge({
      signer: key,
      extensions: leafNamed(twin, ['swarm-worker', `${node}.${c()}`]),
    })
    expect(outcome([under, twin, whole.intermediate])).toBe('PEER_ISSUER_UNFIT')
    expect(outcome([whole.intermediate])).toBe('PEER_PROFILE_INVALID')
  })
})

const apply = (state: Membership, command: MembershipCommand): Membership =>
  membership.decide(state, command).reduce(membership.evolve, state)

describe('an intermediate that is withdrawn', () => {
  it('takes with it what it has issued, and nothing else', async () => {
    const isRevokedIssuer = ({ serial }: Certificate): boolean => serial === whole.intermediate.serial
    const other = await issuingManager({ cluster, managerNumber: 903 })
    expect(outcome([await whole.issue(), whole.intermediate], { isRevokedIssuer })).toBe('PEER_ISSUER_REVOKED')
    expect(outcome([await other.issue(), other.intermediate], { isRevokedIssuer })).toBe('ok')
    expect(outcome([(await cluster.issue()).certificate], { isRevokedIssuer })).toBe('ok')
  })

  it('is that of an evicted manager', async () => {
    const { nodeId } = whole.manager
    const admitted: readonly MembershipCommand[] = [
      { type: 'admit', nodeId, role: 'manager', csr: 'csr', publicKeyHash: 'key', now: NOW },
      { type: 'admit', nodeId: testNodeId(77), role: 'manager', csr: 'csr 2', publicKeyHash: 'key 2', now: NOW },
      {
        type: 'record-certificate',
        nodeId: testNodeId(77),
        csr: 'csr 2',
        certificate: 'c',
        serial: '02',
        notAfter: NOW + HOUR,
      },
    ]
    let state = admitted.reduce(apply, membership.initial)
    const isRevokedIssuer = ofEvictedManager(() => state)
    const chain = [await whole.issue(), whole.intermediate]
    expect(outcome(chain, { isRevokedIssuer })).toBe('ok')
    state = apply(state, { type: 'evict', nodeId, reason: 'stolen', now: NOW })
    expect(outcome(chain, { isRevokedIssuer })).toBe('PEER_ISSUER_REVOKED')
    expect(outcome([await zoned.issue({ zone: ZONE_A }), zoned.intermediate], { isRevokedIssuer })).toBe('ok')
    expect(managerOfIntermediate(whole.intermediate)).toBe(whole.manager.nodeId)
    expect(managerOfIntermediate(cluster.root)).toBeNull()
    expect(managerOfIntermediate(whole.manager.certificate)).toBeNull()
  })
})

describe('the eviction of a manager', () => {
  it('is remembered for as long as an intermediate of it can live, however short its own certificate lived', async () => {
    const { cluster, manager, intermediate, issue } = await issuingManager({
      cluster: await testCluster({ now: NOW, clusterId: testClusterId(1) }),
      grant: { lifetimeMs: MAX_INTERMEDIATE_LIFETIME_MS },
    })
    const { nodeId } = manager
    const apply = (state: Membership, ...commands: readonly MembershipCommand[]): Membership =>
      commands.reduce((each, command) => membership.decide(each, command).reduce(membership.evolve, each), state)
    const key = { nodeId, csr: 'csr', publicKeyHash: 'key' }
    const admitted = apply(
      membership.initial,
      { type: 'admit', role: 'manager', now: NOW, ...key },
      { ...key, type: 'admit', role: 'manager', nodeId: testNodeId(901), now: NOW },
      { type: 'record-certificate', ...key, certificate: 'c', serial: '01', notAfter: NOW + HOUR },
      { ...key, type: 'record-certificate', nodeId: testNodeId(901), certificate: 'c', serial: '02', notAfter: NOW },
    )
    const leaf = await issue({ lifetimeMs: MAX_INTERMEDIATE_LIFETIME_MS - HOUR })
    const evict = { type: 'evict', nodeId, reason: 'stolen', now: NOW } as const
    const demote = { type: 'set-role', nodeId, role: 'worker', now: NOW } as const
    for (const before of [admitted, apply(admitted, demote)]) {
      const [event] = membership.decide(before, evict)
      const book = evictionBook.decide(evictionBook.initial, {
        type: 'add',
        evictions: evictionsFrom(before, event!, NOW),
      })
      const late = leaf.notAfter
      const state = apply(before, evict, { type: 'prune', now: late })
      const kept = book.reduce(evictionBook.evolve, evictionBook.initial)
      const view = viewOf(
        evictionBook.decide(kept, { type: 'forget-ended', now: late }).reduce(evictionBook.evolve, kept),
      )
      for (const isRevokedIssuer of [
        ofEvictedManager(() => state),
        listedIssuers({ readView: () => view, now: () => late }),
      ]) {
        const trust = { roots: [cluster.root], clusterId: cluster.clusterId, now: late, verifier: systemVerifier }
        expect(() => verifyPeerSync([leaf, intermediate], { ...trust, isRevokedIssuer })).toThrowCode(
          'PEER_ISSUER_REVOKED',
        )
      }
    }
  })
})

describe('issueIntermediate', () => {
  const ask = async (
    changes: Partial<IntermediateGrant> = {},
    authority = cluster.authority,
    key = createNodeKey(),
  ): Promise<Certificate> =>
    await issueIntermediate(
      authority,
      await createCsr(key),
      { manager: whole.manager.certificate, ...changes },
      deps(NOW),
    )

  it('makes none for a worker, or for somebody who is no node', async () => {
    const worker = await cluster.issue({ role: 'worker' })
    await expect(ask({ manager: worker.certificate })).rejects.toThrowCode('PEER_WRONG_ROLE')
    await expect(ask({ manager: cluster.root })).rejects.toThrowCode('PEER_SUBJECT_INVALID')
  })

  it('makes none without the proof that somebody holds its key', async () => {
    const csr = await createCsr(createNodeKey())
    const flipped = Uint8Array.from(csr.der)
    flipped[flipped.length - 1]! ^= 1
    const grant = { manager: whole.manager.certificate }
    await expect(issueIntermediate(cluster.authority, parseCsr(flipped), grant, deps(NOW))).rejects.toThrowCode(
      'CSR_SIGNATURE_INVALID',
    )
  })

  it('makes none for a key that is in use', async () => {
    const tls = openSigner(whole.manager.privateKey)
    const root = openSigner(cluster.rootKey)
    for (const key of [tls, root])
      await expect(ask({}, cluster.authority, key)).rejects.toThrowCode('INTERMEDIATE_KEY_REUSED')
  })

  it('makes none below an intermediate', async () => {
    await expect(ask({}, whole.authority)).rejects.toThrowCode('AUTHORITY_UNFIT')
  })

  it('keeps to its bounds', async () => {
    await expect(ask({ lifetimeMs: HOUR - 1 })).rejects.toThrowCode('LIFETIME_TOO_SHORT')
    await expect(ask({ lifetimeMs: HOUR })).resolves.toBeDefined()
    await expect(ask({ lifetimeMs: MAX_INTERMEDIATE_LIFETIME_MS })).resolves.toBeDefined()
    for (const lifetimeMs of [MAX_INTERMEDIATE_LIFETIME_MS + 1, 0, Number.NaN])
      await expect(ask({ lifetimeMs })).rejects.toThrow(RangeError)
    const zones = Array.from({ length: MAX_INTERMEDIATE_ZONES + 1 }, (_, index) => parseZone(`z${index}`))
    await expect(ask({ zones })).rejects.toThrow(RangeError)
    await expect(ask({ zones: [] })).rejects.toThrow(RangeError)
    const most = await ask({ zones: zones.slice(1), trustDomain: DOMAIN, [allowManagerIssuing]: true })
    expect(most.der.length).toBeLessThan(1536)
    await expect(ask({ trustDomain: parseTrustDomain('a_b') })).rejects.toThrow(TypeError)
    const late = { ...deps(cluster.root.notAfter - DAY) }
    await expect(
      issueIntermediate(
        cluster.authority,
        await createCsr(createNodeKey()),
        { manager: whole.manager.certificate },
        late,
      ),
    ).rejects.toThrowCode('LIFETIME_EXCEEDS_ISSUER')
  })
})

describe('zones', () => {
  it('are single labels', () => {
    for (const text of ['a', 'zone-a', 'z9', `a${'b'.repeat(39)}`]) expect(parseZone(text)).toBe(text)
    for (const text of ['', 'A', '9a', '-a', 'a-', 'a.b', 'a_b', `a${'b'.repeat(40)}`, 'ä'])
      expect(() => parseZone(text)).toThrowCode('ZONE_MALFORMED')
  })
})
