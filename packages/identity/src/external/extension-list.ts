import type { Certificate } from '../certificate/certificate.ts'
import { SUBJECT_ALT_NAME } from '../certificate/extensions.ts'
import { enter, openDer, type Refusal, readContent, skipAny } from '../der/reader.ts'
import { explicit, OCTET_STRING, SEQUENCE } from '../der/tags.ts'
import { readDefaultFalse, readOid } from '../der/values.ts'

/** An extension as it stands in a certificate. */
export interface ListedExtension {
  /** Object identifier in dotted form. */
  readonly type: string
  readonly critical: boolean
  readonly value: Uint8Array<ArrayBuffer>
}

// The certificate was read before, so none of this refuses.
const REFUSAL: Refusal = { code: 'CERTIFICATE_MALFORMED', document: 'certificate' }
// Version, serial number, algorithm, issuer, validity, subject and key come before the extensions (RFC 5280 section 4.1).
const FIELDS_BEFORE = 7

/** All extensions of a certificate, those too that this package does not interpret. */
export function listExtensions(certificate: Certificate): readonly ListedExtension[] {
  const body = enter(openDer(certificate.tbs, REFUSAL), SEQUENCE)
  for (let field = 0; field < FIELDS_BEFORE; field += 1) skipAny(body)
  const list = enter(enter(body, explicit(3)), SEQUENCE)
  const found: ListedExtension[] = []
  while (list.at < list.end) {
    const extension = enter(list, SEQUENCE)
    const type = readOid(extension)
    const critical = readDefaultFalse(extension)
    found.push({ type, critical, value: readContent(extension, OCTET_STRING) })
  }
  return found
}

/** How many alternative names there are, of whatever kind: addresses, URIs and the like count too. */
export function countAltNames(extensions: readonly ListedExtension[]): number {
  const extension = extensions.find(({ type }) => type === SUBJECT_ALT_NAME)
  if (extension === undefined) return 0
  const names = enter(openDer(extension.value, REFUSAL), SEQUENCE)
  let count = 0
  for (; names.at < names.end; count += 1) skipAny(names)
  return count
}
