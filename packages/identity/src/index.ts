export type { KeyType, NodeKeyType, SignatureAlgorithm } from './algorithms.ts'
export type { Authority, AuthorityParts } from './authority.ts'
export { openAuthority } from './authority.ts'
export type { AuthorityCommand, AuthorityEvent, AuthorityRoot, AuthorityState } from './authority-state.ts'
export { authorityEvents, authorityLife } from './authority-state.ts'
export type { Authorizer } from './authorizer.ts'
export { allOf, allowRoles, inCluster, member } from './authorizer.ts'
export type { Certificate } from './certificate.ts'
export { MAX_CERTIFICATE_BYTES, parseCertificate } from './certificate.ts'
export { formatCertificateChain, MAX_CHAIN_CERTIFICATES, parseCertificateChain } from './chain.ts'
export type { Csr } from './csr.ts'
export { createCsr, MAX_CSR_BYTES, parseCsr, verifyCsr } from './csr.ts'
export type { IdentityErrorCode, IdentityErrorOptions } from './errors.ts'
export { IDENTITY_ERROR_CODES, IdentityError } from './errors.ts'
export type { Extensions, KeyUsage } from './extensions.ts'
export { decodeCfsslAnswer, MAX_CFSSL_ANSWER_BYTES } from './external/cfssl-answer.ts'
export type { CfsslRequestOptions } from './external/cfssl-request.ts'
export { encodeAuthenticatedRequest, encodeCfsslRequest, encodeCrossSignRequest } from './external/cfssl-request.ts'
export type { CfsslUrl } from './external/cfssl-url.ts'
export { MAX_URL_LENGTH, parseCfsslUrl } from './external/cfssl-url.ts'
export type { ExternalAuthority, ExternalAuthorityOptions } from './external/external-authority.ts'
export { EXTERNAL_CA_DEADLINE_MS, openExternalAuthority } from './external/external-authority.ts'
export type { HttpAnswer, HttpPost, HttpRequest, RequestAuthenticator } from './external/ports.ts'
export type { LocalAuthorityOptions, SigningAuthority, SigningOptions } from './external/signing-authority.ts'
export { localAuthority } from './external/signing-authority.ts'
export type { CrossSignedExpectation } from './external/verify-cross-signed.ts'
export { verifyCrossSigned } from './external/verify-cross-signed.ts'
export type { IssuedExpectation } from './external/verify-issued.ts'
export { ISSUED_TOLERANCE_MS, verifyIssued } from './external/verify-issued.ts'
export type { Grant, IssueOptions } from './issue.ts'
export { allowShortLifetime, issueCertificate, longestLifetimeMs } from './issue.ts'
export { DEFAULT_LIFETIME_MS, MAX_BACKDATE_MS, MIN_LIFETIME_MS } from './lifetime.ts'
export { EVICTION_MARGIN_MS, MAX_NODES, MAX_REASON_LENGTH, membership, membershipEvents } from './membership.ts'
export type { MembershipCommand, MembershipEvent } from './membership-events.ts'
export type { Membership } from './membership-state.ts'
export { evictionOf, isEvicted, listEvictions, listNodes, nodeOf } from './membership-state.ts'
export type { DistinguishedName, NameAttribute } from './name.ts'
export type { ClusterId, NodeId, NodeSubject, Role } from './node-identity.ts'
export { parseClusterId, parseNodeId, parseNodeSubject } from './node-identity.ts'
export type { Availability, CertificateStatus, EvictionRecord, NodeRecord } from './node-record.ts'
export type { Poke } from './poke.ts'
export { createPoke } from './poke.ts'
export type {
  Clock,
  Decider,
  Digest,
  KeyWrapper,
  RandomSource,
  SignatureVerifier,
  Signer,
  SyncSignatureVerifier,
  VerificationKey,
} from './ports.ts'
export type { RenewalOptions, RenewalState } from './renewal.ts'
export { MAX_SLEEP_MS, POKE_SPACING_MS, renewals } from './renewal.ts'
export type { RetryOptions } from './renewal-schedule.ts'
export { RENEWAL_BASE_MS, RENEWAL_CAP_MS, renewalDelay, retryDelay } from './renewal-schedule.ts'
export type { TrustBundle } from './trust-bundle.ts'
export {
  MAX_TRUST_BUNDLE_BYTES,
  MAX_TRUST_BUNDLE_ROOTS,
  parseTrustBundle,
  verifyTrustBundleRoots,
} from './trust-bundle.ts'
export type { Validity } from './validity.ts'
export type { PeerIdentity, SyncVerifyPeerOptions, VerifyPeerOptions } from './verify.ts'
export { verifyPeer, verifyPeerSync } from './verify.ts'
