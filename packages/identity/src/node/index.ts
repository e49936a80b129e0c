export type { BatchRequest, BatchResult } from './batch/batch.ts'
export type { IssuePool, IssuePoolOptions } from './batch/issue-pool.ts'
export { createIssuePool, DEFAULT_MAX_QUEUED, MAX_ISSUE_WORKERS } from './batch/issue-pool.ts'
export type { ListenAddress } from './bind-guard.ts'
export {
  dangerouslyExposeManagerToTheInternet,
  guardAddress,
  guardedListen,
  isExposedConnection,
} from './bind-guard.ts'
export type { Connection, ConnectionRegistry, ConnectionRegistryOptions } from './connection-registry.ts'
export { createConnectionRegistry } from './connection-registry.ts'
export type { DecisionCache, DecisionCacheOptions } from './decision-cache.ts'
export { createDecisionCache } from './decision-cache.ts'
export type { EvictionFile, EvictionFileOptions } from './eviction-file.ts'
export { openEvictionFile } from './eviction-file.ts'
export { hmacAuthenticator, MIN_HMAC_KEY_BYTES } from './external/hmac-authenticator.ts'
export type { ClientIdentity, HttpsPostOptions } from './external/https-post.ts'
export { httpsPost } from './external/https-post.ts'
export type { FileFacts, Files, OpenFile, ReadFile } from './files.ts'
export { systemFiles } from './files.ts'
export type { DialOptions, HotTls, HotTlsOptions, SwappablePool, SwappableServer } from './hot-tls.ts'
export { hotTls } from './hot-tls.ts'
export type { KeyFile, KeyFileOptions } from './key-file.ts'
export { clearWrapper, openKeyFile } from './key-file.ts'
export type { KeyFileContent, KeyFileFacts } from './key-file-content.ts'
export { CLEAR_WRAPPER_ID, MAX_COMPANIONS, MAX_KEY_FILE_BYTES } from './key-file-content.ts'
export type { LearnBridgesOptions } from './learn-bridges.ts'
export { learnBridges } from './learn-bridges.ts'
export { observePeer } from './observe-peer.ts'
export type { OperatorTrust } from './operator-of.ts'
export { operatorOf, operatorServerOptions } from './operator-of.ts'
export type { PeerGate, PeerGateOptions } from './peer-gate.ts'
export { createPeerGate } from './peer-gate.ts'
export type { PeerTrust } from './peer-of.ts'
export { peerOf } from './peer-of.ts'
export type {
  Pkcs11Options,
  Pkcs11Token,
  TokenAesParameters,
  TokenKeyHandle,
  TokenSigner,
  TokenWrappingKey,
} from './pkcs11/open-pkcs11.ts'
export { openPkcs11 } from './pkcs11/open-pkcs11.ts'
export type { TokenKeyChoice, TokenKeyFacts, TokenKeyKind } from './pkcs11/token-keys.ts'
export type { TokenChoice } from './pkcs11/token-session.ts'
export type { PinSource } from './pkcs11/token-turns.ts'
export type { LocalSigner } from './signer.ts'
export { createNodeKey, exportPrivateKey, openSigner, systemVerifier } from './signer.ts'
export type { SvidTrust } from './svid-of.ts'
export { svidOf } from './svid-of.ts'
export { systemClock, systemDigest, systemRandom } from './system.ts'
export type { HotAgent, HotAgentOptions } from './tls/hot-agent.ts'
export { hotAgent } from './tls/hot-agent.ts'
export type {
  ClosableDispatcher,
  Connector,
  ConnectorTarget,
  HotConnectorOptions,
  HotDispatcher,
} from './tls/hot-dispatcher.ts'
export { hotConnector, hotDispatcher } from './tls/hot-dispatcher.ts'
export type {
  GrpcChannel,
  GrpcConnector,
  GrpcCredentials,
  GrpcInjector,
  GrpcModule,
  HotGrpcOptions,
} from './tls/hot-grpc.ts'
export { hotGrpcChannel, serveGrpc } from './tls/hot-grpc.ts'
export type { HotHttp2, HotHttp2Options } from './tls/hot-http2.ts'
export { hotHttp2 } from './tls/hot-http2.ts'
export type { DrainOptions, DrainReport } from './tls/live-connections.ts'
export { resetsApart } from './tls/resets-apart.ts'
export type { AlpnProtocol, ManagerServerName, TlsIdentity } from './tls-options.ts'
export {
  anonymousContextOptions,
  clientContextOptions,
  secureContextOptions,
  serverContextOptions,
} from './tls-options.ts'
