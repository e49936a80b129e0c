import {
  type Authority,
  allowManagerIssuing,
  allowShortLifetime,
  type Certificate,
  createCsr,
  type Grant,
  type IntermediateGrant,
  issueCertificate,
  issueIntermediate,
  openAuthority,
  parseCertificate,
} from '@leastwise/identity'
import { createNodeKey, type LocalSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { encodeElement, encodeSequence, encodeText } from '../../packages/identity/src/der/writer.ts'
import { type TestCluster, type TestNode, testCluster, testNodeId } from '../support/test-authority.ts'
import {
  authorityKeyId,
  CN,
  type ForgedExtension,
  type Forgery,
  forge,
  forgeName,
  LEAF,
  O,
  OU,
  subjectKeyId,
} from './forge.ts'

export const HOUR = 3_600_000
export const DAY = 24 * HOUR

/** A cluster whose root has made an intermediate for one of its managers. */
export interface IssuingManager {
  readonly cluster: TestCluster
  readonly manager: TestNode
  readonly signer: LocalSigner
  readonly intermediate: Certificate
  /** Issues from the intermediate. */
  readonly authority: Authority
  readonly issue: (changes?: Partial<Grant>) => Promise<Certificate>
  /** What the holder of the intermediate's key can sign by hand: anything. */
  readonly forge: (changes?: Partial<Forgery>) => Promise<Certificate>
}

export interface IssuingManagerOptions {
  readonly cluster?: TestCluster
  readonly grant?: Partial<Omit<IntermediateGrant, 'manager'>>
  readonly managerNumber?: number
}

export const deps = (now: number): Parameters<typeof issueCertificate>[3] => ({
  random: systemRandom,
  now,
  verifier: systemVerifier,
  digest: systemDigest,
})

export async function issuingManager(options: IssuingManagerOptions = {}): Promise<IssuingManager> {
  const cluster = options.cluster ?? (await testCluster())
  const { now, clusterId } = cluster
  const manager = await cluster.issue({ role: 'manager', nodeId: testNodeId(options.managerNumber ?? 900) })
  const signer = createNodeKey()
  const grant = { manager: manager.certificate, ...options.grant }
  const intermediate = await issueIntermediate(cluster.authority, await createCsr(signer), grant, deps(now))
  const authority = await openAuthority(
    { certificate: intermediate, signer, intermediates: [intermediate] },
    { verifier: systemVerifier },
  )
  return {
    cluster,
    manager,
    signer,
    intermediate,
    authority,
    issue: async (changes = {}) =>
      await issueCertificate(
        authority,
        await createCsr(createNodeKey()),
        { nodeId: testNodeId(1), role: 'worker', clusterId, lifetimeMs: DAY, [allowShortLifetime]: true, ...changes },
        deps(now),
      ),
    forge: async (changes = {}) =>
      parseCertificate(
        await forge({
          issuer: intermediate.subject.der,
          subject: subjectOf(clusterId, 'swarm-worker', testNodeId(1)),
          publicKey: createNodeKey().publicKey,
          signer,
          notBefore: now - HOUR,
          notAfter: now + DAY,
          extensions: leafNamed(intermediate, ['swarm-worker', `${testNodeId(1)}.${clusterId}`]),
          ...changes,
        }),
      ),
  }
}

export const withManagers: Partial<IntermediateGrant> = { [allowManagerIssuing]: true }

export const subjectOf = (cluster: string, role: string, node: string): Uint8Array =>
  forgeName([O, cluster], [OU, role], [CN, node])

const DNS = 0x82

/** Names of a leaf: DNS names as texts, others as they are encoded. */
export const altNames = (...names: readonly (string | Uint8Array)[]): ForgedExtension => ({
  type: '2.5.29.17',
  value: encodeSequence(...names.map((name) => (typeof name === 'string' ? encodeText(DNS, name) : name))),
})
export const uri = (text: string): Uint8Array => encodeText(0x86, text)
export const email = (text: string): Uint8Array => encodeText(0x81, text)
export const ip = (...bytes: readonly number[]): Uint8Array => encodeElement(0x87, Uint8Array.from(bytes))

/** The extensions of a leaf with these names, under an issuer. */
export const leafNamed = (issuer: Certificate, names: readonly (string | Uint8Array)[]): readonly ForgedExtension[] => [
  ...LEAF,
  subjectKeyId(new Uint8Array(20).fill(7)),
  authorityKeyId(issuer.subjectKeyId ?? new Uint8Array(1)),
  altNames(...names),
]
