/** One POST of JSON to a server whose identity must be proven. */
export interface HttpRequest {
  readonly url: string
  /** UTF-8 JSON. */
  readonly body: Uint8Array
  /** For the whole exchange, from the connection to the last byte of the answer, in milliseconds. */
  readonly deadlineMs: number
  /** An answer beyond this is given up at once. */
  readonly maxAnswerBytes: number
  readonly signal: AbortSignal
}

/** What came back. */
export interface HttpAnswer {
  readonly status: number
  readonly body: Uint8Array
}

/**
 * Sends one request and follows no redirection.
 *
 * `post` rejects with the signal's reason when the signal fires, and otherwise with an {@link IdentityError}:
 * `EXTERNAL_CA_UNREACHABLE` and `EXTERNAL_CA_TIMEOUT`, both retryable, `EXTERNAL_CA_UNTRUSTED` when the server is not
 * the expected one, `EXTERNAL_CA_REFUSED` when it says that it does not take the client's certificate (a server that only cuts the
 * connection is unreachable), `EXTERNAL_CA_ANSWER_TOO_LARGE`.
 */
export interface HttpPost {
  readonly post: (request: HttpRequest) => Promise<HttpAnswer>
}

/** Proves to an external CA who asks: the token that goes with the bytes of a request. */
export interface RequestAuthenticator {
  readonly authenticate: (request: Uint8Array) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>
}
