import { IdentityError } from './errors.ts'

declare const zone: unique symbol

/** A part of a cluster that has issuers of its own. Only {@link parseZone} makes one. */
export type Zone = string & { readonly [zone]: true }

// One label of a DNS name, so that constraints on DNS names hold for zones in every TLS library.
const ZONE = /^[a-z](?:[0-9a-z-]{0,38}[0-9a-z])?$/u

export const isZone = (text: string): text is Zone => ZONE.test(text)

/**
 * Reads the name of a zone.
 *
 * @throws {@link IdentityError} `ZONE_MALFORMED` if it is not 1 to 40 characters of `0-9a-z-` that begin with a letter and end with no hyphen.
 */
export function parseZone(text: string): Zone {
  if (isZone(text)) return text
  throw new IdentityError(
    'ZONE_MALFORMED',
    'zone is not 1 to 40 characters of a-z, 0-9 and hyphen, beginning with a letter; name it so',
  )
}
