export type { DecisionCache, DecisionCacheOptions } from './decision-cache.ts'
export { createDecisionCache } from './decision-cache.ts'
export { hmacAuthenticator, MIN_HMAC_KEY_BYTES } from './external/hmac-authenticator.ts'
export type { ClientIdentity, HttpsPostOptions } from './external/https-post.ts'
export { httpsPost } from './external/https-post.ts'
export type { FileFacts, Files, OpenFile, ReadFile } from './files.ts'
export { systemFiles } from './files.ts'
export type { HotTls, SwappableServer } from './hot-tls.ts'
export { hotTls } from './hot-tls.ts'
export type { KeyFile, KeyFileOptions } from './key-file.ts'
export { clearWrapper, openKeyFile } from './key-file.ts'
export type { KeyFileContent, KeyFileFacts } from './key-file-content.ts'
export { CLEAR_WRAPPER_ID, MAX_COMPANIONS, MAX_KEY_FILE_BYTES } from './key-file-content.ts'
export type { PeerTrust } from './peer-of.ts'
export { peerOf } from './peer-of.ts'
export type { LocalSigner } from './signer.ts'
export { createNodeKey, exportPrivateKey, openSigner, systemVerifier } from './signer.ts'
export { systemClock, systemDigest, systemRandom } from './system.ts'
export type { ManagerServerName, TlsIdentity } from './tls-options.ts'
export {
  anonymousContextOptions,
  clientContextOptions,
  secureContextOptions,
  serverContextOptions,
} from './tls-options.ts'
