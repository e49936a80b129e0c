import {
  type Certificate,
  createCsr,
  DEFAULT_LIFETIME_MS,
  formatCertificateChain,
  localAuthority,
  openAuthority,
  parseCertificate,
  parseClusterId,
  parseNodeId,
  type SigningAuthority,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { createId, hashPublicKey } from '@leastwise/tokens'
import { OrchestratorError } from '../../errors.ts'
import type { NewTokenAnswer } from '../../operator/answers.ts'
import type { OwnCa } from '../../own-ca.ts'
import type { ClusterCommand } from '../cluster-state.ts'
import type { ManagerIdentity } from '../manager-keys.ts'
import { importOwnCa, type KeptRoot } from '../root/import-own-ca.ts'
import { newToken } from '../tokens.ts'

/** A cluster that was not there before: nothing of it is kept yet. */
export interface Genesis {
  readonly clusterId: string
  readonly nodeId: string
  readonly identity: ManagerIdentity
  /** What makes it durable. */
  readonly orders: readonly ClusterCommand[]
  /** One token for each role; they are kept nowhere, so show them now. */
  readonly tokens: readonly NewTokenAnswer[]
}

/** What a cluster is founded on. */
export interface FoundingAuthority {
  readonly root: Certificate
  /** PKCS #8 DER, for the log; null when the key is somewhere else. */
  readonly privateKey: Uint8Array | null
  /** What stands between the key and the root, lowest first. */
  readonly intermediates: readonly Certificate[]
  readonly signing: SigningAuthority
  /** Takes back what was made for it elsewhere, when the founding failed. */
  readonly discard: () => Promise<void>
}

const nothing = async (): Promise<void> => {
  await Promise.resolve()
}

/** A new root of the cluster's own. */
async function newRoot(now: number): Promise<FoundingAuthority> {
  const { certificate, privateKey } = await createRoot({ now, serial: systemRandom.bytes(20) })
  return await foundOn({ certificate: certificate.pem, privateKey })
}

async function foundOn({ certificate, privateKey, intermediates: pems = [] }: KeptRoot): Promise<FoundingAuthority> {
  const root = parseCertificate(certificate)
  const intermediates = pems.map((pem) => parseCertificate(pem))
  const parts = { certificate: intermediates[0] ?? root, signer: openSigner(privateKey), intermediates }
  const authority = await openAuthority(parts, { verifier: systemVerifier })
  const options = { random: systemRandom, verifier: systemVerifier, digest: systemDigest }
  return { root, privateKey, intermediates, signing: localAuthority(authority, options), discard: nothing }
}

/** A CA that the operator brought along. */
export async function foundOnOwnCa(
  { certificates, privateKey }: OwnCa,
  { now }: { readonly now: number },
): Promise<FoundingAuthority> {
  if (privateKey === null)
    throw new OrchestratorError(
      'USAGE',
      'a cluster is founded on a ca of your own with its key: name that with --ca-key',
    )
  return await foundOn(await importOwnCa({ certificates, privateKey }, { now, lifetimeMs: DEFAULT_LIFETIME_MS }))
}

/** Makes the first manager's identity and one join token for each role, on a new root unless another authority is given. */
export async function newCluster(
  now: number,
  { authority, signal }: { readonly authority?: FoundingAuthority; readonly signal?: AbortSignal } = {},
): Promise<Genesis> {
  const { root, privateKey, intermediates, signing } = authority ?? (await newRoot(now))
  const clusterId = parseClusterId(createId(systemRandom))
  const nodeId = parseNodeId(createId(systemRandom))
  const key = createNodeKey()
  const csr = await createCsr(key)
  const certificate = await signing.issue(
    csr,
    { nodeId, role: 'manager', clusterId, lifetimeMs: DEFAULT_LIFETIME_MS },
    { now, signal: signal ?? new AbortController().signal },
  )
  const trustBundle = root.pem
  const certificateChain = formatCertificateChain([certificate, ...intermediates])
  const bundle = new TextEncoder().encode(trustBundle)
  const tokens = (['worker', 'manager'] as const).map((role) =>
    newToken(bundle, { role, ttlMs: null, maxUses: null, overlapMs: null }, now),
  )
  return {
    clusterId,
    nodeId,
    identity: { privateKey: exportPrivateKey(key), certificateChain, trustBundle },
    tokens: tokens.map(({ answer }) => answer),
    orders: [
      {
        part: 'authority',
        command: {
          type: 'found',
          clusterId,
          certificate: trustBundle,
          privateKey,
          ...(intermediates.length === 0 ? {} : { intermediates: intermediates.map(({ pem }) => pem) }),
          lifetimeMs: DEFAULT_LIFETIME_MS,
          now,
        },
      },
      {
        part: 'membership',
        command: {
          type: 'admit',
          nodeId,
          role: 'manager',
          csr: csr.pem,
          publicKeyHash: hashPublicKey(csr.publicKey, systemDigest),
          now,
        },
      },
      {
        part: 'membership',
        command: {
          type: 'record-certificate',
          nodeId,
          csr: csr.pem,
          certificate: certificateChain,
          serial: certificate.serial,
          notAfter: certificate.notAfter,
        },
      },
      ...tokens.map(({ order }) => order),
    ],
  }
}
