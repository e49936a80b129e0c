import { parseTrustBundle, type TrustBundle, verifyTrustBundleRoots } from '@leastwise/identity'
import { systemDigest, systemVerifier } from '@leastwise/identity/node'
import { type ParsedJoinToken, parseJoinToken, verifyTrustBundle } from '@leastwise/tokens'
import type { Clock } from '../ports.ts'
import { TRUST_DIGEST_HEADER } from '../wire/trust-digest-header.ts'
import { call, openManagerLink } from './manager-link.ts'

/** What {@link fetchTrustBundle} works with. */
export interface FetchTrustBundleOptions {
  /** `host:port` */
  readonly address: string
  /** Only its digest part is used; nothing of it leaves the node. */
  readonly token: string
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * Asks a manager for the cluster's trust bundle and proves it with the digest in the join token.
 *
 * The connection cannot be verified yet, so nothing but this one question travels on it. Whoever answers with anything
 * else than the right bundle gets nothing more.
 *
 * @throws {@link @leastwise/tokens#TokenError} `TOKEN_MALFORMED`, `TOKEN_UNSUPPORTED_VERSION`, `CA_DIGEST_MISMATCH`; none of them
 * is worth another try.
 * @throws {@link SwarmError} `ADDRESS_MALFORMED`, `MANAGER_UNREACHABLE`, `MANAGER_REFUSED`
 */
export async function fetchTrustBundle({
  address,
  token,
  clock,
  signal,
}: FetchTrustBundleOptions): Promise<TrustBundle> {
  const parsed: ParsedJoinToken = parseJoinToken(token)
  using link = openManagerLink(address, { kind: 'unverified' })
  const headers = { [TRUST_DIGEST_HEADER]: Buffer.from(parsed.trustDigest).toString('hex') }
  const { certificate } = await call(
    signal,
    async (options) => await link.ca.getRootCACertificate({}, { ...options, headers }),
  )
  const bundle = parseTrustBundle(verifyTrustBundle(parsed, certificate, systemDigest))
  await verifyTrustBundleRoots(bundle, { now: clock.now(), verifier: systemVerifier })
  return bundle
}
