import { once } from 'node:events'
import {
  activeOperator,
  type Certificate,
  createCsr,
  DEFAULT_OPERATOR_LIFETIME_MS,
  evictionFromOperator,
  issueIntermediate,
  issueOperatorCertificate,
  listOperators,
  MAX_OPERATOR_LIFETIME_MS,
  MAX_OPERATOR_NAME_LENGTH,
  MAX_OPERATORS,
  type NodeId,
  OPERATOR_UNIT,
  type OperatorCommand,
  type OperatorEvent,
  type OperatorIdentity,
  type Operators,
  openAuthority,
  operatorEvents,
  operators,
  operatorWithId,
  parseCertificate,
  parseCsr,
  type Signer,
  verifyOperator,
  verifyPeerSync,
} from '@leastwise/identity'
import {
  clientContextOptions,
  createNodeKey,
  exportPrivateKey,
  openSigner,
  operatorOf,
  operatorServerOptions,
  peerOf,
  serverContextOptions,
  systemDigest,
  systemRandom,
  systemVerifier,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, type TestNode, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  authorityKeyId,
  basicConstraints,
  CLIENT,
  extKeyUsage,
  type ForgedExtension,
  forge,
  keyUsage,
  SERVER,
} from './forge.ts'
import { altNames, ip, subjectOf, uri } from './intermediate-support.ts'
import { dial, echo, identityOf, listen } from './tls-support.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
let cluster: TestCluster
let manager: TestNode
beforeAll(async () => {
  cluster = await testCluster({ clusterId: testClusterId(1) })
  manager = await cluster.issue({ role: 'manager' })
})

const options = (now: number) => ({ random: systemRandom, now, verifier: systemVerifier, digest: systemDigest })
const ALICE = testNodeId(500)

async function issue(
  from: TestCluster = cluster,
  lifetimeMs?: number,
): Promise<{ readonly certificate: Certificate; readonly identity: TlsIdentity }> {
  const key = createNodeKey()
  const certificate = await issueOperatorCertificate(
    from.authority,
    await createCsr(key),
    { operatorId: ALICE, clusterId: from.clusterId, ...(lifetimeMs === undefined ? {} : { lifetimeMs }) },
    options(from.now),
  )
  const identity = { privateKey: exportPrivateKey(key), certificateChain: certificate.pem, trustBundle: from.root.pem }
  return { certificate, identity }
}

const trust = () => ({
  roots: [cluster.root],
  clusterId: cluster.clusterId,
  now: cluster.now,
  verifier: systemVerifier,
})

const OPERATOR: readonly ForgedExtension[] = [keyUsage(0x80), extKeyUsage(CLIENT), basicConstraints(false)]

/** What a CA can sign by hand for Alice. */
const forged = async (by: {
  readonly issuer?: Certificate
  readonly signer?: Signer
  readonly extensions?: readonly ForgedExtension[]
}): Promise<Certificate> => {
  const { issuer = cluster.root, signer = openSigner(cluster.rootKey), extensions = OPERATOR } = by
  return parseCertificate(
    await forge({
      issuer: issuer.subject.der,
      subject: subjectOf(cluster.clusterId, OPERATOR_UNIT, ALICE),
      publicKey: createNodeKey().publicKey,
      signer,
      notBefore: cluster.now - HOUR_MS,
      notAfter: cluster.now + HOUR_MS,
      extensions: [...extensions, authorityKeyId(issuer.subjectKeyId!)],
    }),
  )
}

