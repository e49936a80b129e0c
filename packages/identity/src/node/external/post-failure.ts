import { IdentityError } from '../../errors.ts'

// Alerts with which a server turns a client certificate down (RFC 8446 section 6.2), as OpenSSL spells them.
const CERTIFICATE_ALERT =
  /ALERT_(?:BAD_CERTIFICATE|CERTIFICATE_|NO_CERTIFICATE|UNSUPPORTED_CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)/u

/** What a broken exchange means. */
export function connectionFailure(error: Error & { readonly code?: string }, socket: object | null): IdentityError {
  // Set by TLS before it cuts a connection whose certificate does not hold.
  const refused = socket !== null && 'authorizationError' in socket ? socket.authorizationError : null
  if (typeof refused === 'string') {
    // No cause: it holds the certificate that the server showed.
    return new IdentityError(
      'EXTERNAL_CA_UNTRUSTED',
      `server of the external ca is not the one that its address names (${refused}); check the address and the roots that it is expected under`,
    )
  }
  const code = error.code ?? ''
  if (CERTIFICATE_ALERT.test(code)) {
    return new IdentityError(
      'EXTERNAL_CA_REFUSED',
      'external ca does not accept the client certificate; let it trust the roots of this cluster',
      { cause: error },
    )
  }
  return new IdentityError(
    'EXTERNAL_CA_UNREACHABLE',
    `external ca cannot be reached, or broke the connection (${code === '' ? 'no code' : code}); see whether it runs, then try again`,
    { cause: error, retryable: true },
  )
}

/** The answer is not read any further. */
export const tooLarge = (maxBytes: number): IdentityError =>
  new IdentityError(
    'EXTERNAL_CA_ANSWER_TOO_LARGE',
    `answer of the external ca is larger than ${maxBytes} bytes; check that the address is its signing endpoint`,
  )
