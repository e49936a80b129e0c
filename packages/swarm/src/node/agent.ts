import { type ClockSkew, createPoke, isSkewed, issuerClock, renewals } from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import { linkSignals, onAbort } from '../abortable.ts'
import { acceptTrustBundle, sameBytes } from '../agent/acceptance.ts'
import { GOOD_SESSION_MS, nextSessionBackoff, unitOf } from '../agent/backoff.ts'
import { createEventQueue } from '../agent/event-queue.ts'
import type { AgentEvent, AgentOptions, NodeCredentials } from '../agent/events.ts'
import { firstOf } from '../agent/first-of.ts'
import { createManagerPool } from '../agent/manager-pool.ts'
import { createRegistrationPace } from '../agent/registration-pace.ts'
import { drawUpTo, REGISTRATION_SPREAD_MS } from '../agent/spread.ts'
import { sameReport, tlsReportOf } from '../agent/tls-report.ts'
import type { Clock, RandomSource } from '../ports.ts'
import { codeOf, nameOf } from '../wire/status.ts'
import { watchStaleness } from './agent-evictions.ts'
import { openSessionLinks } from './agent-links.ts'
import { createNotices } from './agent-notices.ts'
import { runSession } from './agent-session.ts'
import { isDisbelief, lookForBridges, ownBridges } from './bridges.ts'
import { certify, type PendingKey } from './certificate-request.ts'
import { openManagerLink } from './manager-link.ts'
import { createNextKey } from './next-key.ts'
import { RECOVERY_POLL_MS, recoverInTime } from './recover.ts'

/** {@link AgentOptions} and the world. */
export interface RunAgentOptions extends AgentOptions {
  /**
   * What {@link RunAgentOptions.saveRecoveryKey} kept, when the last run died between asking for its next identity and saving it: when the
   * one that it has is worth nothing by then, the manager takes only this key.
   */
  readonly recoveryKey?: PendingKey
  /**
   * Called before the manager is asked for a certificate of a new key. Durable when the promise resolves; of no more use once credentials with
   * another key than before are saved. Without it such a death may cost the identity.
   */
  readonly saveRecoveryKey?: (key: PendingKey) => Promise<void>
  readonly clock: Clock
  readonly random: RandomSource
}

