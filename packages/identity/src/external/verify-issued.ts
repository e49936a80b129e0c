import { equalBytes } from '../bytes.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { CLIENT_AUTH, type KeyUsage, SERVER_AUTH } from '../certificate/extensions.ts'
import { COMMON_NAME, type NameAttribute, ORGANIZATION, ORGANIZATIONAL_UNIT } from '../certificate/name.ts'
import type { Validity } from '../certificate/validity.ts'
import type { Csr } from '../issuing/csr.ts'
import { allowShortLifetime, type Grant } from '../issuing/issue.ts'
import { NODE_RULES, type PathRules } from '../issuing/issuer-rules.ts'
import { checkLeaf } from '../issuing/leaf-rules.ts'
import { MAX_BACKDATE_MS, MIN_LIFETIME_MS } from '../issuing/lifetime.ts'
import { roleName } from '../membership/node-identity.ts'
import { checkExtensionTypes } from './allowed-extensions.ts'
import { askedValidity } from './asked-validity.ts'
import { countAltNames, listExtensions } from './extension-list.ts'
import { mismatch } from './issued-mismatch.ts'
import { nodeNames } from './node-names.ts'
import { type Vouchers, verifyVouched } from './vouched.ts'

/** What was asked for, and who may have granted it. */
export interface IssuedExpectation extends Vouchers {
  readonly csr: Csr
  readonly grant: Grant
}

/** One minute: cfssl rounds the present to the whole minute before it adds a lifetime, and clocks differ a little. */
export const ISSUED_TOLERANCE_MS = 60_000

const KEY_USAGES: readonly KeyUsage[] = ['digitalSignature', 'keyEncipherment']
// A key that cannot encipher should not be said to (RFC 9295 section 3); a CA may have one profile for all keys.
const SIGNING_USAGES: readonly KeyUsage[] = ['digitalSignature']
const EXT_KEY_USAGES: readonly string[] = [SERVER_AUTH, CLIENT_AUTH]

/** The same members, each once, in any order. */
export const sameSet = (left: readonly string[] | null, right: readonly string[]): boolean =>
  left?.length === right.length && right.every((member) => left.includes(member))

/**
 * Proves that a node certificate from an external CA is what was asked for, field by field, and that a root of the cluster vouches for it. An external CA is
 * free in serial number, key identifiers, string types and order, and may give less time; it may not give anything more. What passes here is what every
 * peer accepts: an answer that peers would refuse locks a node out, or with a dry run that did not see it all of them.
 *
 * Accepted as a lifetime: an end between the present and the asked one plus {@link ISSUED_TOLERANCE_MS}, never beyond an issuer's own; a start that
 * lies back {@link MAX_BACKDATE_MS} at most, with the same tolerance on both sides; {@link MIN_LIFETIME_MS} from start to end at
 * least, unless the grant has {@link allowShortLifetime}.
 *
 * @returns The certificate, proven.
 * @throws {@link IdentityError} `ISSUED_KEY_MISMATCH`, `ISSUED_SUBJECT_MISMATCH`, `ISSUED_NAMES_MISMATCH`, `ISSUED_CONSTRAINTS_MISMATCH`,
 * `ISSUED_USAGE_MISMATCH`, `ISSUED_EXTENSION_UNEXPECTED` or `ISSUED_LIFETIME_MISMATCH` for the part that differs,
 * `ISSUED_ISSUER_UNTRUSTED` if no root vouches for it; `LIFETIME_TOO_SHORT` if the grant itself is below the least lifetime.
 * @throws RangeError if a duration or instant of the grant is not a sensible number.
 */
