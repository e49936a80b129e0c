import { nodeOf } from '@leastwise/identity'
import { systemClock } from '@leastwise/raftlog/node'
import { EtcdLogError, type Leadership, type SharedLog } from '@leastwise/raftlog-etcd'
import type { Announce } from '../../announce.ts'
import { codeOf } from '../../errors.ts'
import type { BackgroundWork } from '../engine.ts'
import { unsignedIn } from '../issuing/unsigned.ts'
import { ENTRIES_PER_SNAPSHOT } from '../store.ts'
import { admitManagers } from './admission.ts'
import type { EtcdMember } from './etcd-engine.ts'
import { isMemberOf } from './member-id.ts'
import { removeMembers } from './remove-members.ts'

/** A silent leader is replaced after that long. */
export const LEADERSHIP_MS = 4000
/** The manager that admitted a node signs for it at once; whoever leads steps in when it did not. */
const PATIENCE_MS = 1000
const PAUSE_MS = 500

const PASSING: ReadonlySet<string> = new Set([
  'APPEND_UNKNOWN',
  // Somebody has to make room; until then this manager goes on answering.
  'ETCD_FULL',
  'ETCD_UNREACHABLE',
  'LEADERSHIP_LOST',
  // Another manager does the same work, or has done it.
  'LOG_CONFLICT',
  'MEMBER_UNKNOWN',
])

const isPassing = (error: unknown): boolean => error instanceof EtcdLogError && PASSING.has(error.code)

/** Waits to lead, does what one manager does for all, and waits again when it lost the lead. */
export async function leadForAll(
  member: EtcdMember,
  work: BackgroundWork,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    await using leadership = await lead(member.log, signal)
    work.announce({ event: 'leading', nodeId: member.nodeId })
    const ends = AbortSignal.any([leadership.signal, signal])
    const jobs = [
      async () => {
        await signLeftovers(work, ends)
      },
      async () => {
        await keepSnapshots(member.log, work, ends)
      },
      async () => {
        await expelRemoved(member.log, work, ends)
      },
      async () => {
        const onAdmitted = (memberId: string): void => {
          work.announce({ event: 'manager-admitted', memberId })
        }
        const { etcd, log, keys } = member
        const { store, now } = work
        await admitManagers({ etcd, log, store, identity: keys.identity, now, onAdmitted, signal: ends })
      },
    ]
    await Promise.all(
      jobs.map(async (job) => {
        await untilEnd(job, work.announce, ends)
      }),
    )
    signal.throwIfAborted()
    work.announce({ event: 'leading-ended', nodeId: member.nodeId })
  }
}

async function lead(log: SharedLog, signal: AbortSignal): Promise<Leadership> {
  for (;;) {
    try {
      return await log.campaign({ name: 'manager', ttlMs: LEADERSHIP_MS, signal })
    } catch (error) {
      signal.throwIfAborted()
      if (!isPassing(error)) throw error
      await systemClock.sleep(PAUSE_MS, { signal })
    }
  }
}

/**
 * Repeats a job that failed, until the signal fires. None of them is worth a manager: what makes the log useless ends it by way of its
 * reader.
 */
export async function untilEnd(job: () => Promise<void>, announce: Announce, ends: AbortSignal): Promise<void> {
  const hasEnded = (): boolean => ends.aborted
  while (!hasEnded()) {
    try {
      await job()
    } catch (error) {
      if (hasEnded()) return
      if (!isPassing(error)) announce({ event: 'background-failed', code: codeOf(error) ?? 'INTERNAL' })
    }
    await systemClock.sleep(PAUSE_MS, { signal: ends }).catch(() => undefined)
  }
}

async function signLeftovers({ store, issuing }: BackgroundWork, signal: AbortSignal): Promise<void> {
  for await (const _state of store.watch({ signal })) {
    const waiting = unsignedIn(store)
    if (waiting.length === 0) continue
    await systemClock.sleep(PATIENCE_MS, { signal })
    await issuing.issueAll(waiting)
  }
}

/** A manager that threw out another one may have died before it changed the data key, or before nothing lay under the old one. */
async function expelRemoved(log: SharedLog, { store }: BackgroundWork, signal: AbortSignal): Promise<void> {
  const isManager = (memberId: string): boolean => {
    const node = nodeOf(store.state().membership, memberId.slice(0, memberId.lastIndexOf('.')))
    return node?.role === 'manager' && isMemberOf(memberId, node.nodeId)
  }
  const isClean = (): boolean => !log.rotating && log.membership.members.every(({ id }) => isManager(id))
  for await (const _state of store.watch({ signal })) {
    if (isClean()) continue
    await systemClock.sleep(PATIENCE_MS, { signal })
    await log.refresh({ signal })
    // The members first: whoever is among them was a manager before, and this state knows it.
    await store.upToDate()
    await removeMembers(log, (id) => !isManager(id), { snapshot: store.snapshot, signal })
    if (log.rotating) await log.rotateDek({ snapshot: store.snapshot, signal })
  }
}

async function keepSnapshots(log: SharedLog, { store }: BackgroundWork, signal: AbortSignal): Promise<void> {
  for await (const _state of store.watch({ signal })) {
    if (log.lastIndex - (log.snapshotAt?.index ?? 0n) < ENTRIES_PER_SNAPSHOT) continue
    const kept = await store.snapshot(0n)
    await log.saveSnapshot(kept)
    await log.compact(kept.index)
  }
}