describe('the certificate of an operator', () => {
  it('is for a client alone, has a unit of its own, and lives for hours', async () => {
    const { certificate } = await issue()
    expect(certificate.subject.attributes.map(({ value }) => value)).toEqual([cluster.clusterId, OPERATOR_UNIT, ALICE])
    expect(['swarm-manager', 'swarm-worker', 'swarm-ca']).not.toContain(OPERATOR_UNIT)
    expect(certificate.extKeyUsage).toEqual(['1.3.6.1.5.5.7.3.2'])
    expect(certificate.keyUsage).toEqual(['digitalSignature'])
    expect([certificate.isCa, certificate.dnsNames]).toEqual([false, []])
    expect(certificate.notAfter - cluster.now).toBeLessThanOrEqual(DEFAULT_OPERATOR_LIFETIME_MS)
    expect(verifyOperator([certificate], { ...trust(), digest: systemDigest })).toMatchObject({
      operatorId: ALICE,
      clusterId: cluster.clusterId,
      serial: certificate.serial,
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    })
  })

  it('is no certificate of a node, and that of a node is none of an operator', async () => {
    const { certificate } = await issue()
    expect(() => verifyPeerSync([certificate], trust())).toThrowCode('PEER_PROFILE_INVALID')
    for (const node of [manager, await cluster.issue()])
      expect(() => verifyOperator([node.certificate], trust())).toThrowCode('PEER_SUBJECT_INVALID')
  })

  it('is refused outside its time, under another root, in another cluster, and without a chain', async () => {
    const { certificate } = await issue()
    const at = (now: number) => () => verifyOperator([certificate], { ...trust(), now })
    expect(at(certificate.notAfter)).not.toThrow()
    expect(at(certificate.notAfter + 1)).toThrowCode('PEER_EXPIRED')
    expect(at(certificate.notBefore - 1)).toThrowCode('PEER_NOT_YET_VALID')
    const other = await testCluster({ clusterId: cluster.clusterId })
    expect(() => verifyOperator([certificate], { ...trust(), roots: [other.root] })).toThrowCode('PEER_UNTRUSTED')
    expect(() => verifyOperator([certificate], { ...trust(), clusterId: testClusterId(2) })).toThrowCode(
      'PEER_WRONG_CLUSTER',
    )
    expect(() => verifyOperator([], trust())).toThrowCode('PEER_CHAIN_INVALID')
  })

  it('from an issuing intermediate is none, and none is made there', async () => {
    const key = createNodeKey()
    const made = options(cluster.now)
    const grant = { manager: manager.certificate }
    const above = await issueIntermediate(cluster.authority, await createCsr(key), grant, made)
    const authority = await openAuthority(
      { certificate: above, signer: key, intermediates: [above] },
      { verifier: systemVerifier },
    )
    const who = { operatorId: ALICE, clusterId: cluster.clusterId, lifetimeMs: HOUR_MS }
    await expect(issueOperatorCertificate(authority, await createCsr(createNodeKey()), who, made)).rejects.toThrowCode(
      'AUTHORITY_UNFIT',
    )
    const leaf = await forged({ issuer: above, signer: key })
    expect(() => verifyOperator([leaf, above], trust())).toThrowCode('PEER_ISSUER_UNFIT')
    expect(() => verifyOperator([leaf], { ...trust(), roots: [above] })).toThrowCode('PEER_ISSUER_UNFIT')
  })

  it('says nothing beyond what was issued: no other use, no name of any kind', async () => {
    expect(verifyOperator([await forged({})], trust())).toMatchObject({ operatorId: ALICE })
    const more: readonly (readonly ForgedExtension[])[] = [
      [keyUsage(0x80), extKeyUsage(SERVER, CLIENT), basicConstraints(false)],
      [keyUsage(0xa0), extKeyUsage(CLIENT), basicConstraints(false)],
      [...OPERATOR, altNames('swarm-manager')],
      [...OPERATOR, altNames(uri('spiffe://prod.example/admin'))],
      [...OPERATOR, altNames(ip(10, 0, 0, 1))],
    ]
    for (const extensions of more) {
      const leaf = await forged({ extensions })
      expect(() => verifyOperator([leaf], trust())).toThrowCode('PEER_PROFILE_INVALID')
    }
  })

  it('takes the key from the request and nothing else, after proof that the asker has it', async () => {
    const csr = await createCsr(createNodeKey())
    const grant = { operatorId: ALICE, clusterId: cluster.clusterId }
    const broken = csr.der.slice()
    broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1
    await expect(
      issueOperatorCertificate(cluster.authority, parseCsr(broken), grant, options(cluster.now)),
    ).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
    const late = cluster.root.notAfter - 1000
    await expect(issueOperatorCertificate(cluster.authority, csr, grant, options(late))).rejects.toThrowCode(
      'LIFETIME_EXCEEDS_ISSUER',
    )
    for (const lifetimeMs of [0, 999, MAX_OPERATOR_LIFETIME_MS + 1, Number.NaN])
      await expect(
        issueOperatorCertificate(cluster.authority, csr, { ...grant, lifetimeMs }, options(cluster.now)),
      ).rejects.toThrow(RangeError)
    const stingy = { ...options(cluster.now), random: { bytes: () => new Uint8Array(1) } }
    await expect(issueOperatorCertificate(cluster.authority, csr, grant, stingy)).rejects.toThrow(RangeError)
  })
})

