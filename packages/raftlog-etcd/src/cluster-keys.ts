import { createDek, type SnapshotSource } from '@leastwise/raftlog'
import { sameBytes } from './byte-fields.ts'
import { EtcdLogError } from './errors.ts'
import { changeHead } from './head-changes.ts'
import type { LogView } from './log-view.ts'
import { compactLog } from './maintenance.ts'
import { checkMember, dataKey, encodeRoster, MAX_MEMBERS, type Roster, vouchFor } from './roster.ts'
import type { Member } from './shared-log.ts'

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

/** How a rotation makes and keeps its snapshot. */
export interface RotationWork {
  readonly snapshot: SnapshotSource
  /** Makes it the newest one; refuses one that does not reach as far as `atLeast`. */
  readonly save: (source: SnapshotSource, atLeast: bigint) => Promise<void>
  /** A member that gets no part in the new key. */
  readonly without?: string
}

/** Replaces what lies under the old data key, and forgets it. Does nothing where no rotation is on its way. */
async function finish(view: LogView, { snapshot, save }: RotationWork, signal: AbortSignal): Promise<void> {
  await view.learnRoster(signal)
  const { previous, key } = view.roster()
  if (previous === null) return
  if (previous.upTo > 0n) {
    await save(snapshot, previous.upTo)
    await compactLog(view, previous.upTo, signal)
  }
  await changeRoster(
    view,
    (roster) => (roster.key.id !== key.id || roster.previous === null ? null : { ...roster, previous: null }),
    signal,
  )
  if (view.parts.history === 'forget') await view.parts.etcd.compact(view.head().seenAt, { signal })
}

/** Changes the data key, for all members or all but one, and removes everything under the old one. */
export async function rotate(view: LogView, work: RotationWork, signal: AbortSignal): Promise<void> {
  const { suite, random } = view.parts
  // What an interrupted one left lies under a key that the next would not hand down.
  await finish(view, work, signal)
  const fresh = dataKey(createDek(random), suite)
  await changeRoster(
    view,
    (roster, last) => {
      if (roster.key.id === fresh.id) return null
      if (roster.previous !== null)
        throw new EtcdLogError('LOG_CONFLICT', 'another manager changes the data key; wait until it is done')
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
  await finish(view, work, signal)
}
