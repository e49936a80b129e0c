import { parseIpAddress } from '../address/parse.ts'
import { isDnsName } from '../certificate/certified-names.ts'
import { IdentityError } from '../errors.ts'

declare const cfsslUrl: unique symbol

/** The full address of a signing endpoint. Only {@link parseCfsslUrl} makes one. */
export type CfsslUrl = string & { readonly [cfsslUrl]: true }

/** Longer than any host name (253 letters) with a path of its own. */
export const MAX_URL_LENGTH = 1024

// Host name or IPv4 address, or IPv6 in brackets; port; path. No user, no query, no fragment: a password in an address ends up in logs.
const URL_SHAPE = /^https:\/\/([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?(?:\/[\w.~%-]*)*$/u
const MAX_PORT = 65_535
// Hosts that end so are numbers to whoever opens a URL, in several spellings (the URL standard, "ends in a number").
const NUMBER = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/u

/** A name, an IPv4 address in its one spelling, or an IPv6 address in brackets. */
function isHost(text: string): boolean {
  if (text.startsWith('[')) return parseIpAddress(text.slice(1, -1))?.version === 6
  return NUMBER.test(text) ? parseIpAddress(text)?.version === 4 : isDnsName(text)
}

/**
 * Reads the address of an external CA, which is used as it stands (Docker Swarm): usually
 * `https://HOST:PORT/api/v1/cfssl/sign`, or `…/authsign` where requests carry a token.
 *
 * @throws {@link IdentityError} `EXTERNAL_CA_URL_INVALID` if it is not `https` with a lower-case host, an optional port and a plain path.
 */
export function parseCfsslUrl(text: string): CfsslUrl {
  const [, host = '', port = MAX_PORT] = (text.length > MAX_URL_LENGTH ? null : URL_SHAPE.exec(text)) ?? []
  if (!isHost(host) || Number(port) > MAX_PORT) {
    throw new IdentityError(
      'EXTERNAL_CA_URL_INVALID',
      'address of an external ca is not https with a host, a port and a path alone; give the full address of its signing endpoint',
    )
  }
  return text as CfsslUrl
}

/** True for the endpoint that wants a token with each request. */
export const wantsToken = (url: CfsslUrl): boolean => url.endsWith('/authsign')
