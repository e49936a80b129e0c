import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { HttpAnswer } from './ports.ts'

/** 256 KiB, as Docker Swarm: a certificate takes less than 2 KiB, and what comes may not fill the memory. */
export const MAX_CFSSL_ANSWER_BYTES: number = 256 * 1024

const OK = 200
const NOT_FOUND = 404
const SERVER_FAULTS = 500
// Request Timeout, Too Early and Too Many Requests (RFC 9110 section 15.5.9, RFC 8470, RFC 6585).
const LATER: readonly number[] = [408, 425, 429]

const utf8 = new TextDecoder('utf-8', { fatal: true })

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A property of what may be no object at all. */
const fieldOf = (value: unknown, name: string): unknown => (isFields(value) ? value[name] : undefined)

function readJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(body))
  } catch {
    // No cause: what a parser says quotes its input.
    return undefined
  }
}

/**
 * Reads the answer to a request: the certificate in it, which is not checked yet against anything.
 *
 * @throws {@link IdentityError} `EXTERNAL_CA_BUSY`, retryable, for a status that says later; `EXTERNAL_CA_REFUSED` for any other refusal;
 * `EXTERNAL_CA_ANSWER_TOO_LARGE` beyond {@link MAX_CFSSL_ANSWER_BYTES}; `EXTERNAL_CA_ANSWER_MALFORMED` if it is no answer of the
 * protocol with exactly one certificate, in canonical PEM and of an accepted kind.
 */
export function decodeCfsslAnswer({ status, body }: HttpAnswer): Certificate {
  if (body.length > MAX_CFSSL_ANSWER_BYTES) {
    throw new IdentityError(
      'EXTERNAL_CA_ANSWER_TOO_LARGE',
      `answer of the external ca is larger than ${MAX_CFSSL_ANSWER_BYTES} bytes; check that the address is its signing endpoint`,
    )
  }
  if (status >= SERVER_FAULTS || LATER.includes(status)) {
    throw new IdentityError(
      'EXTERNAL_CA_BUSY',
      `external ca has no time or a fault of its own (http status ${status}); try again`,
      { retryable: true },
    )
  }
  const answer = readJson(body)
  if (status !== OK || fieldOf(answer, 'success') === false) throw refusal(status, answer)
  const pem = fieldOf(fieldOf(answer, 'result'), 'certificate')
  if (fieldOf(answer, 'success') !== true || typeof pem !== 'string') throw malformed('is not of the protocol')
  try {
    return parseCertificate(pem)
  } catch (cause) {
    throw malformed('does not hold one certificate of an accepted kind', { cause })
  }
}

const malformed = (problem: string, options?: ErrorOptions): IdentityError =>
  new IdentityError(
    'EXTERNAL_CA_ANSWER_MALFORMED',
    `answer of the external ca ${problem}; check that the address is its signing endpoint`,
    options,
  )

/** The server's own words stay out: they may repeat what was sent. Its numbers say as much. */
function refusal(status: number, answer: unknown): IdentityError {
  const errors = fieldOf(answer, 'errors')
  const code: unknown = Array.isArray(errors) ? fieldOf(errors[0], 'code') : undefined
  const facts = Number.isSafeInteger(code) ? `http status ${status}, code ${String(code)}` : `http status ${status}`
  const remedy =
    status === NOT_FOUND
      ? 'check the path of the address, and whether the server wants authenticated requests'
      : 'check the profile, the token key and the client certificate'
  return new IdentityError('EXTERNAL_CA_REFUSED', `external ca refuses the request (${facts}); ${remedy}`)
}
