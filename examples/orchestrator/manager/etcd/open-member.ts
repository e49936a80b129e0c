import type { EtcdClient } from '@leastwise/raftlog-etcd'
import { openMemberKey } from '@leastwise/raftlog-etcd'
import { openEtcdLog } from '@leastwise/raftlog-etcd/node'
import type { Engine } from '../engine.ts'
import type { ManagerKeys } from '../manager-keys.ts'
import { askForAdmission } from './admission.ts'
import { etcdEngine } from './etcd-engine.ts'
import { memberIdOf } from './member-id.ts'
import { decodeMembership, encodeMembership, MEMBERSHIP } from './own-membership.ts'

/** Name of the cluster's one log in etcd. */
export const LOG_ID = 'cluster'
/** Another manager has to be there, and to notice. */
export const ADMISSION_WAIT_MS = 30_000

export interface MemberParts {
  readonly etcd: EtcdClient
  readonly clusterId: string
  readonly nodeId: string
  readonly keys: ManagerKeys
  readonly bytes: Uint8Array
  readonly now: () => number
  readonly signal: AbortSignal
}

/** Opens the shared log as this manager; asks to be let in first when nobody has done so yet. */
export async function openMember(parts: MemberParts): Promise<Engine> {
  const { etcd, clusterId, nodeId, keys, now, signal } = parts
  let own = await decodeMembership(parts.bytes, keys.wrapper())
  const key = openMemberKey(own.secretKey)
  const id = memberIdOf(nodeId, own.number)
  if (own.pin === null) {
    const request = { clusterId, nodeId, memberId: id, boxKey: key.publicKey, at: now() }
    const pin = await askForAdmission({
      etcd,
      identity: keys.identity(),
      request,
      now,
      waitMs: ADMISSION_WAIT_MS,
      signal,
    })
    own = { ...own, pin }
    await keys.saveCompanion(MEMBERSHIP, await encodeMembership(own, keys.wrapper()))
  }
  // What another manager vouched for, and what this one has seen: an etcd that was set back is refused.
  const known = {
    ...(own.pin === null ? {} : { pin: own.pin }),
    ...(own.head === null ? {} : { remembered: own.head }),
  }
  const log = await openEtcdLog({ etcd, clusterId, logId: LOG_ID, member: { id, key }, ...known }, { signal })
  return etcdEngine({ nodeId, etcd, log, keys }, own)
}
