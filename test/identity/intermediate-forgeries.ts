import { type Certificate, parseCertificate, parseTrustDomain, parseZone } from '@leastwise/identity'
import { createNodeKey, type LocalSigner, openSigner } from '@leastwise/identity/node'
import { explicit } from '../../packages/identity/src/der/tags.ts'
import { encodeElement, encodeSequence } from '../../packages/identity/src/der/writer.ts'
import type { TestCluster } from '../support/test-authority.ts'
import { testNodeId } from '../support/test-authority.ts'
import {
  authorityKeyId,
  basicConstraints,
  CN,
  type ForgedExtension,
  forge,
  forgeName,
  keyUsage,
  O,
  OU,
  subjectKeyId,
  twinOf,
} from './forge.ts'
import {
  type IssuingManager,
  ip,
  issuingManager,
  leafNamed,
  subjectOf,
  uri,
  withManagers,
} from './intermediate-support.ts'

/** A chain that the holder of an intermediate's key can present, and who refuses it. */
export interface Forged {
  readonly name: string
  readonly chain: readonly Certificate[]
  /** The key of the leaf. */
  readonly signer: LocalSigner
  /** What our validator says. */
  readonly ours: string
  /** Whether TLS libraries refuse it by themselves. */
  readonly openssl: 'accepts' | 'refuses'
  readonly go: 'accepts' | 'refuses'
}

const ZONE = parseZone('zone-a')
const node = testNodeId(1)

/** All of them are a manager's server certificates, so that every client asks the same of them. */
export async function forgeries(cluster: TestCluster): Promise<readonly Forged[]> {
  const { clusterId: c } = cluster
  const zoned = await issuingManager({
    cluster,
    grant: { ...withManagers, zones: [ZONE], trustDomain: parseTrustDomain('prod.example') },
  })
  const workers = await issuingManager({ cluster, managerNumber: 901 })
  const names = ['swarm-manager', `${node}.zone-a.${c}`, 'swarm-ca']
  const subject = subjectOf(c, 'swarm-manager', node)
  const leaf = async (
    issuer: IssuingManager,
    has: readonly (string | Uint8Array)[],
    as: Uint8Array = subject,
  ): Promise<Pick<Forged, 'chain' | 'signer'>> => {
    const signer = createNodeKey()
    const made = await issuer.forge({
      subject: as,
      publicKey: signer.publicKey,
      extensions: leafNamed(issuer.intermediate, has),
    })
    return { chain: [made, issuer.intermediate], signer }
  }
  const both = { openssl: 'refuses', go: 'refuses' } as const
  const none = { openssl: 'accepts', go: 'accepts' } as const
  const two = forgeName([O, c], [OU, 'swarm-worker'], [OU, 'swarm-manager'], [CN, node])
  return [
    { name: 'what was granted', ...(await leaf(zoned, names)), ours: 'ok', ...none },
    {
      name: 'a role that was not granted',
      ...(await leaf(workers, ['swarm-manager', `${node}.${c}`, 'swarm-ca'])),
      ours: 'PEER_NAMES_FORBIDDEN',
      ...both,
    },
    {
      name: 'a name outside the zone',
      ...(await leaf(zoned, ['swarm-manager', `${node}.zone-b.${c}`, 'swarm-ca'])),
      ours: 'PEER_NAMES_FORBIDDEN',
      ...both,
    },
    { name: 'an address', ...(await leaf(zoned, [...names, ip(10, 0, 0, 1)])), ours: 'PEER_NAMES_FORBIDDEN', ...both },
    {
      name: 'a SPIFFE ID of another trust domain',
      ...(await leaf(zoned, [...names, uri('spiffe://dev.example/manager')])),
      ours: 'PEER_NAMES_FORBIDDEN',
      ...both,
    },
    {
      name: 'a CA below the intermediate',
      ...(await below(zoned, subjectOf(c, 'swarm-issuer', node), names)),
      ours: 'PEER_ISSUER_UNFIT',
      ...both,
    },
    {
      name: 'a CA below it with its own name',
      ...(await below(zoned, zoned.intermediate.subject.der, names)),
      ours: 'PEER_ISSUER_UNFIT',
      openssl: 'accepts',
      go: 'refuses',
    },
    { name: 'two units in the subject', ...(await leaf(zoned, names, two)), ours: 'PEER_SUBJECT_INVALID', ...none },
    {
      name: 'another cluster in the subject',
      ...(await leaf(zoned, names, subjectOf('z'.repeat(25), 'swarm-manager', node))),
      ours: 'PEER_NAMES_INVALID',
      ...none,
    },
    {
      name: 'another node in the subject',
      ...(await leaf(zoned, names, subjectOf(c, 'swarm-manager', testNodeId(2)))),
      ours: 'PEER_NAMES_INVALID',
      ...none,
    },
    {
      name: 'directory names in critical constraints',
      ...(await withDirectoryName(cluster, names, subject, true)),
      ours: 'ok',
      openssl: 'accepts',
      go: 'refuses',
    },
    {
      name: 'directory names in constraints that are not critical',
      ...(await withDirectoryName(cluster, names, subject, false)),
      ours: 'PEER_ISSUER_UNFIT',
      openssl: 'accepts',
      go: 'accepts',
    },
  ]
}

async function below(
  issuer: IssuingManager,
  subject: Uint8Array,
  names: readonly string[],
): Promise<Pick<Forged, 'chain' | 'signer'>> {
  const key = createNodeKey()
  const signer = createNodeKey()
  const ca = await issuer.forge({
    subject,
    publicKey: key.publicKey,
    extensions: [
      keyUsage(0x04),
      basicConstraints(true, 0),
      subjectKeyId(new Uint8Array(20).fill(3)),
      authorityKeyId(issuer.intermediate.subjectKeyId ?? new Uint8Array(1)),
    ],
  })
  const leaf = await issuer.forge({
    issuer: ca.subject.der,
    subject: subjectOf(issuer.cluster.clusterId, 'swarm-manager', node),
    publicKey: signer.publicKey,
    signer: key,
    extensions: leafNamed(ca, names),
  })
  return { chain: [leaf, ca, issuer.intermediate], signer }
}

/** The other shape that was thought of: constraints on the subject itself. */
async function withDirectoryName(
  cluster: TestCluster,
  names: readonly string[],
  subject: Uint8Array,
  critical: boolean,
): Promise<Pick<Forged, 'chain' | 'signer'>> {
  const shape = await issuingManager({ cluster, grant: withManagers, managerNumber: 902 })
  const base = forgeName([O, cluster.clusterId], [OU, 'swarm-manager'])
  const constraints: ForgedExtension = {
    type: '2.5.29.30',
    value: encodeSequence(encodeElement(explicit(0), encodeSequence(encodeElement(explicit(4), base)))),
    ...(critical ? { critical: true as const } : {}),
  }
  const intermediate = parseCertificate(
    await forge({
      ...twinOf(shape.intermediate),
      issuer: cluster.root.subject.der,
      signer: openSigner(cluster.rootKey),
      extensions: [
        keyUsage(0x04),
        basicConstraints(true, 0),
        subjectKeyId(shape.intermediate.subjectKeyId ?? new Uint8Array(1)),
        authorityKeyId(cluster.root.subjectKeyId ?? new Uint8Array(1)),
        constraints,
      ],
    }),
  )
  const signer = createNodeKey()
  const leaf = await shape.forge({
    subject,
    publicKey: signer.publicKey,
    extensions: leafNamed(intermediate, names),
  })
  return { chain: [leaf, intermediate], signer }
}
