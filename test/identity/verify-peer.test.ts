import { createHash } from 'node:crypto'
import {
  type Certificate,
  parseCertificate,
  parseClusterId,
  type Signer,
  type SyncVerifyPeerOptions,
  verifyPeer,
  verifyPeerSync,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemDigest, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { type TestCluster, testCluster, testClusterId, testNodeId } from '../support/test-authority.ts'
import {
  authorityKeyId,
  basicConstraints,
  CA,
  CLIENT,
  CN,
  codeOf,
  ENGINES,
  extKeyUsage,
  type Forgery,
  forge,
  forgeName,
  keyUsage,
  LEAF,
  O,
  OU,
  SERVER,
  subjectKeyId,
  twinOf,
  VECTOR_NOW,
} from './forge.ts'

const NOW = Date.UTC(2026, 10, 25, 12)
const DAY = 86_400_000

let cluster: TestCluster
let foreign: TestCluster
let rootSigner: Signer
beforeAll(async () => {
  cluster = await testCluster({ now: NOW })
  foreign = await testCluster({ now: NOW })
  rootSigner = openSigner(cluster.rootKey)
})

const options = (changes: Partial<SyncVerifyPeerOptions> = {}): SyncVerifyPeerOptions => ({
  roots: [cluster.root],
  now: NOW,
  clusterId: cluster.clusterId,
  verifier: systemVerifier,
  ...changes,
})

/** Both variants must agree; gives the code, or `ok`. */
async function outcome(chain: readonly Certificate[], changes: Partial<SyncVerifyPeerOptions> = {}): Promise<string> {
  const sync = codeOf(() => verifyPeerSync(chain, options(changes)))
  const verifier = {
    verify: async (...args: Parameters<typeof systemVerifier.verify>) => systemVerifier.verify(...args),
  }
  const slow = await verifyPeer(chain, { ...options(changes), verifier }).then(
    () => 'ok',
    (error: unknown) => (error as { code: string }).code,
  )
  expect(slow).toBe(sync)
  return sync
}

const nodeName = (
  cluster_: string = testClusterId(1),
  role = 'swarm-worker',
  node: string = testNodeId(1),
): Uint8Array => forgeName([O, cluster_], [OU, role], [CN, node])

/** A leaf under the cluster's root with a true signature, unless told otherwise. */
async function leaf(changes: Partial<Forgery> = {}): Promise<Certificate> {
  return parseCertificate(
    await forge({
      issuer: cluster.root.subject.der,
      subject: nodeName(),
      publicKey: createNodeKey().publicKey,
      signer: rootSigner,
      notBefore: NOW - DAY,
      notAfter: NOW + DAY,
      extensions: [...LEAF, authorityKeyId(cluster.root.subjectKeyId ?? new Uint8Array(1))],
      ...changes,
    }),
  )
}

describe('verifyPeer', () => {
  it.each(['worker', 'manager'] as const)('says whom the certificate of a %s speaks for', async (role) => {
    const node = await cluster.issue({ role })
    const { serial, notBefore, notAfter, der } = node.certificate
    const identity = { clusterId: cluster.clusterId, role, nodeId: node.nodeId, serial, notBefore, notAfter }
    expect(verifyPeerSync([node.certificate], options())).toEqual(identity)
    await expect(verifyPeer([node.certificate], options())).resolves.toEqual(identity)
    const fingerprint = createHash('sha256').update(der).digest('hex')
    expect(verifyPeerSync([node.certificate], options({ digest: systemDigest }))).toEqual({ ...identity, fingerprint })
  })

  it.each(ENGINES)(
    'accepts the certificate of a Docker engine ($nodeId)',
    ({ clusterId, nodeId, role, root, leaf: pem }) => {
      const roots = [parseCertificate(root)]
      const chain = [parseCertificate(pem)]
      const id = parseClusterId(clusterId)
      expect(verifyPeerSync(chain, options({ roots, clusterId: id, now: VECTOR_NOW }))).toMatchObject({
        clusterId,
        nodeId,
        role,
      })
      expect(codeOf(() => verifyPeerSync(chain, options({ roots, clusterId: id, now: Date.UTC(2027, 1, 20) })))).toBe(
        'PEER_EXPIRED',
      )
      expect(codeOf(() => verifyPeerSync(chain, options({ clusterId: id, now: VECTOR_NOW })))).toBe('PEER_UNTRUSTED')
    },
  )

  it('refuses a foreign root, also one of the same name', async () => {
    const node = await foreign.issue()
    expect(await outcome([node.certificate])).toBe('PEER_UNTRUSTED')
    const imitation = await leaf({ signer: openSigner(foreign.rootKey) })
    expect(await outcome([imitation])).toBe('PEER_UNTRUSTED')
    expect(await outcome([(await cluster.issue()).certificate], { roots: [] })).toBe('PEER_UNTRUSTED')
    expect(await outcome([(await cluster.issue()).certificate, foreign.root])).toBe('ok')
  })

  it('refuses a node of another cluster under the same root', async () => {
    const certificate = await leaf({ subject: nodeName(testClusterId(2)) })
    expect(await outcome([certificate])).toBe('PEER_WRONG_CLUSTER')
    expect(await outcome([certificate], { clusterId: testClusterId(2) })).toBe('ok')
  })

  it('counts both ends of the validity in', async () => {
    const certificate = await leaf({ notBefore: NOW - 1000 })
    expect(await outcome([certificate], { now: certificate.notBefore })).toBe('ok')
    expect(await outcome([certificate], { now: certificate.notBefore - 1 })).toBe('PEER_NOT_YET_VALID')
    expect(await outcome([certificate], { now: certificate.notAfter })).toBe('ok')
    expect(await outcome([certificate], { now: certificate.notAfter + 1 })).toBe('PEER_EXPIRED')
  })

  it('says expired only of a certificate that is proven otherwise', async () => {
    const forged = await leaf({ notAfter: NOW - 1000, signer: createNodeKey() })
    expect(await outcome([forged])).toBe('PEER_UNTRUSTED')
    expect(await outcome([await leaf({ notAfter: NOW - 1000 })])).toBe('PEER_EXPIRED')
  })

  it('refuses leaves outside the profile', async () => {
    const uses = extKeyUsage(SERVER, CLIENT)
    const profiles: readonly Forgery['extensions'][] = [
      [keyUsage(0xa0), uses, basicConstraints(true)],
      [keyUsage(0x20), uses],
      [keyUsage(0x84), uses],
      [uses],
      [keyUsage(0xa0), extKeyUsage(SERVER)],
      [keyUsage(0xa0), extKeyUsage(CLIENT)],
      [keyUsage(0xa0), extKeyUsage('2.5.29.37.0')],
      [keyUsage(0xa0)],
      [...LEAF, { type: '1.2.3', critical: true, value: Uint8Array.of(5, 0) }],
    ]
    for (const extensions of profiles) expect(await outcome([await leaf({ extensions })])).toBe('PEER_PROFILE_INVALID')
    expect(await outcome([cluster.root])).toBe('PEER_PROFILE_INVALID')
    expect(await outcome([await leaf({ extensions: [...LEAF, { type: '1.2.3', value: Uint8Array.of(5, 0) }] })])).toBe(
      'ok',
    )
  })

  it('refuses every subject but that of one node', async () => {
    const [c, n] = [testClusterId(1), testNodeId(1)]
    const subjects = [
      forgeName(),
      forgeName([CN, n]),
      forgeName([OU, 'swarm-worker'], [O, c], [CN, n]),
      forgeName([O, c], [OU, 'swarm-worker'], [OU, 'swarm-manager'], [CN, n]),
      forgeName([O, c], [OU, 'swarm-worker'], [CN, n], [CN, n]),
      forgeName([O, c], [O, c], [OU, 'swarm-worker'], [CN, n]),
      forgeName([O, c], [OU, 'swarm-worker'], [CN, n], ['2.5.4.6', 'CH']),
      forgeName([CN, c], [OU, 'swarm-worker'], [O, n]),
      forgeName([O, c], [OU, 'swarm-worker'], ['2.5.4.5', n]),
      nodeName(c, 'swarm-operator'),
      nodeName(c, 'Swarm-Worker'),
      nodeName(c, 'swarm-worker '),
      nodeName('short'),
      nodeName(c, 'swarm-worker', n.toUpperCase()),
      nodeName(c, 'swarm-worker', `${n}x`),
      nodeName(c, 'swarm-worker', `FIPS.${n}`),
      nodeName(`fips.${c}`),
    ]
    for (const subject of subjects) expect(await outcome([await leaf({ subject })])).toBe('PEER_SUBJECT_INVALID')
    const fips = `FIPS.${c}`
    expect(await outcome([await leaf({ subject: nodeName(fips) })], { clusterId: parseClusterId(fips) })).toBe('ok')
  })

  it('refuses an empty chain and one that is too long', async () => {
    const certificate = await leaf()
    expect(await outcome([])).toBe('PEER_CHAIN_INVALID')
    expect(await outcome([certificate, foreign.root, foreign.root, foreign.root])).toBe('PEER_CHAIN_INVALID')
    expect(await outcome([certificate, foreign.root, foreign.root, cluster.root])).toBe('ok')
  })

  it('refuses any flipped bit of the signature or of what is signed', async () => {
    const { certificate } = await cluster.issue()
    const at = certificate.der.length - 20
    for (let bit = 0; bit < 160; bit += 1) {
      const flipped = Uint8Array.from(certificate.der)
      flipped[at + (bit >> 3)]! ^= 1 << (bit & 7)
      const read = ((): Certificate | null => {
        try {
          return parseCertificate(flipped)
        } catch {
          return null
        }
      })()
      if (read !== null) expect(codeOf(() => verifyPeerSync([read], options()))).toBe('PEER_UNTRUSTED')
    }
  })
})

describe('intermediates', () => {
  interface Made {
    readonly signer: Signer
    readonly certificate: Certificate
  }
  const keyId = (byte: number): Uint8Array => new Uint8Array(20).fill(byte)
  const makeCa = async (
    name: string,
    byte: number,
    issuer: Made | null,
    changes: Partial<Forgery> = {},
  ): Promise<Made> => {
    const signer = createNodeKey()
    const upper = issuer ?? { signer: rootSigner, certificate: cluster.root }
    const der = await forge({
      issuer: upper.certificate.subject.der,
      subject: forgeName([CN, name]),
      publicKey: signer.publicKey,
      signer: upper.signer,
      notBefore: NOW - DAY,
      notAfter: NOW + DAY,
      extensions: [...CA, subjectKeyId(keyId(byte)), authorityKeyId(upper.certificate.subjectKeyId ?? keyId(0))],
      ...changes,
    })
    return { signer, certificate: parseCertificate(der) }
  }
  const leafOf = async (issuer: Made): Promise<Certificate> =>
    await leaf({
      issuer: issuer.certificate.subject.der,
      signer: issuer.signer,
      extensions: [...LEAF, authorityKeyId(issuer.certificate.subjectKeyId ?? keyId(0))],
    })

  it('one and two are followed, in their order', async () => {
    const one = await makeCa('one', 1, null)
    const two = await makeCa('two', 2, one)
    expect(await outcome([await leafOf(one), one.certificate])).toBe('ok')
    const low = await leafOf(two)
    expect(await outcome([low, two.certificate, one.certificate])).toBe('ok')
    expect(await outcome([low, two.certificate, one.certificate, cluster.root])).toBe('ok')
    expect(await outcome([low, one.certificate, two.certificate])).toBe('PEER_UNTRUSTED')
    expect(await outcome([low, two.certificate])).toBe('PEER_UNTRUSTED')
    expect(await outcome([low])).toBe('PEER_UNTRUSTED')
  })

  it('may not issue unless they are CAs, may sign certificates, understand nothing critical, and live now', async () => {
    const id = [subjectKeyId(keyId(1)), authorityKeyId(cluster.root.subjectKeyId ?? keyId(0))]
    const unfit: readonly Partial<Forgery>[] = [
      { extensions: [keyUsage(0x06), basicConstraints(false), ...id] },
      { extensions: [keyUsage(0x06), ...id] },
      { extensions: [keyUsage(0x80), basicConstraints(true), ...id] },
      { extensions: [...CA, ...id, { type: '2.5.29.30', critical: true, value: Uint8Array.of(0x30, 0) }] },
      { notAfter: NOW - 1000 },
      { notBefore: NOW + 1000 },
    ]
    for (const changes of unfit) {
      const ca = await makeCa('unfit', 1, null, changes)
      expect(await outcome([await leafOf(ca), ca.certificate])).toBe('PEER_ISSUER_UNFIT')
    }
  })

  it('cannot be a node that issues', async () => {
    const key = createNodeKey()
    const node: Made = {
      signer: key,
      certificate: await leaf({
        publicKey: key.publicKey,
        extensions: [...LEAF, subjectKeyId(keyId(5)), authorityKeyId(cluster.root.subjectKeyId ?? keyId(0))],
      }),
    }
    expect(await outcome([await leafOf(node), node.certificate])).toBe('PEER_ISSUER_UNFIT')
  })

  it('keep to their path length', async () => {
    const id = (byte: number, upper: Certificate = cluster.root): Forgery['extensions'] => [
      subjectKeyId(keyId(byte)),
      authorityKeyId(upper.subjectKeyId ?? keyId(0)),
    ]
    const last = await makeCa('last', 1, null, { extensions: [keyUsage(0x06), basicConstraints(true, 0), ...id(1)] })
    const below = await makeCa('below', 2, last)
    expect(await outcome([await leafOf(last), last.certificate])).toBe('ok')
    expect(await outcome([await leafOf(below), below.certificate, last.certificate])).toBe('PEER_ISSUER_UNFIT')
    const roomy = await makeCa('roomy', 3, null, { extensions: [keyUsage(0x06), basicConstraints(true, 1), ...id(3)] })
    const inner = await makeCa('inner', 4, roomy)
    expect(await outcome([await leafOf(inner), inner.certificate, roomy.certificate])).toBe('ok')
  })

  it('prove nothing with a signature of another key', async () => {
    const one = await makeCa('one', 1, null, { signer: createNodeKey() })
    expect(await outcome([await leafOf(one), one.certificate])).toBe('PEER_UNTRUSTED')
  })

  it('must be named by what they signed, by name and by key identifier', async () => {
    const one = await makeCa('one', 1, null)
    const id = authorityKeyId(one.certificate.subjectKeyId ?? keyId(0))
    const otherName = await leaf({ issuer: forgeName([CN, 'other']), signer: one.signer, extensions: [...LEAF, id] })
    expect(await outcome([otherName, one.certificate])).toBe('PEER_UNTRUSTED')
    const otherId = await leaf({ extensions: [...LEAF, authorityKeyId(keyId(9))] })
    expect(await outcome([otherId])).toBe('PEER_UNTRUSTED')
  })

  it('must have a key of the kind that the signature is of, whatever the verifier says', async () => {
    const certificate = await leaf({ algorithm: 'ed25519' })
    expect(await outcome([certificate], { verifier: { verify: () => true } })).toBe('PEER_UNTRUSTED')
  })

  it('do not count against a path length when they bear the name of their issuer', async () => {
    const name = cluster.root.subject.der
    const rootKey = createNodeKey()
    const limited = parseCertificate(
      await forge({
        ...twinOf(cluster.root),
        issuer: name,
        publicKey: rootKey.publicKey,
        signer: rootKey,
        extensions: [keyUsage(0x06), basicConstraints(true, 0), subjectKeyId(keyId(7))],
      }),
    )
    const twin = await makeCa('unused', 8, { signer: rootKey, certificate: limited }, { subject: name })
    expect(await outcome([await leafOf(twin), twin.certificate], { roots: [limited] })).toBe('ok')
    const named = await makeCa('below', 8, { signer: rootKey, certificate: limited })
    expect(await outcome([await leafOf(named), named.certificate], { roots: [limited] })).toBe('PEER_ISSUER_UNFIT')
  })

  it('are followed by name and signature when key identifiers are absent', async () => {
    const one = await makeCa('one', 1, null, { extensions: CA })
    const low = await leaf({ issuer: one.certificate.subject.der, signer: one.signer, extensions: LEAF })
    expect(await outcome([low, one.certificate])).toBe('ok')
    const imitation = await makeCa('one', 1, null, { extensions: CA })
    expect(await outcome([low, imitation.certificate])).toBe('PEER_UNTRUSTED')
  })
})

describe('while a root rotates', () => {
  // The next root, and its twin signed by the present one: with a name of its own, or with the same name as Docker does it.
  it.each([
    { shape: 'a name of its own', commonName: 'swarm-ca-2', withId: true },
    { shape: 'the same name and key identifiers', commonName: 'swarm-ca', withId: true },
    { shape: 'the same name and no authority key identifier in the twin', commonName: 'swarm-ca', withId: false },
  ])(
    'a leaf of the next root is trusted by who knows the old one, the new one, or both ($shape)',
    async ({ commonName, withId }) => {
      const next = await testCluster({ now: NOW, commonName })
      const id = withId ? [authorityKeyId(cluster.root.subjectKeyId ?? new Uint8Array(1))] : []
      const twin = parseCertificate(
        await forge({
          ...twinOf(next.root),
          issuer: cluster.root.subject.der,
          signer: rootSigner,
          extensions: [...CA, subjectKeyId(next.root.subjectKeyId ?? new Uint8Array(1)), ...id],
        }),
      )
      const chain = [(await next.issue()).certificate, twin]
      expect(await outcome(chain)).toBe('ok')
      expect(await outcome(chain, { roots: [next.root] })).toBe('ok')
      expect(await outcome(chain, { roots: [cluster.root, next.root] })).toBe('ok')
      expect(await outcome(chain, { roots: [foreign.root] })).toBe('PEER_UNTRUSTED')
      expect(await outcome(chain.slice(0, 1))).toBe('PEER_UNTRUSTED')
    },
  )

  it('an old root that has ended does not stand in the way of the new one', async () => {
    const next = await testCluster({ now: NOW })
    const ended = parseCertificate(
      await forge({
        ...twinOf(next.root),
        notAfter: NOW - 1000,
        issuer: next.root.subject.der,
        signer: openSigner(next.rootKey),
        extensions: [...CA, subjectKeyId(next.root.subjectKeyId ?? new Uint8Array(1))],
      }),
    )
    const { certificate } = await next.issue()
    expect(await outcome([certificate], { roots: [ended, next.root] })).toBe('ok')
    expect(await outcome([certificate], { roots: [ended] })).toBe('PEER_ISSUER_UNFIT')
  })
})
