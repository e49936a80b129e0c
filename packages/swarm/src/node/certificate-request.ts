import { createCsr, parseTrustBundle } from '@leastwise/identity'
import { createNodeKey, exportPrivateKey, systemVerifier } from '@leastwise/identity/node'
import { acceptCertificate } from '../agent/acceptance.ts'
import type { NodeCredentials } from '../agent/events.ts'
import { type IssuingManager, obtainCertificate } from '../agent/obtain.ts'
import type { Availability, NodeRole } from '../node-description.ts'
import type { Clock, RandomSource } from '../ports.ts'
import { availabilities, issuanceStates, roles } from '../wire/codebook.ts'
import { idField } from '../wire/fields.ts'
import { codeOf } from '../wire/status.ts'
import { call, type ManagerLink } from './manager-link.ts'

/** A key that has not been certified yet, and the request for it. */
export interface PendingKey {
  /** PKCS#8, DER. */
  readonly privateKey: Uint8Array
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** PEM. */
  readonly csr: Uint8Array
}

/** A fresh P-256 key with its request. Keep both together: another request for the same key has another signature. */
export async function createPendingKey(): Promise<PendingKey> {
  const signer = createNodeKey()
  const csr = await createCsr(signer)
  return { privateKey: exportPrivateKey(signer), publicKey: signer.publicKey, csr: new TextEncoder().encode(csr.pem) }
}

/** What one round of certification needs. */
export interface CertifyOptions {
  readonly key: PendingKey
  /** How the request is sent, and the node id that comes back; `NodeCA/IssueNodeCertificate` unless given. */
  readonly issue?: IssuingManager['issue']
  /**
   * Given when an earlier try with this very request may have been granted. Called when a manager refuses it then, because it has its certificate already;
   * gives the id of the node, whose certificate is fetched.
   */
  readonly fetchInstead?: () => string
  /** `''` for a renewal, which the connection's certificate speaks for. */
  readonly token: string
  readonly requestedRole: NodeRole | null
  readonly availability: Availability
  readonly trustBundle: Uint8Array
  /** What the certificate must say; `null` parts are learnt from it. */
  readonly expected: {
    readonly nodeId: string | null
    readonly clusterId: string | null
    readonly role: NodeRole | null
  }
  readonly clock: Clock
  readonly random: RandomSource
  readonly signal: AbortSignal
}

/** A node with a certificate that counts no more is nobody, who brings no token; one that still counts has shown this key. */
const REFUSED_WHEN_GRANTED: ReadonlySet<string> = new Set(['JOIN_TOKEN_REJECTED', 'NODE_KEY_REUSED'])

function issuingManager(
  link: ManagerLink,
  { key, token, requestedRole, availability, issue, fetchInstead }: CertifyOptions,
): IssuingManager {
  return {
    issue: async ({ signal }) => {
      if (issue !== undefined) return await issue({ signal })
      const request = {
        csr: key.csr,
        token,
        role: roles.encode(requestedRole ?? 'worker'),
        availability: availabilities.encode(availability),
      }
      const asking = call(signal, async (options) => await link.nodeCa.issueNodeCertificate(request, options))
      const answer = await asking.catch((error: unknown) => {
        if (fetchInstead === undefined || !REFUSED_WHEN_GRANTED.has(codeOf(error) ?? '')) throw error
        return { nodeId: fetchInstead() }
      })
      return idField(answer.nodeId, 'manager', 'node id')
    },
    status: async (nodeId, { signal }) => {
      const answer = await call(signal, async (options) => await link.nodeCa.nodeCertificateStatus({ nodeId }, options))
      const state = answer.status?.state ?? 0
      return {
        state: state === 0 ? null : issuanceStates.decode(state, 'manager'),
        csr: answer.certificate?.csr ?? new Uint8Array(),
        certificate: answer.certificate?.certificate ?? new Uint8Array(),
      }
    },
  }
}

/** Gets a key certified over an open connection, and judges what comes back. */
export async function certify(link: ManagerLink, options: CertifyOptions): Promise<NodeCredentials> {
  const { key, trustBundle, expected, clock, random, signal } = options
  const { nodeId, certificate } = await obtainCertificate(issuingManager(link, options), {
    csr: key.csr,
    clock,
    random,
    signal,
  })
  const accepted = await acceptCertificate(certificate, {
    publicKey: key.publicKey,
    nodeId: expected.nodeId ?? nodeId,
    bundle: parseTrustBundle(trustBundle),
    clusterId: expected.clusterId,
    role: expected.role,
    now: clock.now(),
    verifier: systemVerifier,
  })
  return { ...accepted, privateKey: key.privateKey, trustBundle }
}
