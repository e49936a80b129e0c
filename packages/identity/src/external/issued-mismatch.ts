import { IdentityError, type IdentityErrorCode } from '../errors.ts'

/** Codes for a certificate that is not what was asked for; each names the part that differs. */
type MismatchCode = Extract<IdentityErrorCode, `ISSUED_${string}`>

/** The refusal of a certificate that an external CA signed. Another try would give another one like it, so none is retryable. */
export const mismatch = (code: MismatchCode, problem: string, options?: ErrorOptions): IdentityError =>
  new IdentityError(
    code,
    `certificate of the external ca ${problem}; correct its profile, or find out who answers there`,
    options,
  )
