import {
  type Certificate,
  createCsr,
  encodeCfsslRequest,
  issueCertificate,
  openAuthority,
  parseSpiffeId,
  parseTrustDomain,
  type SvidIdentity,
  type SyncVerifySvidOptions,
  type TrustDomain,
  verifyIssued,
  verifyPeer,
  verifyPeerSync,
  verifySvid,
  verifySvidSync,
} from '@leastwise/identity'
import { createNodeKey, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import { basicConstraints, CLIENT, extKeyUsage, forgeName, keyUsage, LEAF, SERVER } from './forge.ts'
import { NOW, type TestDomain, testDomain, uris } from './spiffe-support.ts'

const ONE = 'spiffe://one.test'
const HOUR_MS = 3_600_000
let one: TestDomain
let two: TestDomain

beforeAll(async () => {
  one = await testDomain('one', ONE)
  two = await testDomain('two', 'spiffe://two.test')
})

/** One trust domain each, as a federation has them. */
const domains = (): SyncVerifySvidOptions['domains'] => {
  const known = new Map<TrustDomain, readonly Certificate[]>([
    [parseTrustDomain('one.test'), [one.root]],
    [parseTrustDomain('two.test'), [two.root]],
  ])
  return { rootsOf: (domain) => known.get(domain) ?? null }
}
const options = (changes: Partial<SyncVerifySvidOptions> = {}): SyncVerifySvidOptions => ({
  ...{ domains: domains(), now: NOW, verifier: systemVerifier },
  ...changes,
})
const verify = (chain: readonly Certificate[], changes: Partial<SyncVerifySvidOptions> = {}): SvidIdentity =>
  verifySvidSync(chain, options(changes))

describe('an x509-svid', () => {
  it('proves a workload of its trust domain', async () => {
    const leaf = await one.leaf({ names: [`${ONE}/ns/prod/web`] })
    const expected = {
      ...{ spiffeId: `${ONE}/ns/prod/web`, trustDomain: 'one.test', serial: leaf.serial },
      ...{ notBefore: leaf.notBefore, notAfter: leaf.notAfter },
    }
    expect(verify([leaf])).toEqual(expected)
    expect(await verifySvid([leaf, one.root], options())).toEqual(expected)
    expect(verify([leaf], { digest: systemDigest }).fingerprint).toMatch(/^[0-9a-f]{64}$/)
    const other = await two.leaf({ names: ['spiffe://two.test/x'] })
    expect(verify([other]).trustDomain).toBe('two.test')
  })

  it('needs no subject, when its names are marked as critical then', async () => {
    const names = { ...uris(`${ONE}/x`), critical: true } as const
    const leaf = await one.leaf({ subject: forgeName(), profile: [...LEAF, names] })
    expect(verify([leaf]).spiffeId).toBe(`${ONE}/x`)
  })

  it('of one trust domain is not vouched for by the root of another, whatever it signs', async () => {
    const forged = await two.leaf({ names: [`${ONE}/ns/prod/web`] })
    expect(() => verify([forged])).toThrowCode('PEER_UNTRUSTED')
    expect(() => verify([forged, two.root])).toThrowCode('PEER_UNTRUSTED')
    await expect(verifySvid([forged], options())).rejects.toThrowCode('PEER_UNTRUSTED')
    // Neither by an intermediate of the other, nor by one that bears the name of the right root.
    const below = await two.intermediate()
    expect(() => verify([leafOfNobody])).toThrowCode('PEER_UNTRUSTED')
    const deep = await below.leaf({ names: [`${ONE}/x`] })
    expect(() => verify([deep, below.root])).toThrowCode('PEER_UNTRUSTED')
    const namesake = await testDomain('one', ONE)
    const leaf = await namesake.leaf({ names: [`${ONE}/x`] })
    expect(() => verify([leaf])).toThrowCode('PEER_UNTRUSTED')
  })

  let leafOfNobody: Certificate
  beforeAll(async () => {
    leafOfNobody = await (await testDomain('nobody')).leaf({ names: [`${ONE}/x`] })
  })

  it('of an unknown trust domain is not trusted at all, and of an empty one neither', async () => {
    const leaf = await one.leaf({ names: ['spiffe://three.test/x'] })
    expect(() => verify([leaf])).toThrowCode('PEER_WRONG_TRUST_DOMAIN')
    const mine = await one.leaf({ names: [`${ONE}/x`] })
    expect(() => verify([mine], { domains: { rootsOf: () => [] } })).toThrowCode('PEER_UNTRUSTED')
  })

  it.each<readonly [string, readonly string[]]>([
    ['no uri', []],
    ['two ids', [`${ONE}/x`, `${ONE}/y`]],
    ['an id twice', [`${ONE}/x`, `${ONE}/x`]],
    ['another uri beside its id', [`${ONE}/x`, 'https://one.test/x']],
    ['a uri of another scheme', ['https://one.test/x']],
    ['the id of its trust domain', [ONE]],
    ['an id that is not canonical', ['spiffe://One.test/x']],
    ['an id with a relative path', [`${ONE}/x/../y`]],
    ['an id with a query', [`${ONE}/x?y`]],
  ])('has one spiffe id, not %s', async (_, names) => {
    const leaf = await one.leaf({ names })
    expect(() => verify([leaf])).toThrowCode('PEER_SPIFFE_ID_INVALID')
  })

  it.each([
    ['is a CA', [keyUsage(0xa0), extKeyUsage(SERVER, CLIENT), basicConstraints(true)]],
    ['may sign certificates', [keyUsage(0x84), extKeyUsage(SERVER, CLIENT), basicConstraints(false)]],
    ['may sign revocation lists', [keyUsage(0x82), extKeyUsage(SERVER, CLIENT), basicConstraints(false)]],
    ['may not sign', [keyUsage(0x20), extKeyUsage(SERVER, CLIENT), basicConstraints(false)]],
    ['says nothing of its usage', [extKeyUsage(SERVER, CLIENT), basicConstraints(false)]],
    ['is for servers alone', [keyUsage(0x80), extKeyUsage(SERVER), basicConstraints(false)]],
    ['is for clients alone', [keyUsage(0x80), extKeyUsage(CLIENT), basicConstraints(false)]],
  ])('is refused if it %s', async (_, profile) => {
    const leaf = await one.leaf({ names: [`${ONE}/x`], profile })
    expect(() => verify([leaf])).toThrowCode('PEER_PROFILE_INVALID')
  })

  it('is refused with something critical that nobody understands', async () => {
    const unknown = { type: '1.2.3.4', critical: true, value: Uint8Array.of(5, 0) } as const
    const leaf = await one.leaf({ names: [`${ONE}/x`], profile: [...LEAF, unknown] })
    expect(() => verify([leaf])).toThrowCode('PEER_PROFILE_INVALID')
  })

  it('may hang on intermediates with the id of the trust domain, or without one', async () => {
    for (const names of [[], [ONE]]) {
      const below = await one.intermediate(...names)
      const leaf = await below.leaf({ names: [`${ONE}/x`] })
      expect(verify([leaf, below.root]).spiffeId).toBe(`${ONE}/x`)
      expect(verify([leaf, below.root, one.root]).spiffeId).toBe(`${ONE}/x`)
      expect(() => verify([leaf])).toThrowCode('PEER_UNTRUSTED')
      const isRevokedIssuer = (issuer: Certificate): boolean => issuer === below.root
      expect(() => verify([leaf, below.root], { isRevokedIssuer })).toThrowCode('PEER_ISSUER_REVOKED')
    }
  })

  it.each([
    ['of a workload', [`${ONE}/ca`]],
    ['of another trust domain', ['spiffe://two.test']],
    ['of two', [ONE, ONE]],
    ['that is none', ['https://one.test']],
  ])('may not hang on an issuer with an id %s', async (_, names) => {
    const below = await one.intermediate(...names)
    const leaf = await below.leaf({ names: [`${ONE}/x`] })
    expect(() => verify([leaf, below.root])).toThrowCode('PEER_ISSUER_UNFIT')
  })

  it('has its time, whose ends belong to it, and a chain that is not too long', async () => {
    const leaf = await one.leaf({ names: [`${ONE}/x`] })
    expect(verify([leaf], { now: leaf.notBefore }).spiffeId).toBe(`${ONE}/x`)
    expect(verify([leaf], { now: leaf.notAfter }).spiffeId).toBe(`${ONE}/x`)
    expect(() => verify([leaf], { now: leaf.notBefore - 1 })).toThrowCode('PEER_NOT_YET_VALID')
    expect(() => verify([leaf], { now: leaf.notAfter + 1 })).toThrowCode('PEER_EXPIRED')
    expect(() => verify([])).toThrowCode('PEER_CHAIN_INVALID')
    expect(() => verify([leaf, leaf, leaf, leaf])).toThrowCode('PEER_CHAIN_INVALID')
  })
})

describe('a node with a spiffe id', () => {
  const now = NOW
  const spiffeId = parseSpiffeId(`${ONE}/node/1`)
  const trustDomain = parseTrustDomain('one.test')
  const needs = { random: systemRandom, now, verifier: systemVerifier, digest: systemDigest }
  const grant = { nodeId: testNodeId(1), role: 'manager', clusterId: testClusterId(1), lifetimeMs: HOUR_MS } as const

  it('is a node and a workload at once', async () => {
    const cluster = await testCluster({ now })
    const csr = await createCsr(createNodeKey())
    const leaf = await issueCertificate(cluster.authority, csr, { ...grant, spiffeId }, needs)
    expect(leaf.altNames.filter(({ kind }) => kind === 'uri')).toEqual([{ kind: 'uri', value: spiffeId }])
    const plain = await issueCertificate(cluster.authority, csr, grant, needs)
    expect(leaf.dnsNames).toEqual(plain.dnsNames)
    expect(leaf.subject.der).toEqual(plain.subject.der)
    expect(leaf.subjectKeyId).toEqual(plain.subjectKeyId)
    const trust = { roots: [cluster.root], now, clusterId: grant.clusterId, verifier: systemVerifier }
    expect((await verifyPeer([leaf], { ...trust, trustDomain })).spiffeId).toBe(spiffeId)
    expect(verifyPeerSync([leaf], { ...trust, trustDomain }).nodeId).toBe(grant.nodeId)
    const byDomain = { domains: { rootsOf: () => [cluster.root] }, now, verifier: systemVerifier }
    expect(verifySvidSync([leaf], byDomain).spiffeId).toBe(spiffeId)
  })

  it('has none as long as nobody says which trust domain the cluster is', async () => {
    const cluster = await testCluster({ now })
    const csr = await createCsr(createNodeKey())
    const leaf = await issueCertificate(cluster.authority, csr, { ...grant, spiffeId }, needs)
    const trust = { roots: [cluster.root], now, clusterId: grant.clusterId, verifier: systemVerifier }
    expect(await verifyPeer([leaf], trust)).not.toHaveProperty('spiffeId')
    const plain = await issueCertificate(cluster.authority, csr, grant, needs)
    expect(await verifyPeer([plain], { ...trust, trustDomain })).not.toHaveProperty('spiffeId')
    const other = parseTrustDomain('two.test')
    expect(() => verifyPeerSync([leaf], { ...trust, trustDomain: other })).toThrowCode('PEER_WRONG_TRUST_DOMAIN')
  })

  it('gets it from the grant alone, and never the one of a trust domain', async () => {
    const cluster = await testCluster({ now })
    const csr = await createCsr(createNodeKey())
    const domain = { ...grant, spiffeId: parseSpiffeId(ONE) }
    await expect(issueCertificate(cluster.authority, csr, domain, needs)).rejects.toThrow(TypeError)
    const long = parseSpiffeId(`${ONE}/${'x'.repeat(2000)}`)
    const leaf = await issueCertificate(cluster.authority, csr, { ...grant, spiffeId: long }, needs)
    expect(
      verifySvidSync([leaf], { domains: { rootsOf: () => [cluster.root] }, now, verifier: systemVerifier }).spiffeId,
    ).toBe(long)
  })

  it('is asked for from an external CA, which must give that one and no other', async () => {
    const cluster = await testCluster({ now })
    const csr = await createCsr(createNodeKey())
    const request = JSON.parse(new TextDecoder().decode(encodeCfsslRequest(csr, { ...grant, spiffeId }, { now }))) as {
      readonly hosts: readonly string[]
    }
    expect(request.hosts).toContain(spiffeId)
    const authority = await openAuthority(
      { certificate: cluster.root, signer: cluster.authority.signer },
      { verifier: systemVerifier },
    )
    const expected = {
      csr,
      roots: [cluster.root],
      intermediates: [],
      now,
      verifier: systemVerifier,
      digest: systemDigest,
    }
    const issued = await issueCertificate(authority, csr, { ...grant, spiffeId }, needs)
    expect(await verifyIssued(issued, { ...expected, grant: { ...grant, spiffeId } })).toBe(issued)
    await expect(verifyIssued(issued, { ...expected, grant })).rejects.toThrowCode('ISSUED_NAMES_MISMATCH')
    const other = { ...grant, spiffeId: parseSpiffeId(`${ONE}/node/2`) }
    await expect(verifyIssued(issued, { ...expected, grant: other })).rejects.toThrowCode('ISSUED_NAMES_MISMATCH')
    const plain = await issueCertificate(authority, csr, grant, needs)
    await expect(verifyIssued(plain, { ...expected, grant: other })).rejects.toThrowCode('ISSUED_NAMES_MISMATCH')
  })
})
