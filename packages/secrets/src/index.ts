export type { AssignmentChange, AssignmentSet, AssignmentView } from './assignment-set.ts'
export {
  applySet,
  checkSet,
  completeSet,
  FRESH_CURSOR,
  incrementalSet,
  MAX_CHANGES,
  MAX_CURSOR_LENGTH,
  MAX_TASK_SECRETS,
} from './assignment-set.ts'
export type { AssignedSecret, AssignedTask, Assignments } from './assignments.ts'
export { secretCatalogue } from './catalogue/catalogue.ts'
export type { GrantReference, SecretCatalogueCommand, SecretCatalogueEvent } from './catalogue/catalogue-events.ts'
export type { SecretDetails, SecretSummary } from './catalogue/catalogue-queries.ts'
export {
  assignmentsOf,
  catalogueHistory,
  grantOf,
  inspectSecret,
  listSecrets,
  secretByName,
} from './catalogue/catalogue-queries.ts'
export type { GrantedTask, SecretCatalogueState } from './catalogue/catalogue-state.ts'
export type { Consumer, DeliveryPlan, PlannedFile } from './delivery.ts'
export { checkFiles, deliver, planDelivery, withdraw, withdrawExcept } from './delivery.ts'
export type { SecretsErrorCode, SecretsErrorFacts } from './errors.ts'
export { SECRETS_ERROR_CODES, SecretsError } from './errors.ts'
export type { Hold, HoldChange, HoldOptions } from './hold.ts'
export { createHold } from './hold.ts'
export {
  MAX_ID_LENGTH,
  MAX_LABEL_KEY_BYTES,
  MAX_LABEL_VALUE_BYTES,
  MAX_LABELS,
  MAX_SECRET_BYTES,
  MAX_SECRET_NAME_LENGTH,
} from './limits.ts'
export type { MemoryFile, MemoryMount } from './memory-mount.ts'
export { memoryMount } from './memory-mount.ts'
export type { Clock, Decider, SecretMount, SecretReader } from './ports.ts'
export type { MountEntry, SwapArea } from './proc-text.ts'
export { MAX_PROC_TEXT_LENGTH, mountOf, parseMountInfo, parseSwaps } from './proc-text.ts'
export { restrict } from './reader.ts'
export type { Reference } from './reference.ts'
export {
  checkTarget,
  DEFAULT_FILE_MODE,
  formatReference,
  MAX_OWNER_ID,
  MAX_REFERENCE_LENGTH,
  MAX_REFERENCES,
  MAX_TARGET_BYTES,
  parseReference,
} from './reference.ts'
export { Secret } from './secret.ts'
export type { FileOwner, SecretFile } from './secret-file.ts'
export type { SecretName } from './secret-name.ts'
export { parseSecretName } from './secret-name.ts'
