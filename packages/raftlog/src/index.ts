export { createDek, DEK_BYTES, dekId } from './data-key.ts'
export {
  type Entry,
  GROUP_COMMIT_BYTES,
  MAX_ENTRY_BYTES,
  MAX_FRAME_ENTRIES,
  MAX_INDEX,
  MAX_SNAPSHOT_BYTES,
  type Position,
  type Snapshot,
} from './entry.ts'
export {
  RAFT_LOG_ERROR_CODES,
  RaftLogError,
  type RaftLogErrorCode,
  type RaftLogErrorOptions,
  type RecordPlace,
} from './errors.ts'
export {
  type DecodedHeader,
  decodeHeader,
  encodeHeader,
  FILE_KIND,
  type FileHeader,
  type FileKind,
  FORMAT_VERSION,
  verifyHeader,
} from './file-header.ts'
export { createSealedLog, openSealedLog, SEGMENT_BYTES, type SealedLogParts } from './file-log.ts'
export {
  decodeFrameHead,
  encodeFrameHead,
  FRAME_TYPE,
  type FrameContext,
  type FrameHead,
  type FramePlace,
  openFrame,
  type SealedFrame,
  sealFrame,
} from './frame.ts'
export type { HardState } from './hard-state.ts'
export { anyOf, keepersOf, MAX_KEEPERS } from './keepers/any-of.ts'
export { MAX_SHARES, type ShareLabel } from './keepers/share-text.ts'
export { combineShares, describeShare, type SplitOptions, splitUnlockKey } from './keepers/unlock-shares.ts'
export { clearWrapper, UNLOCK_KEY_BYTES, unlockKeyWrapper } from './key-wrapper.ts'
export {
  decodeKeyring,
  encodeKeyring,
  type Keyring,
  type OpenKey,
  type OpenKeyring,
  openKeyring,
  type WrappedKey,
  wrapKeyring,
} from './keyring.ts'
export { memoryLog } from './memory-log.ts'
export type {
  Aead,
  AppendHandle,
  CipherSuite,
  Clock,
  DataKeyCache,
  Digest,
  KeyStore,
  KeyWrapper,
  LogFiles,
  RandomSource,
  ReadHandle,
} from './ports.ts'
export { type DekEvent, type DekState, stepRotation } from './rotation.ts'
export type {
  Appended,
  AppendOptions,
  EntryRange,
  Repair,
  RotationOptions,
  SealedLog,
  SnapshotSource,
} from './sealed-log.ts'
