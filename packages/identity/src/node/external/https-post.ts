import { type RequestOptions, request } from 'node:https'
import type { ConnectionOptions } from 'node:tls'
import { IdentityError } from '../../errors.ts'
import type { HttpAnswer, HttpPost, HttpRequest } from '../../external/ports.ts'
import { anonymousContextOptions, secureContextOptions } from '../tls-options.ts'
import { connectionFailure, tooLarge } from './post-failure.ts'

// Longer timers fire at once (2^31 - 1 ms is the platform's limit); nobody waits for an answer that long.
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** What the client shows of itself. */
export interface ClientIdentity {
  /** PKCS #8 DER. */
  readonly privateKey: Uint8Array
  /** PEM, leaf first. */
  readonly certificateChain: string
}

/** Whom to believe, and as whom to appear. */
export interface HttpsPostOptions {
  /** PEM of the roots under which the servers have their certificates. No other root counts, the system's least of all. */
  readonly serverRoots: string
  /** Asked before each request, so that a renewed identity is used at once; `null` shows none. */
  readonly identity: () => ClientIdentity | null
}

/**
 * Posts over HTTPS: TLS 1.2 or later, the server's certificate checked against the given roots and the host of the address, a client certificate if there is
 * one. Each request has a connection of its own, so that no answer can reach another request.
 *
 * @throws {@link IdentityError} from `post`, beside those of the port: `EXTERNAL_CA_URL_INVALID` if it is no address of `https`, `PRIVATE_KEY_MALFORMED` and `TLS_IDENTITY_INVALID` if TLS refuses the client's identity.
 */
export const httpsPost = (options: HttpsPostOptions): HttpPost => ({
  post: async (asked) => {
    asked.signal.throwIfAborted()
    if (!URL.canParse(asked.url) || new URL(asked.url).protocol !== 'https:') {
      throw new IdentityError(
        'EXTERNAL_CA_URL_INVALID',
        'address of an external ca is not one of https; give the full address of its signing endpoint',
      )
    }
    const identity = options.identity()
    const tls =
      identity === null
        ? anonymousContextOptions(options.serverRoots)
        : secureContextOptions({ ...identity, trustBundle: options.serverRoots })
    return await exchange(asked, tls)
  },
})

async function exchange(asked: HttpRequest, tls: ConnectionOptions): Promise<HttpAnswer> {
  const { url, body, deadlineMs, maxAnswerBytes, signal } = asked
  return await new Promise<HttpAnswer>((resolve, reject) => {
    const outgoing = request(url, requestOptions(url, body.length, tls))
    const settle = (act: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      act()
      outgoing.destroy()
    }
    const fail = (error: Error): void => {
      settle(() => {
        reject(error)
      })
    }
    const onAbort = (): void => {
      // The reason itself, whatever it is.
      fail(signal.reason as Error)
    }
    const timer = setTimeout(
      () => {
        fail(
          new IdentityError(
            'EXTERNAL_CA_TIMEOUT',
            `external ca gave no answer within ${deadlineMs} ms; try again, or see whether it is overloaded`,
            { retryable: true },
          ),
        )
      },
      Math.min(deadlineMs, LONGEST_TIMER_MS),
    )
    signal.addEventListener('abort', onAbort, { once: true })
    outgoing.on('error', (error) => {
      fail(connectionFailure(error, outgoing.socket))
    })
    outgoing.on('response', (response) => {
      const parts: Uint8Array[] = []
      let size = 0
      response.on('data', (part: Uint8Array) => {
        size += part.length
        if (size > maxAnswerBytes) fail(tooLarge(maxAnswerBytes))
        else parts.push(part)
      })
      response.on('error', (error) => {
        fail(connectionFailure(error, outgoing.socket))
      })
      response.on('end', () => {
        settle(() => {
          resolve({ status: response.statusCode ?? 0, body: new Uint8Array(Buffer.concat(parts)) })
        })
      })
    })
    outgoing.end(body)
  })
}

function requestOptions(url: string, length: number, tls: ConnectionOptions): RequestOptions {
  const { hostname } = new URL(url)
  const options: RequestOptions & ConnectionOptions = {
    ...tls,
    agent: false,
    method: 'POST',
    rejectUnauthorized: true,
    // The server is who its address names, not a manager; and to an IP address no name is sent.
    servername: isAddress(hostname) ? '' : hostname,
    ALPNProtocols: ['http/1.1'],
    headers: { 'content-type': 'application/json', 'content-length': length, accept: 'application/json' },
  }
  return options
}

/** Hosts of a URL that are IP addresses: IPv6 stands in brackets. */
const isAddress = (hostname: string): boolean => hostname.startsWith('[') || /^[\d.]+$/u.test(hostname)
