import { IdentityError } from '../errors.ts'

declare const spiffeId: unique symbol
declare const trustDomain: unique symbol

/** `spiffe://trust-domain/path`, or a trust domain alone without a path. Only {@link parseSpiffeId} makes one. */
export type SpiffeId = string & { readonly [spiffeId]: true }

/** The name of a trust domain, such as `prod.example.com`. Only {@link parseTrustDomain} makes one. */
export type TrustDomain = string & { readonly [trustDomain]: true }

/** What every implementation must be able to read, and none should exceed (SPIFFE-ID section 2.3). */
export const MAX_SPIFFE_ID_BYTES = 2048
/** What the host of a URI may have (SPIFFE-ID section 2.3). */
export const MAX_TRUST_DOMAIN_BYTES = 255

const SCHEME = 'spiffe://'
const TRUST_DOMAIN = /^[a-z0-9._-]+$/u
const SEGMENT = /^[A-Za-z0-9._-]+$/u

const isTrustDomain = (text: string): boolean => text.length <= MAX_TRUST_DOMAIN_BYTES && TRUST_DOMAIN.test(text)

// Relative segments would let one text be read as another by whoever resolves them.
const isSegment = (text: string): boolean => SEGMENT.test(text) && text !== '.' && text !== '..'

/**
 * Reads the name of a trust domain.
 *
 * @throws {@link IdentityError} `TRUST_DOMAIN_MALFORMED` if it is not 1 to {@link MAX_TRUST_DOMAIN_BYTES} of `a-z`, `0-9`, `.`, `-` and `_`.
 * @see SPIFFE-ID section 2.1
 */
export function parseTrustDomain(text: string): TrustDomain {
  if (!isTrustDomain(text)) {
    throw new IdentityError(
      'TRUST_DOMAIN_MALFORMED',
      `trust domain is not 1 to ${MAX_TRUST_DOMAIN_BYTES} of a-z, 0-9, dots, dashes and underscores; write it in lower case and without scheme or port`,
    )
  }
  return text as TrustDomain
}

/**
 * Reads a SPIFFE ID, in its one spelling: lower-case scheme and trust domain; no user, port, query, fragment or percent sign; no empty,
 * `.` or `..` segment, and no slash at the end. Without a path it names a trust domain, not a workload.
 *
 * @throws {@link IdentityError} `SPIFFE_ID_MALFORMED` for anything else, and beyond {@link MAX_SPIFFE_ID_BYTES}.
 * @see SPIFFE-ID sections 2.1 to 2.4
 */
export function parseSpiffeId(text: string): SpiffeId {
  const fits = text.length <= MAX_SPIFFE_ID_BYTES && text.startsWith(SCHEME)
  const [domain = '', ...segments] = fits ? text.slice(SCHEME.length).split('/') : []
  if (!isTrustDomain(domain) || !segments.every(isSegment)) {
    throw new IdentityError(
      'SPIFFE_ID_MALFORMED',
      `text is not a spiffe id of at most ${MAX_SPIFFE_ID_BYTES} bytes; write spiffe://trust-domain/path, the path in segments of letters, digits, dots, dashes and underscores`,
    )
  }
  return text as SpiffeId
}

/** The SPIFFE ID that names a trust domain itself: it has no path. */
export const spiffeIdOf = (domain: TrustDomain): SpiffeId => `${SCHEME}${domain}` as SpiffeId

/** The trust domain of an id. */
export function trustDomainOf(id: SpiffeId): TrustDomain {
  const slash = id.indexOf('/', SCHEME.length)
  return id.slice(SCHEME.length, slash < 0 ? id.length : slash) as TrustDomain
}

/** The path of an id with its leading slash, or nothing for a trust domain. */
export const spiffePathOf = (id: SpiffeId): string => id.slice(SCHEME.length + trustDomainOf(id).length)
