export type { ScanFilesOptions } from './leak-files.ts'
export { MAX_SCANNED_FILE_BYTES, scanFiles } from './leak-files.ts'
export type { FileFinding, FileLeak, FileScanned, FileUnread, UnreadReason } from './leak-finding.ts'
export { systemDigest, systemRandom } from './system.ts'
