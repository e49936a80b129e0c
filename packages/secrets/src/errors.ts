/** Every code that a {@link SecretsError} can carry; `docs/errors.md` explains each. */
export type SecretsErrorCode =
  | 'SECRET_NAME_INVALID'
  | 'SECRET_VALUE_SIZE'
  | 'SECRET_LABELS_INVALID'
  | 'SECRET_EXISTS'
  | 'SECRET_UNKNOWN'
  | 'SECRET_VERSION_STALE'
  | 'SECRET_IN_USE'
  | 'SECRET_NOT_GRANTED'
  | 'SECRET_WIPED'
  | 'ID_INVALID'
  | 'REFERENCE_INVALID'
  | 'TARGET_DUPLICATE'
  | 'TASK_GRANTED'
  | 'TASK_DELIVERED'
  | 'ASSIGNMENT_GAP'
  | 'ASSIGNMENT_INVALID'
  | 'NOT_TMPFS'
  | 'MOUNT_UNSAFE'
  | 'MOUNT_FULL'
  | 'MOUNT_FAILED'
  | 'OWNER_REFUSED'
  | 'PROC_TEXT_INVALID'
  | 'ISOLATION_UNAVAILABLE'

/** The codes as a list, so that a document or a test can be compared with the union. */
export const SECRETS_ERROR_CODES: readonly SecretsErrorCode[] = [
  'SECRET_NAME_INVALID',
  'SECRET_VALUE_SIZE',
  'SECRET_LABELS_INVALID',
  'SECRET_EXISTS',
  'SECRET_UNKNOWN',
  'SECRET_VERSION_STALE',
  'SECRET_IN_USE',
  'SECRET_NOT_GRANTED',
  'SECRET_WIPED',
  'ID_INVALID',
  'REFERENCE_INVALID',
  'TARGET_DUPLICATE',
  'TASK_GRANTED',
  'TASK_DELIVERED',
  'ASSIGNMENT_GAP',
  'ASSIGNMENT_INVALID',
  'NOT_TMPFS',
  'MOUNT_UNSAFE',
  'MOUNT_FULL',
  'MOUNT_FAILED',
  'OWNER_REFUSED',
  'PROC_TEXT_INVALID',
  'ISOLATION_UNAVAILABLE',
]

/** Facts that some codes carry beside their message. */
export interface SecretsErrorFacts extends ErrorOptions {
  /** `SECRET_IN_USE`: the tasks that hold a grant for the secret, sorted. */
  readonly taskIds?: readonly string[]
}

/** What this package refuses or fails at. The message never holds a value, a name or any other input text. */
export class SecretsError extends Error {
  override readonly name = 'SecretsError'
  readonly code: SecretsErrorCode
  readonly taskIds: readonly string[]

  constructor(code: SecretsErrorCode, message: string, facts?: SecretsErrorFacts) {
    super(message, facts)
    this.code = code
    this.taskIds = facts?.taskIds ?? []
  }
}
