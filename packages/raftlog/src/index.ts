export {
  type AnchorHead,
  decodeAnchorHead,
  encodeAnchorHead,
  MAX_ANCHOR_COUNT,
  MAX_ANCHORED_RINGS,
  MAX_HEAD_BYTES,
} from './anchor/anchor-head.ts'
export {
  type AnchorAnswer,
  type AnchorRequest,
  decodeAnchorAnswer,
  decodeAnchorRequest,
  encodeAnchorAnswer,
  encodeAnchorRequest,
  MAX_ANCHOR_MESSAGE_BYTES,
} from './anchor/anchor-messages.ts'
export { type Anchoring, type AnchorPace, acceptRolledBackLog } from './anchor/anchoring.ts'
export {
  COUNTER_KEY_BYTES,
  type CounterAnchorParts,
  counterAnchor,
  type HeadFile,
  type MonotonicCounter,
} from './anchor/counter-anchor.ts'
export { type HeadKeeper, type HeadKeeperParts, headKeeper, MAX_KEPT_HEADS } from './anchor/head-keeper.ts'
export { memoryAnchor } from './anchor/memory-anchor.ts'
export { MAX_ANCHORS, type QuorumAnchorOptions, quorumAnchor } from './anchor/quorum-anchor.ts'
export { type RemoteAnchorParts, remoteAnchor } from './anchor/remote-anchor.ts'
export type { AnchorOptions, RollbackAnchor } from './anchor/rollback-anchor.ts'
export { type BackupCompanion, MAX_COMPANION_BYTES, MAX_COMPANIONS } from './backup/about.ts'
export { BACKUP_VERSION, type BackupHeader, MAX_BACKUP_KEY_BYTES } from './backup/backup-header.ts'
export { type BackupOptions, type BackupReceipt, type BackupSource, createBackup } from './backup/create-backup.ts'
export { type RestoredBackup, type RestoreOptions, restoreBackup } from './backup/restore-backup.ts'
export { type VerifiedBackup, type VerifyBackupOptions, verifyBackup } from './backup/verify-backup.ts'
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
  type Rollback,
  type RollbackPlace,
} from './errors.ts'
export { createSealedLog, openSealedLog, SEGMENT_BYTES, type SealedLogParts } from './files/file-log.ts'
export {
  type DecodedHeader,
  decodeHeader,
  encodeHeader,
  FILE_KIND,
  type FileHeader,
  type FileKind,
  FORMAT_VERSION,
  verifyHeader,
} from './format/file-header.ts'
export {
  decodeFrameHead,
  encodeFrameHead,
  type FoundHead,
  FRAME_TYPE,
  type FrameContext,
  type FrameHead,
  type FramePlace,
  openFrame,
  type SealedFrame,
  sealFrame,
} from './format/frame.ts'
export type { HardState } from './format/hard-state.ts'
export { anyOf, keepersOf, MAX_KEEPERS } from './keepers/any-of.ts'
export { MAX_SHARES, type ShareLabel } from './keepers/share-text.ts'
export { combineShares, describeShare, type SplitOptions, splitUnlockKey } from './keepers/unlock-shares.ts'
export { createDek, DEK_BYTES, dekId } from './keys/data-key.ts'
export { clearWrapper, UNLOCK_KEY_BYTES, unlockKeyWrapper } from './keys/key-wrapper.ts'
export {
  decodeKeyring,
  encodeKeyring,
  type Keyring,
  type OpenKey,
  type OpenKeyring,
  openKeyring,
  type WrappedKey,
  wrapKeyring,
} from './keys/keyring.ts'
export { type DekEvent, type DekState, stepRotation } from './keys/rotation.ts'
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
  WriteAhead,
} from './ports.ts'
export type {
  Appended,
  AppendOptions,
  EntryRange,
  Repair,
  RotationOptions,
  SealedLog,
  SnapshotSource,
} from './sealed-log.ts'
export {
  type Inspected,
  type InspectedHeader,
  type InspectedKind,
  type InspectParts,
  inspectLog,
} from './tools/inspect-log.ts'
export { type RepairParts, type RepairReport, repairLog } from './tools/repair-log.ts'
export type { Salvaged } from './tools/repair-write.ts'
export type { ToolIdentity, ToolKeys } from './tools/tool-parts.ts'
export { type Finding, MAX_FINDINGS, type Verification, type VerifyParts, verifyLog } from './tools/verify-log.ts'
