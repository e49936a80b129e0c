import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { decodeCfsslAnswer, MAX_CFSSL_ANSWER_BYTES } from './cfssl-answer.ts'
import { encodeAuthenticatedRequest } from './cfssl-request.ts'
import type { CfsslUrl } from './cfssl-url.ts'
import type { HttpPost, RequestAuthenticator } from './ports.ts'

/** How the servers of one external CA are reached. */
export interface Servers {
  readonly urls: readonly CfsslUrl[]
  readonly http: HttpPost
  readonly authenticator: RequestAuthenticator | null
  readonly deadlineMs: number
}

/** Sends one request to one server. The certificate in the answer is not checked against anything. */
export async function askOne(
  { http, authenticator, deadlineMs }: Omit<Servers, 'urls'>,
  url: CfsslUrl,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<Certificate> {
  const body =
    authenticator === null ? request : encodeAuthenticatedRequest(request, await authenticator.authenticate(request))
  return decodeCfsslAnswer(await http.post({ url, body, deadlineMs, maxAnswerBytes: MAX_CFSSL_ANSWER_BYTES, signal }))
}

/**
 * Asks one server after the other, and gives the first certificate that comes.
 *
 * When there is none, the error is that of the last server; it is retryable when that of any was, and all are its cause.
 */
export async function askInOrder(servers: Servers, request: Uint8Array, signal: AbortSignal): Promise<Certificate> {
  const failures: IdentityError[] = []
  for (const url of servers.urls) {
    signal.throwIfAborted()
    try {
      return await askOne(servers, url, request, signal)
    } catch (error) {
      // The caller gave up, or something is broken here and not there: the next server would not help.
      signal.throwIfAborted()
      if (!(error instanceof IdentityError)) throw error
      failures.push(error)
    }
  }
  throw summary(failures)
}

function summary(failures: readonly IdentityError[]): IdentityError {
  const last = failures[failures.length - 1]
  if (last === undefined) throw new RangeError('there must be a server to ask')
  if (failures.length === 1) return last
  return new IdentityError(last.code, last.message, {
    retryable: failures.some(({ retryable }) => retryable),
    cause: new AggregateError(failures, 'no server of the external ca gave a certificate'),
  })
}
