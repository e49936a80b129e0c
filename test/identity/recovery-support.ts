import {
  type Csr,
  createCsr,
  createRecoveryChallenges,
  type Membership,
  type MembershipCommand,
  membership,
  type NodeId,
  type ProvenRecovery,
  proveRecovery,
  type RecoveryChallenges,
  type RecoveryRequest,
  type Role,
  signRecovery,
} from '@leastwise/identity'
import {
  createNodeKey,
  type LocalSigner,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { hashPublicKey } from '@leastwise/tokens'
import { type TestCluster, type TestNode, testCluster, testNodeId } from '../support/test-authority.ts'

export const hashOf = (publicKey: Uint8Array): string => hashPublicKey(publicKey, systemDigest)

/** What a node holds whose certificate the cluster recorded. */
export interface Held {
  readonly nodeId: NodeId
  readonly serial: string
  readonly signer: LocalSigner
  readonly notAfter: number
}

/** A cluster with a membership, and nodes that hold real keys. */
export interface RecoveryScene {
  readonly cluster: TestCluster
  readonly challenges: RecoveryChallenges
  readonly state: () => Membership
  readonly order: (...commands: readonly MembershipCommand[]) => void
  readonly join: (options?: { readonly role?: Role }) => Promise<Held>
  /** Signs what is pending, with the node's next certificate. */
  readonly renew: (nodeId: NodeId) => Promise<Held>
  readonly request: (held: Held, changes?: Partial<RecoveryRequest>, signed?: SignedParts) => Promise<RecoveryRequest>
  readonly prove: (request: RecoveryRequest, now: number) => Promise<ProvenRecovery>
}

/** Parts of the statement that are signed instead of the true ones. */
export interface SignedParts {
  readonly clusterId?: string
  readonly nodeId?: string
  readonly serial?: string
  readonly challenge?: Uint8Array
  readonly csr?: Csr
}

export const heldOf = ({ nodeId, certificate, privateKey }: TestNode): Held => ({
  nodeId,
  serial: certificate.serial,
  signer: openSigner(privateKey),
  notAfter: certificate.notAfter,
})

export async function recoveryScene(): Promise<RecoveryScene> {
  const cluster = await testCluster()
  const challenges = createRecoveryChallenges({ random: systemRandom, digest: systemDigest })
  let state = membership.initial
  let joined = 0
  const order = (...commands: readonly MembershipCommand[]): void => {
    for (const command of commands) state = membership.decide(state, command).reduce(membership.evolve, state)
  }
  const record = (node: TestNode): Held => {
    const { nodeId, csr, certificate, certificateChain } = node
    const { serial, notAfter } = certificate
    order({
      type: 'record-certificate',
      nodeId,
      csr: csr.pem,
      certificate: certificateChain,
      serial,
      notAfter,
    })
    return heldOf(node)
  }
  return {
    cluster,
    challenges,
    state: () => state,
    order,
    join: async ({ role = 'worker' } = {}) => {
      joined += 1
      const node = await cluster.issue({ nodeId: testNodeId(joined), role })
      const { nodeId, csr } = node
      const publicKeyHash = hashOf(csr.publicKey)
      order({ type: 'admit', nodeId, role, csr: csr.pem, publicKeyHash, now: cluster.now })
      return record(node)
    },
    renew: async (nodeId) => {
      const node = await cluster.issue({ nodeId })
      order({ type: 'renew', nodeId, csr: node.csr.pem, publicKeyHash: hashOf(node.csr.publicKey) })
      return record(node)
    },
    request: async (held, changes = {}, signed = {}) => {
      const now = cluster.now
      const csr = await createCsr(createNodeKey())
      const challenge = changes.challenge ?? challenges.create(now)
      const { nodeId, serial } = held
      const statement = { clusterId: cluster.clusterId, nodeId, serial, challenge, csr, ...signed }
      const signature = await signRecovery(statement, { signer: held.signer, digest: systemDigest })
      return { nodeId, serial, csr: csr.pem, challenge, signature, ...changes }
    },
    prove: async (request, now) =>
      await proveRecovery(request, {
        membership: state,
        clusterId: cluster.clusterId,
        challenges,
        verifier: systemVerifier,
        digest: systemDigest,
        now,
      }),
  }
}
