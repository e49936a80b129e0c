export { ETCD_LOG_ERROR_CODES, EtcdLogError, type EtcdLogErrorCode } from './errors.ts'
export { LEADERSHIP_TTL_MS, MAX_LEADERSHIP_TTL_MS, MIN_LEADERSHIP_TTL_MS } from './etcd/campaign.ts'
export type {
  CallOptions,
  Compare,
  EtcdClient,
  KeyRange,
  KeyValue,
  Operation,
  RangeAnswer,
  RangeRequest,
  TxnAnswer,
  TxnRequest,
  WatchAnswer,
  WatchEvent,
} from './etcd/etcd.ts'
export { MAX_REQUEST_BYTES, type MemoryEtcd, type MemoryEtcdOptions, memoryEtcd } from './etcd/memory-etcd.ts'
export { createMemberKey, type MemberKey, openMemberKey } from './keys/member-key.ts'
export { MAX_MEMBERS } from './keys/roster.ts'
export { createSharedLog, openSharedLog } from './open-shared-log.ts'
export type {
  CampaignOptions,
  FollowOptions,
  FollowStep,
  KeyPin,
  Leadership,
  LogHead,
  Member,
  Membership,
  SharedAppendOptions,
  SharedLog,
  SharedLogParts,
} from './shared-log.ts'
export { MAX_SHARED_APPEND_BYTES } from './shared-rules.ts'
