/** What the orchestrator itself can refuse; the packages' own coded errors pass through unchanged. */
export type OrchestratorErrorCode =
  | 'ADDRESS_IN_USE'
  | 'ADDRESS_INVALID'
  | 'ADDRESS_REFUSED'
  | 'ADMISSION_REFUSED'
  | 'ALREADY_FOUNDED'
  | 'ALREADY_LOCKED'
  | 'ALREADY_RUNNING'
  | 'ANSWER_LOST'
  | 'CLUSTER_EXISTS'
  | 'DATA_DIRECTORY_FOREIGN'
  | 'DATA_DIRECTORY_MISSING'
  | 'DATA_DIRECTORY_OPEN'
  | 'DATA_DIRECTORY_UNWRITABLE'
  | 'DISK_FULL'
  | 'ENGINE_DIFFERS'
  | 'EXTERNAL_CA_DIFFERS'
  | 'EXTERNAL_CA_NEEDED'
  | 'INPUT_TOO_LARGE'
  | 'INTERMEDIATE_MISSING'
  | 'INTERNAL'
  | 'JOURNAL_UNREADABLE'
  | 'LOCKED'
  | 'MANAGER_NOT_RUNNING'
  | 'MANAGER_UNTRUSTED'
  | 'NODE_DEMOTED'
  | 'NODE_IS_THIS_MANAGER'
  | 'NOT_FOUND'
  | 'NOT_LOCKED'
  | 'OPERATOR_IDENTITY_UNFIT'
  | 'OPERATOR_REFUSED'
  | 'ROOT_KEY_OUTSIDE'
  | 'SOCKET_PATH_TOO_LONG'
  | 'STARTING'
  | 'TASK_INVALID'
  | 'TOKEN_NEEDED'
  | 'TOO_MANY_INTERMEDIATES'
  | 'TOO_MANY_MANAGERS'
  | 'TRUST_DOMAIN_DIFFERS'
  | 'USAGE'

export class OrchestratorError extends Error {
  override readonly name = 'OrchestratorError'
  readonly code: OrchestratorErrorCode

  constructor(code: OrchestratorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The machine code of any error that has one, also the operating system's. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}

/** An error as it may leave the process: code and message of coded errors, nothing of the others. */
export function publicFace(error: unknown): { readonly code: string; readonly message: string } {
  const code = codeOf(error)
  if (
    error instanceof Error &&
    code !== null &&
    // Node's own complaints about arguments repeat them.
    !code.startsWith('ERR_') &&
    /^[A-Z][A-Z0-9]*_?[A-Z0-9_]*$/.test(code) &&
    error.name.endsWith('Error')
  ) {
    return { code, message: error.message }
  }
  return { code: 'INTERNAL', message: 'something went wrong inside the manager; its own output says what' }
}

/** What was thrown, as an error in any case. */
export const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error('something that is no error was thrown')
