import { encodeSequence, encodeUnsigned } from '../der/writer.ts'

function magnitude(scalar: Uint8Array): Uint8Array {
  const first = scalar.findIndex((byte) => byte !== 0)
  return first < 0 ? scalar.subarray(scalar.length) : scalar.subarray(first)
}

/**
 * An ECDSA signature of two equal halves r and s (IEEE P1363) as DER (RFC 3279 section 2.2.3), or `null` if one of them is zero,
 * which no signature has.
 */
export function encodeEcdsaSignature(raw: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const half = raw.length / 2
  const r = magnitude(raw.subarray(0, half))
  const s = magnitude(raw.subarray(half))
  return r.length === 0 || s.length === 0 ? null : encodeSequence(encodeUnsigned(r), encodeUnsigned(s))
}
