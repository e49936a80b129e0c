import type { Refusal } from '../der/reader.ts'
import { IdentityError, type IdentityErrorCode } from '../errors.ts'
import { isPem, type PemLabel, parsePem, pemBytes } from '../pem.ts'
import { allocate } from './page.ts'

/** A kind of document that comes as PEM or DER. */
export interface DerText {
  readonly label: PemLabel
  readonly maxBytes: number
  readonly tooLarge: IdentityErrorCode
  readonly refusal: Refusal
}

/** Base64 takes 4 bytes for 3, one more a line, and the boundaries. */
export const pemSizeOf = (derBytes: number): number => Math.ceil(derBytes * 1.4) + 128

function copyOf(input: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = allocate(input.length)
  copy.set(input)
  return copy
}

/** The DER of one document, in bytes of its own, which the caller cannot change later. */
export function readDocument(input: string | Uint8Array, kind: DerText): Uint8Array<ArrayBuffer> {
  const pem = isPem(input)
  if (input.length > (pem ? pemSizeOf(kind.maxBytes) : kind.maxBytes)) throw tooLarge(kind)
  if (!pem) return copyOf(pemBytes(input))
  const [der, ...more] = parsePem(kind.label, pemBytes(input), kind.refusal)
  if (der === undefined || more.length > 0) {
    throw new IdentityError(
      kind.refusal.code,
      `${kind.refusal.document} text has ${more.length + 1} blocks; send exactly one`,
    )
  }
  if (der.length > kind.maxBytes) throw tooLarge(kind)
  return der
}

const tooLarge = (kind: DerText): IdentityError =>
  new IdentityError(
    kind.tooLarge,
    `${kind.refusal.document} is larger than ${kind.maxBytes} bytes; send one without what is not needed`,
  )
