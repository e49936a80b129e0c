import { IdentityError } from '../errors.ts'

declare const cfsslUrl: unique symbol

/** The full address of a signing endpoint. Only {@link parseCfsslUrl} makes one. */
export type CfsslUrl = string & { readonly [cfsslUrl]: true }

/** Longer than any host name (253 letters) with a path of its own. */
export const MAX_URL_LENGTH = 1024

// Host name or IPv4 address, or IPv6 in brackets; port; path. No user, no query, no fragment: a password in an address ends up in logs.
const URL_SHAPE = /^https:\/\/(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?(?:\/[\w.~%-]*)*$/u
const MAX_PORT = 65_535

/**
 * Reads the address of an external CA, which is used as it stands (Docker Swarm): usually
 * `https://HOST:PORT/api/v1/cfssl/sign`, or `…/authsign` where requests carry a token.
 *
 * @throws {@link IdentityError} `EXTERNAL_CA_URL_INVALID` if it is not `https` with a lower-case host, an optional port and a plain path.
 */
export function parseCfsslUrl(text: string): CfsslUrl {
  const port = text.length > MAX_URL_LENGTH ? null : URL_SHAPE.exec(text)
  if (port === null || Number(port[1] ?? MAX_PORT) > MAX_PORT) {
    throw new IdentityError(
      'EXTERNAL_CA_URL_INVALID',
      'address of an external ca is not https with a host, a port and a path alone; give the full address of its signing endpoint',
    )
  }
  return text as CfsslUrl
}

/** True for the endpoint that wants a token with each request. */
export const wantsToken = (url: CfsslUrl): boolean => url.endsWith('/authsign')
