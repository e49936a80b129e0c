import type { ConnectRouter, HandlerContext } from '@connectrpc/connect'
import type { Authorizer } from '@leastwise/identity'
import { onAbort } from '../abortable.ts'
import { accessInterceptor } from '../access.ts'
import { Dispatcher } from '../gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { CA, NodeCA } from '../gen/docker/swarmkit/v1/identity_pb.ts'
import { LogBroker, type SubscriptionMessage } from '../gen/docker/swarmkit/v1/log_broker_pb.ts'
import { Evictions } from '../gen/leastwise/v1/evictions_pb.ts'
import { Recovery } from '../gen/leastwise/v1/recovery_pb.ts'
import type { Clock } from '../ports.ts'
import { MAX_REQUEST_BYTES } from '../wire/limits.ts'
import { dispatcherService } from './dispatch.ts'
import { caService, nodeCaService } from './enrolment.ts'
import { evictionsService } from './evictions.ts'
import type { SwarmManager } from './port.ts'
import { recoveryService } from './recovery.ts'
import type { SessionRegistry } from './sessions.ts'

/** What the routes need besides the manager. */
export interface SwarmRoutesOptions {
  readonly clock: Clock
  readonly sessions: SessionRegistry
  /**
   * Asked for every call of a caller with a certificate; throws to refuse. It should at least compare the cluster and know
   * the evicted (`allOf(inCluster(id), member(state))` of `@leastwise/identity`).
   */
  readonly authorize: Authorizer
  /**
   * The same for the calls by which a node learns that it must renew, and renews (`allOf(inCluster(id), mayRenew(state))`). Without it
   * a node whose role was changed cannot replace its certificate.
   */
  readonly authorizeRenewal?: Authorizer
}

// A stock engine gives up its whole session when this stream ends with an error, so it stays open and silent.
async function* idle(context: HandlerContext): AsyncGenerator<SubscriptionMessage, void, void> {
  using abortion = onAbort(context.signal)
  await abortion.aborted
}

/**
 * The node protocol of Docker Swarm over a {@link SwarmManager}, to be mounted into a router.
 *
 * Access is checked here for every method, whatever server the routes end up in; the server's part is to leave the verified
 * caller under {@link callerKey}.
 */
export function createSwarmRoutes(manager: SwarmManager, options: SwarmRoutesOptions): (router: ConnectRouter) => void {
  const { clock, sessions } = options
  return (router) => {
    const handling = { interceptors: [accessInterceptor(options)], readMaxBytes: MAX_REQUEST_BYTES }
    router.service(CA, caService(manager), handling)
    router.service(NodeCA, nodeCaService(manager, clock), handling)
    router.service(Dispatcher, dispatcherService(manager, { clock, sessions }), handling)
    if (manager.recovery !== undefined) router.service(Recovery, recoveryService(manager.recovery), handling)
    if (manager.evictions !== undefined) router.service(Evictions, evictionsService(manager.evictions), handling)
    router.service(LogBroker, { listenSubscriptions: (_request, context) => idle(context) }, handling)
  }
}
