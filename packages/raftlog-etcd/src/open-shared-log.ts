import { createDek, RaftLogError } from '@leastwise/raftlog'
import { EtcdLogError } from './errors.ts'
import type { HeadRecord } from './head/head-record.ts'
import { placesOf } from './head/places.ts'
import { checkRemembered } from './head/remembered-head.ts'
import { checkMember, checkPin, dataKey, encodeRoster, type Roster } from './keys/roster.ts'
import { NO_TAG } from './keys/sealed-value.ts'
import { missing } from './log-refusals.ts'
import { type LogParts, logView } from './log-view.ts'
import type { SharedLog, SharedLogParts } from './shared-log.ts'
import { sharedLog } from './shared-log-handle.ts'

const DEFAULT_PREFIX = '/leastwise'
const DEFAULT_PATIENCE_MS = 20_000

function partsOf(given: SharedLogParts): LogParts {
  const { prefix = DEFAULT_PREFIX, history = 'forget', patienceMs = DEFAULT_PATIENCE_MS, clusterId, logId } = given
  checkMember({ id: given.member.id, publicKey: given.member.key.publicKey })
  return { ...given, places: placesOf(prefix, clusterId, logId), history, patienceMs }
}

const EMPTY: Omit<HeadRecord, 'change'> = {
  last: { frames: 0n, index: 0n, term: 0n, tag: NO_TAG },
  base: { frames: 0n, index: 0n, term: 0n, tag: NO_TAG },
  snapshot: null,
}

/**
 * Begins a log in etcd with a fresh data key; this manager is its first member.
 *
 * @throws RaftLogError `LOG_EXISTS` if there is one already.
 * @throws {@link EtcdLogError} `ETCD_UNREACHABLE`, `ETCD_REFUSED`, `ETCD_FULL`; `APPEND_UNKNOWN` if the log may have been made.
 */
export async function createSharedLog(
  given: SharedLogParts,
  options: { readonly signal: AbortSignal },
): Promise<SharedLog> {
  const parts = partsOf(given)
  const { places, suite, random, etcd, member } = parts
  const key = dataKey(createDek(random), suite)
  const members = [{ id: member.id, publicKey: new Uint8Array(member.key.publicKey) }]
  const roster: Roster = { generation: 1, key, members, previous: null, vouches: [] }
  const view = logView(parts)
  const { put, head } = view.sealHead({ ...EMPTY, change: 1n }, key)
  const absent = [places.head, places.roster].map((at) => ({ key: at, target: 'version', is: '=', value: 0n }) as const)
  const value = encodeRoster(parts, roster, random)
  try {
    const request = { compare: absent, success: [put, { kind: 'put', key: places.roster, value } as const] }
    const { succeeded, revision } = await etcd.txn(request, options)
    if (!succeeded) throw new RaftLogError('LOG_EXISTS', 'there is a log of this cluster and id already; open it')
    view.wrote({ ...head, modRevision: revision, seenAt: revision }, roster)
  } catch (error) {
    const isUnsure = error instanceof EtcdLogError && (error.code === 'ETCD_UNREACHABLE' || error.code === 'ETCD_FULL')
    if (!isUnsure) throw error
    // The answer may be lost: it is ours if it lies under the key that nobody else has.
    const isOurs = (await view.load(options.signal)) && view.roster().key.id === key.id
    if (!isOurs && error.code === 'ETCD_FULL') throw error
    if (!isOurs) {
      throw new EtcdLogError(
        'APPEND_UNKNOWN',
        'etcd did not say whether the log was made; open it, or create it again',
        { cause: error },
      )
    }
  }
  return sharedLog(view)
}

/**
 * Opens a log in etcd as one of its members.
 *
 * @throws RaftLogError `LOG_MISSING` if there is none.
 * @throws {@link EtcdLogError} `MEMBER_UNKNOWN` or `MEMBER_KEY_WRONG` if this manager has no part in it,
 * `ROSTER_NOT_AUTHENTIC` if its data key does not come from the pinned one, `LOG_ROLLED_BACK` if it is older than the pin
 * or than the remembered head.
 */
export async function openSharedLog(
  given: SharedLogParts,
  options: { readonly signal: AbortSignal },
): Promise<SharedLog> {
  const view = logView(partsOf(given))
  if (!(await view.load(options.signal))) throw missing()
  if (given.pin !== undefined) checkPin(view.roster(), given.pin, given.suite)
  if (given.remembered !== undefined) await checkRemembered(view, given.remembered, options.signal)
  return sharedLog(view)
}