/** Ends a session whose registration says what is no longer so. */
const OUTDATED = new DOMException('the node registers anew to report a change of its trust', 'AbortError')

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
  const { clock, random, worker, description, evictions = null } = options
  using scope = linkSignals(options.signal)
  const queue = createEventQueue<AgentEvent>()
  const pool = createManagerPool(options.managers)
  const rotation = createPoke()
  const revived = createPoke()
  const doubted = createPoke()
  let credentials: NodeCredentials = options.credentials
  let renewing = false
  let asked = false
  // Asked again before the renewal has begun, as by each session of a few, is asked once.
  let poked = false
  let clockSkew: ClockSkew | null = null
  const nextKey = createNextKey({
    kept: options.recoveryKey ?? null,
    save: async (key) => {
      await options.saveRecoveryKey?.(key)
    },
    own: () => credentials,
  })
  const expired = (): boolean => clock.now() > credentials.notAfter
  let address = pool.pick(unitOf(random))

  // A new certificate and a new bundle may arrive together; each has to build on what the other has left, never undo it.
  let changes: Promise<unknown> = Promise.resolve()
  // Seen in the chain of a manager that TLS refused; they belong to the bundle that vouched for them.
  let learned: { readonly trustBundle: Uint8Array; readonly bridges: readonly string[] } | null = null
  const bridgesOf = (held: NodeCredentials): readonly string[] => [
    ...ownBridges(held, clock.now()),
    ...(learned !== null && sameBytes(learned.trustBundle, held.trustBundle) ? learned.bridges : []),
  ]
  const lookAround = async (error: unknown, at: string, signal: AbortSignal): Promise<void> => {
    if (!isDisbelief(error)) return
    const { trustBundle, clusterId } = credentials
    const bridges = await lookForBridges({ address: at, trustBundle, clusterId, clock, signal })
    if (bridges.length > 0) learned = { trustBundle, bridges }
  }

  const change = async (decide: () => Promise<NodeCredentials>): Promise<NodeCredentials> => {
    const changed = changes.then(async () => {
      const next = await decide()
      await options.saveCredentials(next)
      const before = credentials
      credentials = next
      // A manager learns who issued a node's certificate, and what it trusts, from a registration alone; Docker's root rotation waits for that.
      if (description.tls === null && !sameReport(tlsReportOf(before), tlsReportOf(next))) doubted.poke()
      return next
    })
    changes = changed.catch(() => undefined)
    return await changed
  }

  const vouchedBy = async (pem: Uint8Array, held: NodeCredentials): Promise<NodeCredentials> =>
    sameBytes(pem, held.trustBundle)
      ? held
      : await acceptTrustBundle(pem, held, { now: clock.now(), verifier: systemVerifier })

  const askForRenewal = (): void => {
    if (renewing) return
    asked = true
    if (!poked) rotation.poke()
    poked = true
  }

  const notices = createNotices({
    pool,
    trustBundle: () => credentials.trustBundle,
    trust: async (pem) => await change(async () => await vouchedBy(pem, credentials)),
    saveManagers: options.saveManagers,
    askForRenewal,
    emit: queue.push,
    clock,
    random,
  })

  const askForNext = async ({ nodeId, clusterId }: NodeCredentials, signal: AbortSignal): Promise<NodeCredentials> => {
    const fetchInstead = (): string => {
      nextKey.hold()
      return nodeId
    }
    const again = nextKey.wasAsked()
    const key = await nextKey.take()
    using link = openManagerLink(address, { kind: 'identity', credentials, bridges: bridgesOf(credentials) })
    return await certify(link, {
      key,
      ...(again ? { fetchInstead } : {}),
      token: '',
      requestedRole: null,
      availability: 'active',
      trustBundle: credentials.trustBundle,
      expected: { nodeId, clusterId, role: null },
      clock,
      random,
      signal,
    })
  }

  const comeBack = async (signal: AbortSignal): Promise<NodeCredentials> => {
    const { trustBundle, clusterId } = credentials
    const key = await nextKey.take()
    nextKey.hold()
    return await recoverInTime({
      credentials,
      key,
      clock,
      random,
      signal,
      open: () => openManagerLink(address, { kind: 'bundle', trustBundle, clusterId, bridges: bridgesOf(credentials) }),
      onWait: (retryInMs) => {
        queue.push({ type: 'recovery-waits', code: 'RECOVERY_AWAITS_APPROVAL', retryInMs })
      },
    })
  }

  const renew = async (
    current: NodeCredentials,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<NodeCredentials> => {
    renewing = true
    poked = false
    const reason = expired() ? 'recovered' : asked ? 'asked' : 'due'
    try {
      const certified = reason === 'recovered' ? await comeBack(signal) : await askForNext(current, signal)
      const next = await change(async () => await vouchedBy(credentials.trustBundle, certified))
      asked = false
      nextKey.drop()
      revived.poke()
      queue.push({ type: 'renewed', credentials: next, reason })
      return next
    } catch (error) {
      if (isEviction(error)) throw endWith(error)
      nextKey.failed(error)
      await lookAround(error, address, signal)
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
      issuerClock,
      onState: ({ nextRenewalAt, lastError, clockSkew: measured }) => {
        if (nextRenewalAt === null) return
        if (measured !== null && measured !== clockSkew) {
          clockSkew = measured
          queue.push({ type: 'clock-skew', ...measured, skewed: isSkewed(measured) })
        }
        if (lastError === null) queue.push({ type: 'renewal-scheduled', at: nextRenewalAt })
        else queue.push({ type: 'renewal-failed', code: nameOf(lastError), retryAt: nextRenewalAt })
      },
    })
    for await (const _renewed of schedule);
  }

  const registrations = createRegistrationPace()
  const emitFromSession = (event: AgentEvent): void => {
    if (event.type === 'session') registrations.note(clock.now())
    queue.push(event)
  }

  const sessionsForever = async (signal: AbortSignal): Promise<void> => {
    for (let backoffMs = 0; ; ) {
      const startedAt = clock.now()
      const reported = tlsReportOf(credentials)
      try {
        using links = openSessionLinks({ address, current: () => credentials, bridgesOf, clock })
        const { streams, calls } = links
        const session = async (ended: AbortSignal): Promise<void> => {
          await runSession({
            address,
            streams,
            calls,
            description: { ...description, tls: description.tls ?? reported },
            worker,
            evictions,
            trustBundle: () => credentials.trustBundle,
            clock,
            random,
            emit: emitFromSession,
            onNotice: notices.take,
            signal: ended,
          })
        }
        const outdated = async (ended: AbortSignal): Promise<void> => {
          do await doubted.wake({ signal: ended })
          while (sameReport(reported, tlsReportOf(credentials)))
          const pauseMs = Math.max(drawUpTo(REGISTRATION_SPREAD_MS, random), registrations.pauseMs(clock.now()))
          await clock.sleep(pauseMs, { signal: ended })
          throw OUTDATED
        }
        await firstOf(signal, [session, outdated])
      } catch (error) {
        signal.throwIfAborted()
        if (error === OUTDATED) continue
        if (isEviction(error)) throw error
        // A server that ends every session at once must not be asked in a tight circle, however well it began.
        const good = clock.now() - startedAt >= GOOD_SESSION_MS
        backoffMs = nextSessionBackoff(good ? 0 : backoffMs)
        const limitMs = codeOf(error) === 'REGISTRATION_LIMIT' ? registrations.pauseMs(clock.now()) : 0
        // Without a certificate there is no session: now and then is enough, and at once when it is back.
        const retryInMs = expired()
          ? RECOVERY_POLL_MS * (1 - unitOf(random) / 2)
          : Math.max(backoffMs * unitOf(random), limitMs)
        queue.push({ type: 'disconnected', code: nameOf(error), address, retryInMs })
        // Nobody to the manager, with a certificate: the next one was granted, and is there to be fetched.
        if (codeOf(error) === 'CALLER_ANONYMOUS' && nextKey.wasAsked()) askForRenewal()
        await lookAround(error, address, signal)
        pool.observe(address, good ? 'good' : 'bad')
        if (expired())
          await firstOf(signal, [
            async (waiting) => {
              await clock.sleep(retryInMs, { signal: waiting })
            },
            async (waiting) => {
              await revived.wake({ signal: waiting })
            },
          ])
        else await clock.sleep(retryInMs, { signal })
        address = pool.pick(unitOf(random))
      }
    }
  }

  const watching = async (signal: AbortSignal): Promise<void> => {
    if (evictions === null) await onAbort(signal).aborted
    else await watchStaleness({ evictions, clock, emit: queue.push, signal })
  }

  const work = firstOf(scope.signal, [sessionsForever, renewForever, watching, notices.insist]).then(
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