describe('over TLS', () => {
  it('must be believed by TLS as well', async () => {
    const { identity } = await issue()
    const other = await testCluster({ clusterId: cluster.clusterId })
    const options = operatorServerOptions({ ...identityOf(manager), trustBundle: other.root.pem })
    const server = await listen({ ...options, rejectUnauthorized: false })
    const arriving = server.nextSocket()
    await dial(server.port, clientContextOptions(identity))
    const seen = await arriving
    expect(seen.authorized).toBe(false)
    expect(() => operatorOf(seen, trust())).toThrowCode('PEER_UNTRUSTED')
  })

  it('an operator reaches a manager, is told apart, and has no right of a node there', async () => {
    const { identity } = await issue()
    const server = await listen(operatorServerOptions(identityOf(manager)))
    const arriving = server.nextSocket()
    const client = await dial(server.port, clientContextOptions(identity))
    const seen = await arriving
    expect(operatorOf(seen, trust())).toMatchObject({ operatorId: ALICE })
    expect(await echo(client, 'hello')).toBe('hello')
    // The same connection on a server for nodes.
    expect(() => peerOf(seen, trust())).toThrowCode('PEER_PROFILE_INVALID')
    seen.destroy()
    await once(seen, 'close')
    expect(() => operatorOf(seen, trust())).toThrowCode('PEER_DISCONNECTED')
  })

  it('a node is no operator, a stranger does not get in, and an operator cannot play the manager', async () => {
    const worker = await cluster.issue()
    const server = await listen(operatorServerOptions(identityOf(manager)))
    const arriving = server.nextSocket()
    await dial(server.port, clientContextOptions(identityOf(worker)))
    const seen = await arriving
    expect(() => operatorOf(seen, trust())).toThrowCode('PEER_SUBJECT_INVALID')

    const foreign = await issue(await testCluster({ commonName: 'swarm-ca-2' }))
    const failure = server.nextFailure()
    await dial(server.port, clientContextOptions({ ...foreign.identity, trustBundle: cluster.root.pem }))
    await failure
    expect(server.sockets).toHaveLength(1)

    const { identity } = await issue()
    const impostor = await listen(serverContextOptions(identity))
    await expect(dial(impostor.port, clientContextOptions(identityOf(worker)))).rejects.toThrow()
  })
})

