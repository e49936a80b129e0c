import {
  type Authority,
  type Certificate,
  type IssuingParts,
  localAuthority,
  longestLifetimeMs,
  openAuthority,
  parseCertificate,
  type SigningAuthority,
} from '@leastwise/identity'
import { openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../../errors.ts'
import { decodePlain, encodePlain } from '../../plain-data.ts'

/** A key for issuing and nothing else, PKCS #8 DER, with what it waits for or has. */
export interface RequestedKey {
  readonly privateKey: Uint8Array
  readonly csr: string
}
export interface CertifiedKey {
  readonly privateKey: Uint8Array
  /** PEM of the intermediate. */
  readonly certificate: string
}

/** What a manager keeps of its own intermediate, sealed in its key file. */
export interface KeptIssuer {
  readonly current: CertifiedKey | null
  readonly pending: RequestedKey | null
}

/** Its name among what is sealed there. */
export const ISSUER = 'issuer'

export const NO_ISSUER: KeptIssuer = { current: null, pending: null }

export const encodeIssuer = ({ current, pending }: KeptIssuer): Uint8Array =>
  encodePlain({
    current: current === null ? null : { ...current },
    pending: pending === null ? null : { ...pending },
  })

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}

const keyIn = (value: unknown, name: string): readonly [Uint8Array, string] | null => {
  const { privateKey, [name]: text } = fieldsOf(value)
  return privateKey instanceof Uint8Array && typeof text === 'string' ? [privateKey, text] : null
}

/** @throws OrchestratorError `JOURNAL_UNREADABLE` */
export function decodeIssuer(bytes: Uint8Array | null): KeptIssuer {
  if (bytes === null) return NO_ISSUER
  const fields = fieldsOf(decodePlain(bytes))
  const current = keyIn(fields['current'], 'certificate')
  const pending = keyIn(fields['pending'], 'csr')
  if ((current === null && fields['current'] !== null) || (pending === null && fields['pending'] !== null))
    throw new OrchestratorError(
      'JOURNAL_UNREADABLE',
      'the key file does not say what this manager issues from; restore it from a backup',
    )
  return {
    current: current === null ? null : { privateKey: current[0], certificate: current[1] },
    pending: pending === null ? null : { privateKey: pending[0], csr: pending[1] },
  }
}

/**
 * Puts key and intermediate together, below what issues in the cluster now.
 *
 * @throws IdentityError `AUTHORITY_KEY_MISMATCH` or `AUTHORITY_CHAIN_INVALID` if they do not belong together.
 */
export async function openIntermediate(
  { privateKey, certificate: pem }: CertifiedKey,
  { certificate: root, intermediates }: IssuingParts,
): Promise<Authority> {
  const parts = { certificate: parseCertificate(pem), signer: openSigner(privateKey) }
  // Whatever is to follow the leaf, the root itself must have signed it.
  await openAuthority({ ...parts, intermediates: [parts.certificate, root] }, { verifier: systemVerifier })
  return await openAuthority(
    { ...parts, intermediates: [parts.certificate, ...intermediates] },
    { verifier: systemVerifier },
  )
}

/** Issues from the intermediate; what is granted beyond its own end is cut there. */
export function issueFrom(authority: Authority): SigningAuthority {
  const local = localAuthority(authority, { random: systemRandom, verifier: systemVerifier, digest: systemDigest })
  return {
    intermediates: local.intermediates,
    issue: async (csr, grant, options) => {
      const lifetimeMs = Math.min(grant.lifetimeMs, longestLifetimeMs(authority, options.now))
      return await local.issue(csr, { ...grant, lifetimeMs }, options)
    },
  }
}

const same = (a: Uint8Array | null, b: Uint8Array | null): boolean =>
  a !== null && b !== null && Buffer.compare(a, b) === 0

/** Whether the certificate says that it is from this issuer; whether it is shows when it is opened. */
export const isNamedAfter = (lower: Certificate, upper: Certificate): boolean =>
  same(lower.issuer.der, upper.subject.der) && same(lower.authorityKeyId, upper.subjectKeyId)
