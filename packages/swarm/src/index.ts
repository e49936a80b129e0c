export type { Access, AccessRules } from './access.ts'
export { ACCESS_TABLE, callerKey, checkAccess, RENEWAL_METHODS } from './access.ts'
export type { ManagerAddress } from './agent/address.ts'
export { formatManagerAddress, parseManagerAddress } from './agent/address.ts'
export type { AgentEvent, AgentOptions, NodeCredentials, Worker } from './agent/events.ts'
export type { SwarmErrorCode } from './errors.ts'
export { SWARM_ERROR_CODES, SwarmError } from './errors.ts'
export type {
  CertificateStatus,
  EnrollRequest,
  EvictionsPort,
  NodePresence,
  NodeSession,
  RecoverRequest,
  RecoveryPort,
  RenewRequest,
  SwarmManager,
  Waiting,
} from './manager/port.ts'
export type { SwarmRoutesOptions } from './manager/routes.ts'
export { createSwarmRoutes } from './manager/routes.ts'
export type { Session, SessionRegistry, SessionRegistryOptions, SessionRow } from './manager/sessions.ts'
export {
  createSessionRegistry,
  HEARTBEAT_GRACE,
  HEARTBEAT_PERIOD_MS,
  HEARTBEAT_SPREAD_MS,
  MAX_REGISTRATIONS,
  REGISTRATION_WINDOW_MS,
} from './manager/sessions.ts'
export type { Availability, NodeDescription, NodePlugin, NodeRole, NodeTlsInfo } from './node-description.ts'
export type { Clock, Digest, RandomSource } from './ports.ts'
export type { IssuanceState, ManagerList, ManagerPeer, NetworkKey, SessionUpdate } from './session-update.ts'
export type {
  AssignedItem,
  AssignedSecret,
  AssignmentChange,
  AssignmentSet,
  ContainerSpec,
  SecretFile,
  Task,
  TaskNetwork,
  TaskState,
  TaskStatusUpdate,
} from './task.ts'
export { MAX_CSR_BYTES, MAX_REQUEST_BYTES, MAX_TOKEN_CHARS } from './wire/limits.ts'
export type { WireStatus } from './wire/status.ts'
export { CODE_TRAILER, wireStatusOf } from './wire/status.ts'
export { TRUST_DIGEST_HEADER } from './wire/trust-digest-header.ts'