describe('the operators of a cluster', () => {
  const NOW = Date.UTC(2026, 10, 21)
  const bob = testNodeId(501)
  const apply = (state: Operators, ...commands: readonly OperatorCommand[]): Operators =>
    commands.reduce((each, command) => operators.decide(each, command).reduce(operators.evolve, each), state)
  const admit = { type: 'admit', operatorId: ALICE, name: 'Alice', now: NOW } as const
  const record = {
    type: 'record-certificate',
    operatorId: ALICE,
    serial: '4a01',
    notAfter: NOW + DAY_MS,
  } as const
  const evict = { type: 'evict', operatorId: ALICE, reason: 'left', now: NOW } as const
  const active = apply(operators.initial, admit, record)
  const judge = (state: Operators, operatorId: NodeId, serial: string) => () => {
    const who: OperatorIdentity = { operatorId, serial, clusterId: testClusterId(1), notBefore: 0, notAfter: 1 }
    activeOperator(() => state)(who)
  }

  it('are listed, with the certificates that are theirs', () => {
    const state = apply(active, { ...admit, operatorId: bob, name: 'Bob', now: NOW - 1 })
    expect(listOperators(state).map(({ name }) => name)).toEqual(['Bob', 'Alice'])
    expect(operatorWithId(state, ALICE)).toEqual({
      operatorId: ALICE,
      name: 'Alice',
      admittedAt: NOW,
      certificates: [{ serial: '4a01', notAfter: NOW + DAY_MS }],
      eviction: null,
    })
    expect(operators.decide(active, admit)).toEqual([])
    expect(operators.decide(active, record)).toEqual([])
  })

  it('pass with a certificate that was recorded for them, and with no other', () => {
    expect(judge(active, ALICE, '4a01')).not.toThrow()
    expect(judge(active, ALICE, '4a02')).toThrowCode('PEER_UNKNOWN')
    expect(judge(active, bob, '4a01')).toThrowCode('PEER_UNKNOWN')
    expect(judge(apply(active, evict), ALICE, '4a01')).toThrowCode('PEER_EVICTED')
  })

  it('who are evicted stay so until nothing of theirs is valid, and are on the lists of every peer', () => {
    const events = operators.decide(active, evict)
    const gone = events.reduce(operators.evolve, active)
    const until = NOW + DAY_MS + 7 * DAY_MS
    expect(operatorWithId(gone, ALICE)?.eviction).toEqual({ reason: 'left', at: NOW, until })
    expect(events.map(evictionFromOperator)).toEqual([
      { kind: 'node', nodeId: ALICE, reason: 'privilege-withdrawn', at: NOW, until },
    ])
    expect(operators.decide(operators.initial, admit).map(evictionFromOperator)).toEqual([null])
    expect(operators.decide(gone, evict)).toEqual([])
    for (const command of [admit, record]) expect(() => operators.decide(gone, command)).toThrowCode('OPERATOR_EVICTED')
    expect(operators.decide(gone, { type: 'prune', now: until })).toEqual([])
    expect(apply(gone, { type: 'prune', now: until + 1 })).toEqual(operators.initial)
  })

  it('refuse what does not fit', () => {
    expect(() => operators.decide(active, { ...admit, name: 'Mallory' })).toThrowCode('OPERATOR_EXISTS')
    for (const command of [record, evict])
      expect(() => operators.decide(operators.initial, command)).toThrowCode('OPERATOR_UNKNOWN')
    expect(() => operators.decide(active, { ...admit, name: 'x'.repeat(MAX_OPERATOR_NAME_LENGTH + 1) })).toThrow(
      RangeError,
    )
    expect(() => operators.decide(active, { ...evict, reason: 'x'.repeat(257) })).toThrow(RangeError)
    let full = operators.initial
    for (let number = 0; number < MAX_OPERATORS; number += 1)
      full = apply(full, { ...admit, operatorId: testNodeId(1000 + number) })
    expect(() => operators.decide(full, admit)).toThrowCode('OPERATORS_FULL')
  })

  it('are rebuilt from events and from a snapshot', () => {
    const state = apply(active, { ...admit, operatorId: bob, name: 'Bob' }, evict)
    const events = JSON.parse(JSON.stringify([...operatorEvents(state)])) as OperatorEvent[]
    expect(events.reduce(operators.evolve, operators.initial)).toEqual(state)
  })
})
