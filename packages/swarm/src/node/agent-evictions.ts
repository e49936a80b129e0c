import { createPoke, type HeldEvictions, parseTrustBundle } from '@leastwise/identity'
import { onAbort } from '../abortable.ts'
import { nextSessionBackoff, unitOf } from '../agent/backoff.ts'
import type { AgentEvent } from '../agent/events.ts'
import { firstOf } from '../agent/first-of.ts'
import { SwarmError } from '../errors.ts'
import type { Clock, RandomSource } from '../ports.ts'
import { isUnimplemented } from '../wire/answer.ts'
import { nameOf } from '../wire/status.ts'
import { type ManagerLink, streamOf } from './manager-link.ts'

/** What {@link followEvictions} works with. */
export interface FollowEvictionsOptions {
  readonly evictions: HeldEvictions
  /** Carries the stream; asked anew for each one. */
  readonly link: () => ManagerLink
  /** PEM of the roots that the node trusts now. */
  readonly trustBundle: () => Uint8Array
  readonly address: string
  readonly clock: Clock
  readonly random: RandomSource
  readonly emit: (event: AgentEvent) => void
  readonly signal: AbortSignal
}

async function oneStream({ evictions, link, trustBundle, clock, emit, signal }: FollowEvictionsOptions): Promise<void> {
  const known = BigInt(evictions.view.sequence)
  const messages = streamOf(signal, (options) => link().evictions.follow({ known }, options))
  const intake = evictions.intake()
  for await (const { list } of messages) {
    const { roots } = parseTrustBundle(trustBundle())
    const view = await intake.take(list, { roots, now: clock.now() })
    if (view === null) continue
    const { sequence, validUntil, set } = view
    emit({ type: 'evictions', sequence, evictions: set.size, validUntil })
  }
  throw new SwarmError('MANAGER_UNREACHABLE', 'manager ended the stream of evictions, ask again')
}

/**
 * Takes the lists of evictions that a manager pushes, for as long as a session lives.
 *
 * A list that is not good is reported, and asked for anew after a pause; it ends no session, because the node's work does not hang on it. A manager that
 * does not know the service is Docker's own: that is said once.
 */
export async function followEvictions(options: FollowEvictionsOptions): Promise<void> {
  const { address, clock, random, emit, signal } = options
  for (let backoffMs = 0; ; ) {
    const startedAt = clock.now()
    try {
      await oneStream(options)
    } catch (error) {
      signal.throwIfAborted()
      if (isUnimplemented(error)) {
        emit({ type: 'evictions-unavailable', address })
        using abortion = onAbort(signal)
        await abortion.aborted
      }
      const code = nameOf(error)
      if (code === 'NODE_EVICTED') throw error
      backoffMs = nextSessionBackoff(clock.now() - startedAt >= LONG_STREAM_MS ? 0 : backoffMs)
      const retryInMs = backoffMs * unitOf(random)
      emit({ type: 'evictions-refused', code, retryInMs })
      await clock.sleep(retryInMs, { signal })
    }
  }
}

/** A stream that lived that long was a good one: the pauses start from small again. In milliseconds. */
const LONG_STREAM_MS = 60_000

/** No sleep is longer, so that a suspended machine or a corrected clock is noticed, in milliseconds. */
const LONGEST_SLEEP_MS = 60_000

/** Says when the evictions that a node holds have ended without a newer list, whether it has a session or not, and lets everybody be judged anew. */
export async function watchStaleness({
  evictions,
  clock,
  emit,
  signal,
}: Pick<FollowEvictionsOptions, 'clock' | 'emit' | 'evictions' | 'signal'>): Promise<void> {
  const revived = createPoke()
  const leave = evictions.follow({ recheck: revived.poke })
  // Before the first list there is nothing that could have ended.
  let said = 0
  try {
    for (;;) {
      const { validUntil } = evictions.view
      const left = validUntil - clock.now()
      if (left < 0 && validUntil !== said) {
        said = validUntil
        emit({ type: 'evictions-stale', since: validUntil })
        evictions.recheck()
      }
      await firstOf(signal, [
        async (waiting) => {
          await clock.sleep(left < 0 ? LONGEST_SLEEP_MS : Math.min(left + 1, LONGEST_SLEEP_MS), { signal: waiting })
        },
        async (waiting) => {
          await revived.wake({ signal: waiting })
        },
      ])
      signal.throwIfAborted()
    }
  } finally {
    leave()
  }
}
