import { IdentityError, type IdentityErrorCode } from '../../errors.ts'

// Return values of PKCS #11 (version 2.40, section 5.1), by what they mean here.
const TOKEN_GONE: readonly number[] = [0x03, 0x32, 0xe0, 0xe1]
const SESSION_GONE: readonly number[] = [0x30, 0x60, 0x82, 0xb0, 0xb3, 0x101, 0x190]
const PIN_REFUSED: readonly number[] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102]
const LOGGED_IN: readonly number[] = [0x100, 0x104]
const ALREADY_INITIALIZED = 0x191

/** The return value that stands behind an error of the addon, or 0. */
export function returnValueOf(error: unknown): number {
  if (!(error instanceof Error) || !error.message.startsWith('CKR_')) return 0
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'number' ? code : 0
}

export const isTokenGone = (error: unknown): boolean => TOKEN_GONE.includes(returnValueOf(error))

/** True when the session or the library is not what it was, so that a fresh session may do. */
export const isSessionGone = (error: unknown): boolean =>
  isTokenGone(error) || SESSION_GONE.includes(returnValueOf(error))

export const isPinRefused = (error: unknown): boolean => PIN_REFUSED.includes(returnValueOf(error))

export const isLoggedIn = (error: unknown): boolean => LOGGED_IN.includes(returnValueOf(error))

export const isInitialized = (error: unknown): boolean => returnValueOf(error) === ALREADY_INITIALIZED

/** The standard's name of a return value, which says nothing about the caller's own data. */
const nameOf = (error: unknown): string =>
  error instanceof Error && /^CKR_[A-Z0-9_]{1,60}$/u.test(error.message) ? ` (${error.message})` : ''

export const hsmError = (
  code: IdentityErrorCode,
  message: string,
  options: { readonly retryable?: boolean } = {},
): IdentityError => new IdentityError(code, message, options)

/** An error of the token that is none of the known ones. No cause: a vendor's library decides what stands in its errors. */
export function tokenFailure(error: unknown): IdentityError {
  if (error instanceof IdentityError) return error
  if (isTokenGone(error)) {
    return hsmError('HSM_TOKEN_ABSENT', `token does not answer${nameOf(error)}; insert or restore it`, {
      retryable: true,
    })
  }
  return hsmError('HSM_FAILED', `token failed${nameOf(error)}; its own log says why`, {
    retryable: isSessionGone(error),
  })
}
