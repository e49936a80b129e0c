import type { SnapshotSource } from '@leastwise/raftlog'
import { EtcdLogError, type SharedLog } from '@leastwise/raftlog-etcd'

/** Removes members of the log; that another manager was faster with one of them is no failure. */
export async function removeMembers(
  log: SharedLog,
  isGone: (memberId: string) => boolean,
  options: { readonly snapshot: SnapshotSource; readonly signal?: AbortSignal },
): Promise<void> {
  for (const { id } of log.membership.members)
    if (isGone(id))
      await log.membership.remove(id, options).catch(async (error: unknown) => {
        if (!(error instanceof EtcdLogError && error.code === 'MEMBER_UNKNOWN')) throw error
        // The same code says that this manager itself is out; then this fails as well.
        await log.refresh(options.signal === undefined ? {} : { signal: options.signal })
        if (log.membership.members.some((member) => member.id === id)) throw error
      })
}
