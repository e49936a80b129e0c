import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import {
  AUTHORITY_KEY_ID,
  BASIC_CONSTRAINTS,
  CLIENT_AUTH,
  NAME_CONSTRAINTS,
  SERVER_AUTH,
  SUBJECT_ALT_NAME,
  SUBJECT_KEY_ID,
} from '../certificate/extensions.ts'
import { isWithin } from '../certificate/validity.ts'

/** What a way to a root is held to besides what always holds. */
export interface PathRules {
  /** Object identifiers of the uses that an issuer must leave to those below, if it names any. */
  readonly purposes?: readonly string[]
  /** Whether certificates without key identifiers are let pass. Identifiers that are there must agree in any case. */
  readonly keyIdentifiers?: 'required' | 'optional'
  /** How many intermediates may stand between leaf and root, the twin of a root not counted. */
  readonly maxIntermediates?: number
  /** True for an intermediate that has been withdrawn: nothing that it signed is valid any more. */
  readonly isRevokedIssuer?: (issuer: Certificate) => boolean
}

/**
 * What every peer holds the issuers of a node to. A node is server and client. Docker's cross-signed roots name no key of their issuer, so that identifiers
 * cannot be asked for.
 */
export const NODE_RULES: PathRules = { purposes: [SERVER_AUTH, CLIENT_AUTH], keyIdentifiers: 'optional' }

/** True when a certificate bears the name of its issuer: a root, or the twin of a root that another key has signed. */
export const isSelfIssued = ({ subject, issuer }: Certificate): boolean => equalBytes(subject.der, issuer.der)

/** True when one of these extensions is marked as critical, which RFC 5280 forbids for them. */
export const isWronglyCritical = (critical: readonly string[]): boolean =>
  critical.includes(SUBJECT_KEY_ID) || critical.includes(AUTHORITY_KEY_ID)

/**
 * What may issue at all (RFC 5280 sections 4.2 and 6.1.4): a CA that says so where it must not be overlooked, that may sign certificates, that has a name, and of
 * which nothing is left ununderstood.
 */
export function isAuthority(certificate: Certificate): boolean {
  const { critical, nameConstraints } = certificate
  return (
    certificate.isCa &&
    critical.includes(BASIC_CONSTRAINTS) &&
    certificate.keyUsage?.includes('keyCertSign') === true &&
    certificate.unknownCritical.length === 0 &&
    !isWronglyCritical(critical) &&
    !critical.includes(SUBJECT_ALT_NAME) &&
    (nameConstraints === null || critical.includes(NAME_CONSTRAINTS)) &&
    certificate.subject.attributes.length > 0
  )
}

/** A root says nothing of another issuer and does not limit what its subjects are used for. */
export function isFitRoot(root: Certificate, now: number, rules: PathRules): boolean {
  const { subjectKeyId, authorityKeyId, authorityKeyIdForm } = root
  const ownId =
    authorityKeyIdForm === 'none' ||
    (authorityKeyIdForm === 'key' &&
      authorityKeyId !== null &&
      subjectKeyId !== null &&
      equalBytes(authorityKeyId, subjectKeyId))
  return (
    isAuthority(root) &&
    isSelfIssued(root) &&
    root.extKeyUsage === null &&
    ownId &&
    (subjectKeyId !== null || rules.keyIdentifiers === 'optional') &&
    isWithin(root, now)
  )
}

/** An intermediate within its time, whose uses, if it names any, contain those that are asked for. */
export function isFitIntermediate(issuer: Certificate, now: number, rules: PathRules): boolean {
  const { purposes = [], keyIdentifiers = 'required' } = rules
  const { extKeyUsage } = issuer
  return (
    isAuthority(issuer) &&
    (extKeyUsage === null || purposes.every((purpose) => extKeyUsage.includes(purpose))) &&
    (keyIdentifiers === 'optional' || (issuer.subjectKeyId !== null && issuer.authorityKeyId !== null)) &&
    isWithin(issuer, now)
  )
}
