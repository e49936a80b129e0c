import {
  AUTHORITY_KEY_ID,
  BASIC_CONSTRAINTS,
  EXT_KEY_USAGE,
  KEY_USAGE,
  SUBJECT_ALT_NAME,
  SUBJECT_KEY_ID,
} from '../certificate/extensions.ts'
import type { ListedExtension } from './extension-list.ts'
import { mismatch } from './issued-mismatch.ts'

// Each of these is compared with what was asked for.
const COMPARED: readonly string[] = [
  AUTHORITY_KEY_ID,
  BASIC_CONSTRAINTS,
  EXT_KEY_USAGE,
  KEY_USAGE,
  SUBJECT_ALT_NAME,
  SUBJECT_KEY_ID,
]

// CRL distribution points, certificate policies and authority information access (RFC 5280 sections 4.2.1.13, 4.2.1.4 and 4.2.2.1)
// say where to look things up. They give no right, as long as nobody must understand them.
const INFORMATIVE: readonly string[] = ['2.5.29.31', '2.5.29.32', '1.3.6.1.5.5.7.1.1']

/**
 * Refuses what was not asked for: another reader of the certificate could take it for a right.
 *
 * @throws {@link IdentityError} `ISSUED_EXTENSION_UNEXPECTED` for anything that is neither compared nor merely informative.
 */
export function checkExtensionTypes(extensions: readonly ListedExtension[]): void {
  for (const { type, critical } of extensions) {
    if (COMPARED.includes(type) || (INFORMATIVE.includes(type) && !critical)) continue
    throw mismatch('ISSUED_EXTENSION_UNEXPECTED', `has an extension that was not asked for (${type})`)
  }
}
