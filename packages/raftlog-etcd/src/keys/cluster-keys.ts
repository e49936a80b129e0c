import { createDek, type SnapshotSource } from '@leastwise/raftlog'
import { sameBytes } from '../byte-fields.ts'
import { EtcdLogError } from '../errors.ts'
import { changeHead } from '../head/head-changes.ts'
import type { HeadRecord } from '../head/head-record.ts'
import type { LogView } from '../log-view.ts'
import type { Member } from '../shared-log.ts'
import { checkSnapshot } from '../shared-rules.ts'
import { compactLog, overtaken, putSnapshot } from '../snapshots/maintenance.ts'
import { checkMember, dataKey, encodeRoster, MAX_MEMBERS, type Roster, vouchFor } from './roster.ts'

/** Writes another roster in the same step as a new head, which counts it as a change. */
async function changeRoster(
  view: LogView,
  next: (roster: Roster, last: bigint) => Roster | null,
  signal: AbortSignal,
): Promise<void> {
  const { places, random } = view.parts
  await changeHead(
    view,
    {
      plan: async ({ record }, ends) => {
        await view.learnRoster(ends)
        const roster = next(view.roster(), record.last.index)
        if (roster === null) return null
        return {
          record,
          operations: [{ kind: 'put', key: places.roster, value: encodeRoster(view.parts, roster, random) }],
          roster,
        }
      },
    },
    signal,
  )
}

const unknown = (): EtcdLogError =>
  new EtcdLogError('MEMBER_UNKNOWN', 'no member has this id; look at the list of members')

/** Wraps the data key for one more member. Doing it twice is no failure. */
export async function admit(view: LogView, member: Member, signal: AbortSignal): Promise<void> {
  checkMember(member)
  const added = { id: member.id, publicKey: new Uint8Array(member.publicKey) }
  await changeRoster(
    view,
    (roster) => {
      const known = roster.members.find(({ id }) => id === added.id)
      if (known !== undefined) {
        if (sameBytes(known.publicKey, added.publicKey)) return null
        throw new EtcdLogError('MEMBER_EXISTS', 'a member of this id has another box key; remove it first')
      }
      if (roster.members.length === MAX_MEMBERS) throw new RangeError(`a log has at most ${MAX_MEMBERS} members`)
      return { ...roster, members: [...roster.members, added] }
    },
    signal,
  )
}

/** How often a rotation begins anew because others change the data key as well; each time one of them got further. */
const MOST_ROUNDS = 16

/** What a rotation is told. */
export interface RotationWork {
  readonly snapshot: SnapshotSource
  /** A member that gets no part in the new key. */
  readonly without?: string
}

const isConflict = (error: unknown): boolean => error instanceof EtcdLogError && error.code === 'LOG_CONFLICT'

/** Tries again what another manager got in the way of. */
async function again(attempt: () => Promise<void>): Promise<void> {
  for (let round = 1; ; round += 1) {
    try {
      await attempt()
      return
    } catch (error) {
      if (!isConflict(error) || round === MOST_ROUNDS) throw error
    }
  }
}

/**
 * Sees to it that the newest snapshot reaches as far as `upTo`, and lies under the data key of now. One that reaches further was
 * made by another manager after the change of the key, under which the entries behind `upTo` lie.
 */
async function replaceSnapshot(
  view: LogView,
  source: SnapshotSource,
  upTo: bigint,
  signal: AbortSignal,
): Promise<void> {
  const made = await source(upTo)
  signal.throwIfAborted()
  const passed = (now: HeadRecord): boolean =>
    now.snapshot !== null && now.snapshot.index > upTo && now.snapshot.index >= made.index
  const check = (now: HeadRecord): void => {
    if (passed(now)) throw overtaken()
    checkSnapshot(made, upTo, now.last)
  }
  try {
    await putSnapshot(view, made, { check, restart: false }, signal)
  } catch (error) {
    if (!isConflict(error) || !passed((await view.refresh(signal)).record)) throw error
  }
}

/**
 * Replaces what lies under the old data key, and forgets it; whoever changed it. Does nothing where no rotation is on its way.
 * Several managers may do so at once: each step is one that is done, or finds itself done.
 */
async function finish(view: LogView, { snapshot }: RotationWork, signal: AbortSignal): Promise<void> {
  await again(async () => {
    await view.learnRoster(signal)
    const { previous, key } = view.roster()
    if (previous === null) return
    if (previous.upTo > 0n) {
      await replaceSnapshot(view, snapshot, previous.upTo, signal)
      await compactLog(view, previous.upTo, signal)
    }
    await changeRoster(
      view,
      (roster) => (roster.key.id !== key.id || roster.previous === null ? null : { ...roster, previous: null }),
      signal,
    )
  })
}

/** Changes the data key, for all members or all but one, and removes everything under the old one. */
export async function rotate(view: LogView, work: RotationWork, signal: AbortSignal): Promise<void> {
  const { suite, random, history, etcd } = view.parts
  const fresh = dataKey(createDek(random), suite)
  const mine = vouchFor(fresh, suite)
  await again(async () => {
    // What an interrupted one left lies under a key that the next would not hand down; so does that of a manager at work.
    await finish(view, work, signal)
    await changeRoster(
      view,
      (roster, last) => {
        // A lost answer: it is done, and others may have gone on from there.
        if (roster.key.id === fresh.id || roster.vouches.some((vouch) => sameBytes(vouch, mine))) return null
        if (roster.previous !== null)
          throw new EtcdLogError('LOG_CONFLICT', 'other managers change the data key all the time; try again later')
        const members = roster.members.filter(({ id }) => id !== work.without)
        if (work.without !== undefined && members.length === roster.members.length) throw unknown()
        if (members.length === 0)
          throw new EtcdLogError('MEMBER_UNKNOWN', 'the last member cannot be removed; admit another first')
        return {
          generation: roster.generation + 1,
          key: fresh,
          members,
          previous: { key: roster.key, upTo: last },
          vouches: [...roster.vouches, vouchFor(roster.key, suite)],
        }
      },
      signal,
    )
  })
  await finish(view, work, signal)
  // Also where another manager did the last step: nobody knows whether it lived to do this one.
  if (history === 'forget') await etcd.compact((await view.refresh(signal)).seenAt, { signal })
}
