import type { Certificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { parseSpiffeId, type SpiffeId, spiffeIdOf, spiffePathOf, type TrustDomain, trustDomainOf } from './spiffe-id.ts'

/** The URIs among the alternative names. */
const urisOf = ({ altNames }: Certificate): readonly string[] =>
  altNames.flatMap((name) => (name.kind === 'uri' ? [name.value] : []))

/**
 * Whether a CA may vouch in a trust domain: without a SPIFFE ID of its own it may, with one it must be exactly that of the trust domain
 * (X509-SVID section 3.2, where the standard leaves a choice: its stricter side).
 */
export function mayVouchFor(domain: TrustDomain, issuer: Certificate): boolean {
  const uris = urisOf(issuer)
  return uris.length === 0 || (uris.length === 1 && uris[0] === spiffeIdOf(domain))
}

const invalid = (problem: string): IdentityError =>
  new IdentityError(
    'PEER_SPIFFE_ID_INVALID',
    `peer certificate ${problem}; present an x509-svid with the spiffe id of one workload`,
  )

/**
 * The SPIFFE ID that a leaf carries, or `null` when it has no URI at all. Whether anybody may vouch for it is another question.
 *
 * @throws {@link IdentityError} `PEER_SPIFFE_ID_INVALID` if it carries several URIs, or one that is not the SPIFFE ID of a workload.
 * @see X509-SVID sections 2 and 5.2
 */
export function spiffeIdOfLeaf(leaf: Certificate): SpiffeId | null {
  const [uri, ...more] = urisOf(leaf)
  if (uri === undefined) return null
  if (more.length > 0) throw invalid('names more than one uri')
  let id: SpiffeId
  try {
    id = parseSpiffeId(uri)
  } catch (error) {
    if (error instanceof IdentityError) throw invalid('names a uri that is not a spiffe id')
    throw error
  }
  if (spiffePathOf(id) === '') throw invalid('names a trust domain and no workload')
  return id
}

/**
 * The SPIFFE ID of a leaf of one trust domain, or `null` when it has none.
 *
 * @throws {@link IdentityError} `PEER_SPIFFE_ID_INVALID` as {@link spiffeIdOfLeaf}, `PEER_WRONG_TRUST_DOMAIN` if it is of another one.
 */
export function spiffeIdWithin(domain: TrustDomain, leaf: Certificate): SpiffeId | null {
  const id = spiffeIdOfLeaf(leaf)
  if (id !== null && trustDomainOf(id) !== domain) {
    throw new IdentityError(
      'PEER_WRONG_TRUST_DOMAIN',
      'peer certificate carries a spiffe id of another trust domain than its roots vouch for; use one that its own trust domain issued',
    )
  }
  return id
}
