import { RaftLogError } from '@leastwise/raftlog'
import { EtcdLogError } from './errors.ts'

/** The refusal of a value that nobody who may have written it has written. */
export const damaged = (what: string): RaftLogError =>
  new RaftLogError(
    'RECORD_NOT_AUTHENTIC',
    `${what} is not authentic; find out who can write to etcd, and restore it from a backup`,
  )

/** The refusal of a log that was newer before. */
export const rolledBack = (): EtcdLogError =>
  new EtcdLogError(
    'LOG_ROLLED_BACK',
    'head is older than one that was seen before; etcd was set back, restore its newest state',
  )

/** The refusal where there is no log. */
export const missing = (): RaftLogError =>
  new RaftLogError('LOG_MISSING', 'there is no log of this cluster and id in etcd; create it, or give the right ids')
