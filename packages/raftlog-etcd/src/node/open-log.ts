import { nodeCipherSuite, systemClock, systemRandom } from '@leastwise/raftlog/node'
import { createSharedLog, openSharedLog } from '../open-shared-log.ts'
import type { SharedLog, SharedLogParts } from '../shared-log.ts'

/** A log in etcd, on the system's clock, randomness and cipher suite. */
export type EtcdLogOptions = Omit<SharedLogParts, 'suite' | 'random' | 'clock'> & Pick<Partial<SharedLogParts>, 'clock'>

const parts = (options: EtcdLogOptions): SharedLogParts => ({
  suite: nodeCipherSuite,
  random: systemRandom,
  clock: systemClock,
  ...options,
})

/**
 * Begins a log in etcd; this manager is its first member.
 *
 * @throws RaftLogError `LOG_EXISTS`; EtcdLogError as {@link createSharedLog}.
 */
export async function createEtcdLog(
  options: EtcdLogOptions,
  call: { readonly signal: AbortSignal },
): Promise<SharedLog> {
  return await createSharedLog(parts(options), call)
}

/**
 * Opens a log in etcd as one of its members.
 *
 * @throws RaftLogError `LOG_MISSING`; EtcdLogError as {@link openSharedLog}.
 */
export async function openEtcdLog(options: EtcdLogOptions, call: { readonly signal: AbortSignal }): Promise<SharedLog> {
  return await openSharedLog(parts(options), call)
}