export async function verifyIssued(certificate: Certificate, expected: IssuedExpectation): Promise<Certificate> {
  const { csr, grant, now } = expected
  if (!equalBytes(certificate.publicKey, csr.publicKey))
    throw mismatch('ISSUED_KEY_MISMATCH', 'is for another key than the request')
  checkSubject(certificate, [grant.clusterId, roleName(grant.role), grant.nodeId])
  checkExtensions(certificate, grant)
  checkMarks(certificate, NODE_RULES)
  checkLifetime(certificate, askedValidity(grant, now), now)
  const { notBefore, notAfter } = certificate
  if (notAfter - notBefore < MIN_LIFETIME_MS && grant[allowShortLifetime] !== true)
    throw mismatch('ISSUED_LIFETIME_MISMATCH', 'lives less than a node needs')
  const issuers = await verifyVouched(certificate, expected)
  if (grant.zone === undefined && issuers.some(({ nameConstraints }) => nameConstraints !== null))
    throw mismatch(
      'ISSUED_NAMES_MISMATCH',
      'is below an issuer that binds names, where every peer wants a zone in those of a node',
    )
  return certificate
}

/** What is left of the profile that peers hold a leaf to: no extension is critical that must not be. */
export function checkMarks(certificate: Certificate, rules: PathRules): void {
  try {
    checkLeaf(certificate, rules)
  } catch (cause) {
    throw mismatch('ISSUED_EXTENSION_UNEXPECTED', 'marks an extension in a way that no peer accepts', { cause })
  }
}

/** Refuses any other subject than organization, unit and common name as they were asked for. */
export function checkSubject(certificate: Certificate, [cluster, unit, id]: readonly [string, string, string]): void {
  const { attributes } = certificate.subject
  const asked: readonly NameAttribute[] = [
    { type: ORGANIZATION, value: cluster },
    { type: ORGANIZATIONAL_UNIT, value: unit },
    { type: COMMON_NAME, value: id },
  ]
  const isSame =
    attributes.length === asked.length &&
    asked.every(({ type, value }, index) => attributes[index]?.type === type && attributes[index].value === value)
  if (!isSame) throw mismatch('ISSUED_SUBJECT_MISMATCH', 'has another subject than was asked for')
}

function checkExtensions(certificate: Certificate, grant: Grant): void {
  if (certificate.isCa) throw mismatch('ISSUED_CONSTRAINTS_MISMATCH', 'is that of a ca')
  const extensions = listExtensions(certificate)
  const names = nodeNames(grant)
  const uris = grant.spiffeId === undefined ? [] : [grant.spiffeId]
  const foundUris = certificate.altNames.flatMap((name) => (name.kind === 'uri' ? [name.value] : []))
  const count = names.length + uris.length
  if (!sameSet(certificate.dnsNames, names) || !sameSet(foundUris, uris) || countAltNames(extensions) !== count)
    throw mismatch('ISSUED_NAMES_MISMATCH', 'has other alternative names than were asked for')
  const signsAlone = certificate.keyType === 'ed25519' && sameSet(certificate.keyUsage, SIGNING_USAGES)
  if (!(signsAlone || sameSet(certificate.keyUsage, KEY_USAGES)) || !sameSet(certificate.extKeyUsage, EXT_KEY_USAGES))
    throw mismatch(
      'ISSUED_USAGE_MISMATCH',
      'is for other uses than signing, key encipherment, tls server and tls client',
    )
  checkExtensionTypes(extensions)
}

/** Refuses an end later than was asked for, a start too far back, and what is not valid now. */
export function checkLifetime(certificate: Certificate, asked: Validity, now: number): void {
  const { notBefore, notAfter } = certificate
  const problem =
    notAfter > asked.notAfter + ISSUED_TOLERANCE_MS
      ? 'ends later than was asked for'
      : notBefore < now - MAX_BACKDATE_MS - ISSUED_TOLERANCE_MS
        ? 'begins too far in the past'
        : notBefore > now + ISSUED_TOLERANCE_MS
          ? 'is not valid yet'
          : notAfter < now
            ? 'has ended'
            : null
  if (problem !== null) throw mismatch('ISSUED_LIFETIME_MISMATCH', problem)
}
