export type { ScryptCost } from '../keepers/passphrase-form.ts'
export { fileAnchor } from './anchor/file-anchor.ts'
export { headFile } from './anchor/head-file.ts'
export { type TpmCounterOptions, tpmCounter } from './anchor/tpm-counter.ts'
export { type AgeLibrary, type AgeWrapperOptions, ageWrapper } from './backup/age.ts'
export { readBackupFile, writeBackupFile } from './backup/backup-file.ts'
export { type RestoreLogOptions, restoreLog } from './backup/restore-log.ts'
export { nodeCipherSuite } from './cipher-suite.ts'
export { type DataKeyCacheOptions, dataKeyCache } from './data-key-cache.ts'
export { fileKeyStore } from './file-key-store.ts'
export { type KmsWrapperOptions, kmsWrapper } from './keepers/kms-v2.ts'
export { allowWeakScryptCost, type PassphraseWrapperOptions, passphraseWrapper } from './keepers/passphrase.ts'
export {
  type AesGcmParameters,
  type SubtleWrapping,
  type WebCryptoWrapperOptions,
  webCryptoWrapper,
} from './keepers/web-crypto.ts'
export { nodeFiles } from './node-files.ts'
export { createLog, type LogOptions, openLog } from './open-log.ts'
export { systemClock, systemRandom } from './system.ts'
export { type RepairDirectoryOptions, repairDirectory } from './tools/repair-directory.ts'
