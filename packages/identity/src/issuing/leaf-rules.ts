import { equalBytes } from '../bytes.ts'
import type { AltName } from '../certificate/alt-names.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { isWellFormed } from '../certificate/certified-names.ts'
import { ANY_USE, EXT_KEY_USAGE, SUBJECT_ALT_NAME } from '../certificate/extensions.ts'
import { COMMON_NAME } from '../certificate/name.ts'
import { IdentityError } from '../errors.ts'
import { isWronglyCritical, type PathRules } from './issuer-rules.ts'

function profileProblem(leaf: Certificate, { purposes = [], keyIdentifiers }: PathRules): string | null {
  if (leaf.isCa) return 'is of a CA'
  if (leaf.unknownCritical.length > 0 || leaf.nameConstraints !== null)
    return 'has a critical extension that is not understood'
  const { critical, keyUsage, extKeyUsage } = leaf
  if (isWronglyCritical(critical) || critical.includes(EXT_KEY_USAGE))
    return 'marks an extension as critical that is not'
  if (keyUsage?.includes('digitalSignature') !== true || keyUsage.includes('keyCertSign'))
    return 'has other key usages than a node needs'
  if (
    extKeyUsage === null ||
    extKeyUsage.includes(ANY_USE) ||
    !purposes.every((purpose) => extKeyUsage.includes(purpose))
  )
    return 'is not for TLS servers and clients'
  return keyIdentifiers !== 'optional' && leaf.authorityKeyId === null ? 'does not say which key signed it' : null
}

/**
 * Holds a leaf to the closed profile: no CA, nothing ununderstood, made to sign with and for the purposes of `rules`, each of its names in the form of its kind.
 *
 * @throws {@link IdentityError} `PEER_PROFILE_INVALID` or `PEER_NAMES_INVALID`.
 */
export function checkLeaf(leaf: Certificate, rules: PathRules): void {
  const problem = profileProblem(leaf, rules)
  if (problem !== null) {
    throw new IdentityError(
      'PEER_PROFILE_INVALID',
      `peer certificate ${problem}; present a certificate that the cluster issued to a node`,
    )
  }
  // RFC 5280 section 4.2.1.6: critical where there is no subject, and only there.
  const { altNames } = leaf
  const asked = (leaf.subject.attributes.length === 0) === leaf.critical.includes(SUBJECT_ALT_NAME)
  if (altNames.length > 0 && !(asked && altNames.every(isWellFormed)))
    throw namesInvalid('has an alternative name that is none, or that is marked wrongly')
}

const namesInvalid = (problem: string): IdentityError =>
  new IdentityError(
    'PEER_NAMES_INVALID',
    `peer certificate ${problem}; present a certificate with the names that it is met under`,
  )

/**
 * Holds a leaf to the names under which it is met: each of `names` is among its alternative names, and so is, letter by letter, its common name if it has one.
 *
 * @throws {@link IdentityError} `PEER_NAMES_INVALID` if not.
 */
export function checkNames(leaf: Certificate, names: readonly AltName[]): void {
  const { altNames } = leaf
  if (!names.every((name) => altNames.some((own) => isSameName(own, name))))
    throw namesInvalid('does not have the name under which the peer was met')
  const common = leaf.subject.attributes.filter(({ type }) => type === COMMON_NAME)
  if (!common.every(({ value }) => altNames.some((own) => textOf(own) === value)))
    throw namesInvalid('has a common name that is none of its alternative names')
}

function isSameName(own: AltName, wanted: AltName): boolean {
  if (own.kind === 'ip' && wanted.kind === 'ip') return equalBytes(own.value, wanted.value)
  if (own.kind === 'dns' && wanted.kind === 'dns') return own.value.toLowerCase() === wanted.value.toLowerCase()
  const text = textOf(own)
  return own.kind === wanted.kind && text !== null && text === textOf(wanted)
}

/** The name as text, where it has one form of it; IPv6 addresses have several. */
function textOf(name: AltName): string | null {
  if (name.kind === 'directory' || name.kind === 'other') return null
  if (name.kind !== 'ip') return name.value
  return name.value.length === 4 ? name.value.join('.') : null
}
