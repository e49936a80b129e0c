import { type ContextKey, createContextKey, type HandlerContext, type Interceptor } from '@connectrpc/connect'
import type { Authorizer, PeerIdentity } from '@leastwise/identity'
import { SwarmError } from './errors.ts'
import type { NodeRole } from './node-description.ts'
import { toConnectError } from './wire/status.ts'

/** Who may call a method: everybody, or nodes of these roles. */
export type Access = 'anonymous' | readonly NodeRole[]

const ANY_NODE: Access = ['worker', 'manager']
const MANAGERS: Access = ['manager']

/**
 * Who may call which method; those of Docker as in Docker Swarm. What stands in no row may be called by nobody.
 *
 * Anonymous are only the calls that a node needs before it has an identity.
 */
export const ACCESS_TABLE: Readonly<Record<string, Access>> = {
  'docker.swarmkit.v1.CA/GetRootCACertificate': 'anonymous',
  'docker.swarmkit.v1.CA/GetUnlockKey': MANAGERS,
  'docker.swarmkit.v1.NodeCA/IssueNodeCertificate': 'anonymous',
  'docker.swarmkit.v1.NodeCA/NodeCertificateStatus': 'anonymous',
  'docker.swarmkit.v1.Dispatcher/Session': ANY_NODE,
  'docker.swarmkit.v1.Dispatcher/Heartbeat': ANY_NODE,
  'docker.swarmkit.v1.Dispatcher/UpdateTaskStatus': ANY_NODE,
  'docker.swarmkit.v1.Dispatcher/Assignments': ANY_NODE,
  'docker.swarmkit.v1.LogBroker/ListenSubscriptions': ANY_NODE,
  'leastwise.v1.Evictions/Follow': ANY_NODE,
  'leastwise.v1.Recovery/Challenge': 'anonymous',
  'leastwise.v1.Recovery/Recover': 'anonymous',
}

/**
 * The calls by which a node finds out that it must renew, and renews. They are judged by {@link AccessRules.authorizeRenewal}, so that a node
 * whose role was changed is not locked out with the certificate that it is told to replace.
 */
export const RENEWAL_METHODS: ReadonlySet<string> = new Set([
  'docker.swarmkit.v1.CA/GetRootCACertificate',
  'docker.swarmkit.v1.NodeCA/IssueNodeCertificate',
  'docker.swarmkit.v1.NodeCA/NodeCertificateStatus',
  'docker.swarmkit.v1.Dispatcher/Session',
  'docker.swarmkit.v1.Dispatcher/Heartbeat',
])

/** Who is in good standing. */
export interface AccessRules {
  /** Judges callers with a certificate; throws to refuse. */
  readonly authorize: Authorizer
  /** The same for {@link RENEWAL_METHODS}: `mayRenew` of `@leastwise/identity`; `authorize` unless given. */
  readonly authorizeRenewal?: Authorizer
}

/** Where the server leaves who is calling; `null` without a client certificate. */
export const callerKey: ContextKey<PeerIdentity | null> = createContextKey<PeerIdentity | null>(null, {
  description: 'the verified caller',
})

/**
 * Decides on one call.
 *
 * A caller that presents a certificate must be in good standing even for an open method: a node that was thrown out is told
 * so wherever it asks.
 *
 * @param method - `package.Service/Method`
 * @throws {@link SwarmError} `CALLER_ANONYMOUS` or `CALLER_ROLE`; or whatever the rules throw.
 */
export function checkAccess(method: string, caller: PeerIdentity | null, rules: AccessRules): void {
  const { authorize, authorizeRenewal = authorize } = rules
  const access = Object.hasOwn(ACCESS_TABLE, method) ? ACCESS_TABLE[method] : []
  if (caller !== null) (RENEWAL_METHODS.has(method) ? authorizeRenewal : authorize)(caller)
  if (access === 'anonymous') return
  if (caller === null)
    throw new SwarmError('CALLER_ANONYMOUS', `${method} needs a client certificate, join the cluster first`)
  if (access?.includes(caller.role) !== true)
    throw new SwarmError(
      'CALLER_ROLE',
      `${method} is not open to a ${caller.role}, call it from a node of another role`,
    )
}

async function* translated<T>(messages: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  try {
    yield* messages
  } catch (error) {
    throw toConnectError(error)
  }
}

/** The one gate in front of every handler: access first, and every error translated on the way out. */
export function accessInterceptor(rules: AccessRules): Interceptor {
  return (next) => async (request) => {
    try {
      checkAccess(`${request.service.typeName}/${request.method.name}`, request.contextValues.get(callerKey), rules)
      const response = await next(request)
      return response.stream ? { ...response, message: translated(response.message) } : response
    } catch (error) {
      throw toConnectError(error)
    }
  }
}

/** The caller of a method that the table keeps closed to anonymous callers. */
export function callerOf(context: HandlerContext): PeerIdentity {
  const caller = context.values.get(callerKey)
  if (caller === null)
    throw new SwarmError('CALLER_ANONYMOUS', 'this call needs a client certificate, join the cluster first')
  return caller
}
