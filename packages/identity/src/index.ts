export type { AddressClass } from './address/classify.ts'
export { classifyAddress, isClosedAddress } from './address/classify.ts'
export type { KeyType, NodeKeyType, SignatureAlgorithm } from './algorithms.ts'
export type { AltName } from './certificate/alt-names.ts'
export type { Certificate } from './certificate/certificate.ts'
export { MAX_CERTIFICATE_BYTES, parseCertificate } from './certificate/certificate.ts'
export type { Extensions, KeyUsage } from './certificate/extensions.ts'
export { CLIENT_AUTH, SERVER_AUTH } from './certificate/extensions.ts'
export type { DistinguishedName, NameAttribute } from './certificate/name.ts'
export type { NameConstraints, NameSubtree } from './certificate/name-constraints.ts'
export type { Validity } from './certificate/validity.ts'
export type { Crl, CrlOptions } from './crl/crl.ts'
export { createCrl, MAX_CRL_ENTRIES } from './crl/crl.ts'
export type { IdentityErrorCode, IdentityErrorOptions } from './errors.ts'
export { IDENTITY_ERROR_CODES, IdentityError } from './errors.ts'
export type {
  CertificateEviction,
  Eviction,
  EvictionReason,
  EvictionSubject,
  NodeEviction,
} from './eviction/eviction.ts'
export type { EvictionBook, EvictionCommand, EvictionEvent } from './eviction/eviction-book.ts'
export {
  evictionBook,
  evictionBookEvents,
  evictionsIn,
  evictionsSince,
  findEviction,
  MAX_EVICTIONS,
} from './eviction/eviction-book.ts'
export type { EvictionPublisher, EvictionPublisherOptions } from './eviction/eviction-publisher.ts'
export { createEvictionPublisher, EVICTION_BEAT_MS, EVICTION_LIST_LIFE_MS } from './eviction/eviction-publisher.ts'
export type { EvictionSet } from './eviction/eviction-set.ts'
export {
  emptyEvictionSet,
  evictionHitting,
  isNodeEvicted,
  isSerialEvicted,
  withEvictions,
  withoutEnded,
} from './eviction/eviction-set.ts'
export type { EvictionView, NotEvictedOptions } from './eviction/eviction-view.ts'
export { listedIssuers, noEvictions, notEvicted, viewOf, withEvictionList } from './eviction/eviction-view.ts'
export { evictionsFrom } from './eviction/evictions-from.ts'
export type {
  EvictionFollower,
  EvictionIntake,
  EvictionTrust,
  HeldEvictions,
  HoldEvictionsOptions,
} from './eviction/held-evictions.ts'
export { holdEvictions } from './eviction/held-evictions.ts'
export type { EvictionList } from './eviction/list-codec.ts'
export { MAX_EVICTION_LIST_BYTES, MAX_EVICTION_LIST_LIFE_MS } from './eviction/list-codec.ts'
export type { ListSigner, VerifyEvictionListOptions } from './eviction/signed-list.ts'
export { signEvictionList, verifyEvictionList } from './eviction/signed-list.ts'
export { decodeEvictionView, encodeEvictionView, MAX_EVICTION_VIEW_BYTES } from './eviction/view-codec.ts'
export { decodeCfsslAnswer, MAX_CFSSL_ANSWER_BYTES } from './external/cfssl-answer.ts'
export type { CfsslRequestOptions } from './external/cfssl-request.ts'
export { encodeAuthenticatedRequest, encodeCfsslRequest, encodeCrossSignRequest } from './external/cfssl-request.ts'
export type { CfsslUrl } from './external/cfssl-url.ts'
export { MAX_URL_LENGTH, parseCfsslUrl } from './external/cfssl-url.ts'
export type { ExternalAuthority, ExternalAuthorityOptions } from './external/external-authority.ts'
export { EXTERNAL_CA_DEADLINE_MS, OPERATOR_PROFILE, openExternalAuthority } from './external/external-authority.ts'
export type { HttpAnswer, HttpPost, HttpRequest, RequestAuthenticator } from './external/ports.ts'
export type { LocalAuthorityOptions, SigningAuthority, SigningOptions } from './external/signing-authority.ts'
export { localAuthority } from './external/signing-authority.ts'
export type { CrossSignedExpectation } from './external/verify-cross-signed.ts'
export { verifyCrossSigned } from './external/verify-cross-signed.ts'
export type { IssuedExpectation } from './external/verify-issued.ts'
export { ISSUED_TOLERANCE_MS, verifyIssued } from './external/verify-issued.ts'
export type { IntermediateGrant } from './intermediate/intermediate-grant.ts'
export {
  allowManagerIssuing,
  DEFAULT_INTERMEDIATE_LIFETIME_MS,
  MAX_INTERMEDIATE_LIFETIME_MS,
  MAX_INTERMEDIATE_ZONES,
} from './intermediate/intermediate-grant.ts'
export { managerOfIntermediate, ofEvictedManager } from './intermediate/intermediate-manager.ts'
export { issueIntermediate } from './intermediate/issue-intermediate.ts'
export type { Authority, AuthorityParts } from './issuing/authority.ts'
export { openAuthority } from './issuing/authority.ts'
export type { AuthorityCommand, AuthorityEvent, AuthorityState } from './issuing/authority-state.ts'
export { authorityEvents, authorityLife } from './issuing/authority-state.ts'
export type { Csr } from './issuing/csr.ts'
export { createCsr, MAX_CSR_BYTES, parseCsr, verifyCsr } from './issuing/csr.ts'
export type { Grant, IssueOptions } from './issuing/issue.ts'
export { allowShortLifetime, issueCertificate, longestLifetimeMs } from './issuing/issue.ts'
export type { PathRules } from './issuing/issuer-rules.ts'
export { DEFAULT_LIFETIME_MS, MAX_BACKDATE_MS, MIN_LIFETIME_MS } from './issuing/lifetime.ts'
export type { SelfSignedRootOptions } from './issuing/self-signed-root.ts'
export { selfSignedRoot } from './issuing/self-signed-root.ts'
export type { SubtleSigning, SubtleSigningAlgorithm, WebCryptoSignerParts } from './issuing/web-crypto-signer.ts'
export { webCryptoSigner } from './issuing/web-crypto-signer.ts'
export {
  EVICTION_MARGIN_MS,
  MAX_NODES,
  MAX_REASON_LENGTH,
  membership,
  membershipEvents,
} from './membership/membership.ts'
export type { MembershipCommand, MembershipEvent } from './membership/membership-events.ts'
export type { Membership } from './membership/membership-state.ts'
export {
  changedNodes,
  evictionOf,
  isEvicted,
  listEvictions,
  listNodes,
  nodeOf,
  unsignedNodes,
} from './membership/membership-state.ts'
export type { ClusterId, NodeId, NodeSubject, Role } from './membership/node-identity.ts'
export { parseClusterId, parseNodeId, parseNodeSubject } from './membership/node-identity.ts'
export type {
  Availability,
  CertificateStatus,
  EvictionRecord,
  LiveCertificate,
  NodeRecord,
} from './membership/node-record.ts'
export { MAX_LIVE_CERTIFICATES } from './membership/node-record.ts'
export type { OperatorGrant } from './operator/issue-operator.ts'
export {
  DEFAULT_OPERATOR_LIFETIME_MS,
  issueOperatorCertificate,
  MAX_OPERATOR_LIFETIME_MS,
} from './operator/issue-operator.ts'
export type { OperatorSubject } from './operator/operator-identity.ts'
export { OPERATOR_UNIT, parseOperatorSubject } from './operator/operator-identity.ts'
export type { OperatorCommand, OperatorEvent, OperatorRecord, Operators } from './operator/operators.ts'
export {
  activeOperator,
  evictionFromOperator,
  listOperators,
  MAX_OPERATOR_NAME_LENGTH,
  MAX_OPERATORS,
  operatorEvents,
  operators,
  operatorWithId,
} from './operator/operators.ts'
export type { OperatorIdentity, VerifyOperatorOptions } from './operator/verify-operator.ts'
export { verifyOperator } from './operator/verify-operator.ts'
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
export type { PlanRecoveryOptions, RecoveryPlan } from './recovery/plan-recovery.ts'
export { planRecovery } from './recovery/plan-recovery.ts'
export type { ProvenRecovery, ProveRecoveryOptions, RecoveryRequest } from './recovery/prove-recovery.ts'
export { proveRecovery } from './recovery/prove-recovery.ts'
export type { Recoveries, RecoveryClaim, RecoveryCommand, RecoveryEvent } from './recovery/recoveries.ts'
export {
  DEFAULT_RECOVERY_GRACE_MS,
  listRecoveryClaims,
  MAX_RECOVERY_GRACE_MS,
  RECOVERY_APPROVAL_MS,
  recoveries,
  recoveryClaimOf,
  recoveryEvents,
} from './recovery/recoveries.ts'
export type { RecoveryChallenges } from './recovery/recovery-challenge.ts'
export {
  createRecoveryChallenges,
  RECOVERY_CHALLENGE_BYTES,
  RECOVERY_CHALLENGE_TTL_MS,
} from './recovery/recovery-challenge.ts'
export type { RecoveryStatement } from './recovery/recovery-statement.ts'
export { signRecovery, verifyRecovery } from './recovery/recovery-statement.ts'
export type { DueOptions } from './renewal/due.ts'
export { DEFAULT_BATCH_SIZE, DEFAULT_BATCH_SPACING_MS, dueRenewals, MAX_SCHEDULE_SLEEP_MS } from './renewal/due.ts'
export type { OverlongOptions, ShorteningOptions } from './renewal/overlong.ts'
export { DEFAULT_SHORTENING_WINDOW, isOverlong, nextToShorten, overlongNodes } from './renewal/overlong.ts'
export type { Poke } from './renewal/poke.ts'
export { createPoke } from './renewal/poke.ts'
export type { RenewalOptions, RenewalState } from './renewal/renewal.ts'
export { MAX_SLEEP_MS, POKE_SPACING_MS, renewals } from './renewal/renewal.ts'
export type { RetryOptions } from './renewal/renewal-schedule.ts'
export { RENEWAL_BASE_MS, RENEWAL_CAP_MS, renewalDelay, retryDelay } from './renewal/renewal-schedule.ts'
export type { Schedule, ScheduleOptions } from './renewal/schedule.ts'
export { createSchedule, MAX_SCHEDULED } from './renewal/schedule.ts'
export type { ClockReading, ClockSkew, SkewSample } from './renewal/skew.ts'
export { certainSkewMs, isSkewed, issuerClock, measureSkew, SKEW_TOLERANCE_MS } from './renewal/skew.ts'
export type { IssuingParts } from './rotation/bundles.ts'
export {
  issuingPartsOf,
  JOIN_BUNDLE_TURN_MS,
  joinBundleAt,
  joinBundlesOf,
  rotationRootsOf,
  trustBundleOf,
} from './rotation/bundles.ts'
export type { CrossSignOptions } from './rotation/cross-sign.ts'
export { CROSS_SIGNED_LIFETIME_MS, crossSignRoot } from './rotation/cross-sign.ts'
export type { FoundedAuthority } from './rotation/founded.ts'
export type { ImportOptions } from './rotation/import-authority.ts'
export { importAuthority } from './rotation/import-authority.ts'
export type { MemberBehind, MembersBehind, RotationMembers } from './rotation/members-behind.ts'
export type { ObserveOptions } from './rotation/observe.ts'
export { observePresented } from './rotation/observe.ts'
export type { PlanOptions, RotationBlocker, RotationBlockerCode, RotationPlan } from './rotation/plan.ts'
export { planRotation } from './rotation/plan.ts'
export type { RotationPolicy, StragglerPolicy } from './rotation/policy.ts'
export { DEFAULT_ROTATION_POLICY } from './rotation/policy.ts'
export { rootIdOf } from './rotation/root-id.ts'
export type { RosterOptions, RotationRoster } from './rotation/roster.ts'
export { createRotationRoster } from './rotation/roster.ts'
export type {
  IssuingLoad,
  RootObservation,
  RotationCommand,
  RotationEvent,
  RotationMember,
} from './rotation/rotation-messages.ts'
export type {
  AuthorityRoot,
  NodeProgress,
  RootBridge,
  Rotation,
  RotationPhase,
  RotationTarget,
} from './rotation/rotation-state.ts'
export type { BridgeTrust } from './rotation/self-issued-bridges.ts'
export { selfIssuedBridges } from './rotation/self-issued-bridges.ts'
export type { Straggler, StragglerReason } from './rotation/stragglers.ts'
export { countBehind, evictionsDue, stragglersOf } from './rotation/stragglers.ts'
export type { SpiffeAuthorizer, SpiffePeer } from './spiffe/authorizers.ts'
export { allowSpiffeIds, inTrustDomain, underSpiffePath } from './spiffe/authorizers.ts'
export type { SpiffeBundle } from './spiffe/bundle.ts'
export { formatSpiffeBundle, MAX_SPIFFE_BUNDLE_BYTES, parseSpiffeBundle } from './spiffe/bundle.ts'
export type { FederatedDomain, Federation, FederationCommand, FederationEvent } from './spiffe/federation.ts'
export { federatedRoots, federationEvents, federationOf, MAX_FEDERATED_DOMAINS } from './spiffe/federation.ts'
export type { SpiffeId, TrustDomain } from './spiffe/spiffe-id.ts'
export {
  MAX_SPIFFE_ID_BYTES,
  MAX_TRUST_DOMAIN_BYTES,
  parseSpiffeId,
  parseTrustDomain,
  spiffeIdOf,
  spiffePathOf,
  trustDomainOf,
} from './spiffe/spiffe-id.ts'
export type { SvidIdentity, SyncVerifySvidOptions, TrustDomainRoots, VerifySvidOptions } from './spiffe/verify-svid.ts'
export { verifySvid, verifySvidSync } from './spiffe/verify-svid.ts'
export type { Authorizer } from './verifying/authorizer.ts'
export { allOf, allowRoles, inCluster, mayRenew, member } from './verifying/authorizer.ts'
export { formatCertificateChain, MAX_CHAIN_CERTIFICATES, parseCertificateChain } from './verifying/chain.ts'
export type { TrustBundle } from './verifying/trust-bundle.ts'
export {
  MAX_TRUST_BUNDLE_BYTES,
  MAX_TRUST_BUNDLE_ROOTS,
  parseTrustBundle,
  verifyTrustBundleRoots,
} from './verifying/trust-bundle.ts'
export type { PeerIdentity, SyncVerifyPeerOptions, VerifyPeerOptions } from './verifying/verify.ts'
export { verifyPeer, verifyPeerSync } from './verifying/verify.ts'
export type { SyncVerifyPathOptions, VerifiedPath, VerifyPathOptions } from './verifying/verify-path.ts'
export { verifyPath, verifyPathSync } from './verifying/verify-path.ts'
export type { Zone } from './zone.ts'
export { parseZone } from './zone.ts'
