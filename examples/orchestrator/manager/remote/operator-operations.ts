import {
  type Certificate,
  type Csr,
  DEFAULT_OPERATOR_LIFETIME_MS,
  type FoundedAuthority,
  issueOperatorCertificate,
  listOperators,
  MAX_OPERATOR_LIFETIME_MS,
  MAX_OPERATOR_NAME_LENGTH,
  type OperatorGrant,
  type OperatorRecord,
  parseCertificate,
  parseClusterId,
  parseCsr,
  parseNodeId,
  trustBundleOf,
} from '@leastwise/identity'
import { systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { createId } from '@leastwise/tokens'
import { OrchestratorError } from '../../errors.ts'
import type { OperatorAnswer, OperatorIdentityAnswer } from '../../operator/answers.ts'
import type { ClusterState } from '../cluster-state.ts'
import { text, wholeNumberOrNull } from '../fields.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { OperationContext } from '../operations.ts'
import type { Operation } from '../operator-server.ts'
import { issuerInForce } from '../root/issuer-in-force.ts'
import type { RootKeeper } from '../root/root-keeper.ts'

const MIN_PREFIX_CHARS = 4

function findOperator({ operators }: ClusterState, given: string): OperatorRecord {
  const [found, ...others] = listOperators(operators).filter(
    ({ operatorId, name, eviction }) =>
      operatorId === given ||
      (eviction === null && (name === given || (given.length >= MIN_PREFIX_CHARS && operatorId.startsWith(given)))),
  )
  if (found === undefined) throw new OrchestratorError('NOT_FOUND', 'there is no such operator; operator ls lists them')
  if (others.length > 0) throw new OrchestratorError('NOT_FOUND', 'several operators are called so; give the id')
  return found
}

async function issue(
  founded: FoundedAuthority,
  keeper: RootKeeper | null,
  csr: Csr,
  grant: OperatorGrant,
  now: number,
): Promise<Certificate> {
  const [{ certificate, privateKey }] = founded.roots
  if (privateKey === null && keeper?.issueOperator) {
    // Each of the servers has a deadline of its own.
    const { signal } = new AbortController()
    return await keeper.issueOperator(parseCertificate(certificate), csr, grant, { now, signal })
  }
  const authority = await issuerInForce(founded, keeper, '; use the socket of the manager on its own machine')
  const needs = { now, random: systemRandom, verifier: systemVerifier, digest: systemDigest }
  return await issueOperatorCertificate(authority, csr, grant, needs)
}

/** Identities for people and tools that talk to managers from afar. */
export function operatorOperations({ store, now, keeper }: OperationContext): Record<string, Operation> {
  return {
    'operator/issue': async (request): Promise<OperatorIdentityAnswer> => {
      const body = request.body()
      const name = text(body, 'name')
      if (name.length > MAX_OPERATOR_NAME_LENGTH)
        throw new OrchestratorError('USAGE', `the name has at most ${MAX_OPERATOR_NAME_LENGTH} characters`)
      const lifetimeMs = wholeNumberOrNull(body, 'lifetimeMs') ?? DEFAULT_OPERATOR_LIFETIME_MS
      if (lifetimeMs < 1000 || lifetimeMs > MAX_OPERATOR_LIFETIME_MS)
        throw new OrchestratorError('USAGE', 'an identity of an operator is good for a second to a day')
      const csr = parseCsr(text(body, 'csr'))
      const state = store.state()
      const clusterId = parseClusterId(foundedCluster(state).clusterId)
      // A name that is there already gets one more certificate.
      const known = listOperators(state.operators).find((each) => each.eviction === null && each.name === name)
      const operatorId = known?.operatorId ?? parseNodeId(createId(systemRandom))
      const grant = { operatorId, clusterId, lifetimeMs }
      const certificate = await issue(foundedCluster(state), keeper, csr, grant, now())
      const { serial, notAfter } = certificate
      await store.commit(() => [
        { part: 'operators', command: { type: 'prune', now: now() } },
        { part: 'operators', command: { type: 'admit', operatorId, name, now: now() } },
        { part: 'operators', command: { type: 'record-certificate', operatorId, serial, notAfter } },
      ])
      const trustBundle = trustBundleOf(foundedCluster(store.state()))
      return {
        id: operatorId,
        name,
        notAfter,
        certificate: certificate.pem,
        trustBundle,
      }
    },
    'operator/ls': (): readonly OperatorAnswer[] =>
      listOperators(store.state().operators).map(({ operatorId, name, admittedAt, certificates, eviction }) => ({
        id: operatorId,
        name,
        admittedAt,
        state:
          eviction !== null ? 'removed' : certificates.some(({ notAfter }) => notAfter > now()) ? 'active' : 'expired',
        notAfter: certificates.at(-1)?.notAfter ?? null,
      })),
    'operator/rm': async (request) => {
      const given = text(request.body(), 'operator')
      let id = ''
      await store.commit((state) => {
        const { operatorId } = findOperator(state, given)
        id = operatorId
        return [
          { part: 'operators', command: { type: 'evict', operatorId, reason: 'removed by the operator', now: now() } },
        ]
      })
      return { id }
    },
  }
}
