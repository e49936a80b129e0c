import type { AltName } from '../certificate/alt-names.ts'
import type { Certificate } from '../certificate/certificate.ts'
import { isMailbox, uriHost } from '../certificate/certified-names.ts'
import type { DistinguishedName } from '../certificate/name.ts'
import type { NameConstraints, NameSubtree } from '../certificate/name-constraints.ts'

const EMAIL_ADDRESS = '1.2.840.113549.1.9.1'

/**
 * True when every name of the certificate is within the constraints (RFC 5280 sections 4.2.1.10 and 6.1.3): its alternative names, its subject, and the mail
 * addresses in its subject. A name that cannot be compared with a subtree of its kind is not within.
 */
export function isPermitted(certificate: Certificate, constraints: NameConstraints): boolean {
  const { altNames, subject } = certificate
  const names: AltName[] = [...altNames]
  if (subject.attributes.length > 0) names.push({ kind: 'directory', value: subject })
  for (const { type, value } of subject.attributes)
    if (type === EMAIL_ADDRESS) names.push({ kind: 'email', value: value })
  return names.every((name) => isNamePermitted(name, constraints))
}

/** {@link isPermitted} for a single name. */
export function isNamePermitted(name: AltName, { permitted, excluded }: NameConstraints): boolean {
  if (excluded.some((subtree) => subtree.kind === name.kind && mayTouch(name, subtree))) return false
  const ofKind = permitted.filter(({ kind }) => kind === name.kind)
  return ofKind.length === 0 || ofKind.some((subtree) => isWithin(name, subtree))
}

/** Surely within the subtree. */
function isWithin(name: AltName, subtree: NameSubtree): boolean {
  if (name.kind === 'dns' && subtree.kind === 'dns') return isBelow(name.value, subtree.value)
  if (name.kind === 'email' && subtree.kind === 'email') return isMailWithin(name.value, subtree.value)
  if (name.kind === 'uri' && subtree.kind === 'uri') {
    const host = uriHost(name.value)
    return host !== null && isHostWithin(host, subtree.value)
  }
  if (name.kind === 'ip' && subtree.kind === 'ip') return isInNetwork(name.value, subtree.address, subtree.mask)
  if (name.kind === 'directory' && subtree.kind === 'directory') return beginsWith(name.value, subtree.value, same)
  return false
}

/** Within, or not to be told apart from what is: excluded names are compared generously. */
function mayTouch(name: AltName, subtree: NameSubtree): boolean {
  if (isWithin(name, subtree)) return true
  if (name.kind === 'dns' && subtree.kind === 'dns')
    // A pattern stands for names further down too.
    return name.value.startsWith('*.') && touches(name.value.slice(2), subtree.value)
  if (name.kind === 'uri') return uriHost(name.value) === null
  if (name.kind === 'email' && subtree.kind === 'email')
    return !isMailbox(name.value) || name.value.toLowerCase() === subtree.value.toLowerCase()
  if (name.kind === 'directory' && subtree.kind === 'directory') return beginsWith(name.value, subtree.value, alike)
  return false
}

const touches = (pattern: string, base: string): boolean => isBelow(pattern, base) || isBelow(base, pattern)

/** The name itself or one below it, whatever the case of its letters. */
function isBelow(name: string, base: string): boolean {
  const lower = name.toLowerCase()
  const suffix = base.toLowerCase()
  return lower === suffix || lower.endsWith(`.${suffix}`)
}

function isHostWithin(host: string, base: string): boolean {
  const lower = host.toLowerCase()
  const wanted = base.toLowerCase()
  return wanted.startsWith('.') ? lower.endsWith(wanted) && lower.length > wanted.length : lower === wanted
}

/** Hosts are alike in any case of letters, local parts are not (RFC 5280 section 7.5). */
function isMailWithin(mailbox: string, base: string): boolean {
  if (!isMailbox(mailbox)) return false
  const at = mailbox.indexOf('@')
  const host = mailbox.slice(at + 1)
  const baseAt = base.indexOf('@')
  if (baseAt === -1) return isHostWithin(host, base)
  return mailbox.slice(0, at) === base.slice(0, baseAt) && isHostWithin(host, base.slice(baseAt + 1))
}

const isInNetwork = (address: Uint8Array, base: Uint8Array, mask: Uint8Array): boolean =>
  address.length === base.length &&
  address.every((byte, index) => ((byte ^ (base[index] ?? 0)) & (mask[index] ?? 0xff)) === 0)

function beginsWith(
  name: DistinguishedName,
  base: DistinguishedName,
  equal: (left: string, right: string) => boolean,
): boolean {
  return base.attributes.every(({ type, value }, index) => {
    const attribute = name.attributes[index]
    return attribute?.type === type && equal(attribute.value, value)
  })
}

const same = (left: string, right: string): boolean => left === right
const folded = (text: string): string => text.normalize('NFKC').toLowerCase().trim().replaceAll(/\s+/gu, ' ')
const alike = (left: string, right: string): boolean => folded(left) === folded(right)
