import { createPoke, renewals } from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import { linkSignals } from '../abortable.ts'
import { acceptTrustBundle, sameBytes } from '../agent/acceptance.ts'
import { GOOD_SESSION_MS, nextSessionBackoff, unitOf } from '../agent/backoff.ts'
import { createEventQueue } from '../agent/event-queue.ts'
import type { AgentEvent, AgentOptions, NodeCredentials } from '../agent/events.ts'
import { firstOf } from '../agent/first-of.ts'
import { createManagerPool } from '../agent/manager-pool.ts'
import { tlsReportOf } from '../agent/tls-report.ts'
import type { Clock, RandomSource } from '../ports.ts'
import type { ManagerList } from '../session-update.ts'
import type { SessionNotice } from '../wire/session-message.ts'
import { codeOf } from '../wire/status.ts'
import { openSessionLinks } from './agent-links.ts'
import { runSession } from './agent-session.ts'
import { certify, createPendingKey } from './certificate-request.ts'
import { openManagerLink } from './manager-link.ts'

/** {@link AgentOptions} and the world. */
export interface RunAgentOptions extends AgentOptions {
  readonly clock: Clock
  readonly random: RandomSource
}

/** Words for the events; the error itself stays inside. */
const nameOf = (error: unknown): string => codeOf(error) ?? 'UNEXPECTED'

const isEviction = (error: unknown): boolean => codeOf(error) === 'NODE_EVICTED'

/**
 * Runs a node: keeps a session with a manager, applies its assignments, reports, renews the certificate in time and when
 * asked to, follows the lists of managers and the trust bundle that the manager sends.
 *
 * Everything happens while the caller iterates, and ends when it stops. The last event is `evicted` when a verified manager
 * says that the node is out of the cluster: the host then wipes what it holds. Every other failure is an event, too, and tried again; so are
 * failures of the host's own callbacks.
 *
 * @throws the reason of `signal` when it aborts.
 */
export async function* runAgent(options: RunAgentOptions): AsyncGenerator<AgentEvent, void, void> {
  const { clock, random, worker, description } = options
  using scope = linkSignals(options.signal)
  const queue = createEventQueue<AgentEvent>()
  const pool = createManagerPool(options.managers)
  const rotation = createPoke()
  let credentials: NodeCredentials = options.credentials
  let renewing = false
  let asked = false
  let address = pool.pick(unitOf(random))

  // A new certificate and a new bundle may arrive together; each has to build on what the other has left, never undo it.
  let changes: Promise<unknown> = Promise.resolve()
  const change = async (decide: () => Promise<NodeCredentials>): Promise<NodeCredentials> => {
    const changed = changes.then(async () => {
      const next = await decide()
      await options.saveCredentials(next)
      credentials = next
      return next
    })
    changes = changed.catch(() => undefined)
    return await changed
  }

  const vouchedBy = async (pem: Uint8Array, held: NodeCredentials): Promise<NodeCredentials> =>
    sameBytes(pem, held.trustBundle)
      ? held
      : await acceptTrustBundle(pem, held, { now: clock.now(), verifier: systemVerifier })

  const takeTrustBundle = async (pem: Uint8Array): Promise<void> => {
    if (sameBytes(pem, credentials.trustBundle)) return
    try {
      queue.push({ type: 'trust-bundle', credentials: await change(async () => await vouchedBy(pem, credentials)) })
    } catch (error) {
      queue.push({ type: 'trust-bundle-refused', code: nameOf(error) })
    }
  }

  const takeNotice = async (notice: SessionNotice): Promise<void> => {
    const [first, ...rest] = notice.managers
    if (first !== undefined && pool.replace(notice.managers)) {
      const managers: ManagerList = [first, ...rest]
      await options.saveManagers(managers)
      queue.push({ type: 'managers', managers })
    }
    if (notice.trustBundle !== null) await takeTrustBundle(notice.trustBundle)
    if (notice.certificate === 'rotate' && !renewing) {
      asked = true
      rotation.poke()
    }
  }

  const renew = async (
    current: NodeCredentials,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<NodeCredentials> => {
    renewing = true
    const reason = asked ? 'asked' : 'due'
    try {
      using link = openManagerLink(address, { kind: 'identity', credentials })
      const { nodeId, clusterId } = current
      const certified = await certify(link, {
        key: await createPendingKey(),
        token: '',
        requestedRole: null,
        availability: 'active',
        trustBundle: credentials.trustBundle,
        expected: { nodeId, clusterId, role: null },
        clock,
        random,
        signal,
      })
      const next = await change(async () => await vouchedBy(credentials.trustBundle, certified))
      asked = false
      queue.push({ type: 'renewed', credentials: next, reason })
      return next
    } catch (error) {
      if (isEviction(error)) throw endWith(error)
      throw error
    } finally {
      renewing = false
    }
  }

  // The renewal loop takes every error for a failed try; this one has to end the agent.
  const endWith = (error: unknown): unknown => {
    scope.abort(error)
    return error
  }

  const renewForever = async (signal: AbortSignal): Promise<void> => {
    const schedule = renewals(credentials, {
      renew,
      clock,
      jitter: () => unitOf(random),
      signal,
      wake: rotation.wake,
      onState: ({ nextRenewalAt, lastError }) => {
        if (nextRenewalAt === null) return
        if (lastError === null) queue.push({ type: 'renewal-scheduled', at: nextRenewalAt })
        else queue.push({ type: 'renewal-failed', code: nameOf(lastError), retryAt: nextRenewalAt })
      },
    })
    for await (const _renewed of schedule);
  }

  const sessionsForever = async (signal: AbortSignal): Promise<void> => {
    for (let backoffMs = 0; ; ) {
      const startedAt = clock.now()
      try {
        using links = openSessionLinks(address, () => credentials)
        const { streams, calls } = links
        await runSession({
          address,
          streams,
          calls,
          description: { ...description, tls: description.tls ?? tlsReportOf(credentials) },
          worker,
          clock,
          random,
          emit: queue.push,
          onNotice: takeNotice,
          signal,
        })
      } catch (error) {
        signal.throwIfAborted()
        if (isEviction(error)) throw error
        // A server that ends every session at once must not be asked in a tight circle, however well it began.
        const good = clock.now() - startedAt >= GOOD_SESSION_MS
        backoffMs = nextSessionBackoff(good ? 0 : backoffMs)
        const retryInMs = backoffMs * unitOf(random)
        queue.push({ type: 'disconnected', code: nameOf(error), address, retryInMs })
        pool.observe(address, good ? 'good' : 'bad')
        await clock.sleep(retryInMs, { signal })
        address = pool.pick(unitOf(random))
      }
    }
  }

  const work = firstOf(scope.signal, [sessionsForever, renewForever]).then(
    () => {
      queue.close()
    },
    (error: unknown) => {
      if (isEviction(error)) {
        queue.push({ type: 'evicted' })
        queue.close()
      } else queue.close({ error: options.signal.aborted ? options.signal.reason : error })
    },
  )
  try {
    yield* queue.drain()
  } finally {
    scope.abort(new DOMException('agent was stopped', 'AbortError'))
    await work
  }
}
