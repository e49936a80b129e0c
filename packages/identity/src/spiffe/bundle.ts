import { decodeBase64, encodeBase64 } from '../base64.ts'
import { equalBytes } from '../bytes.ts'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { MAX_TRUST_BUNDLE_ROOTS } from '../verifying/trust-bundle.ts'
import { keyMembersOf } from './key-members.ts'
import { type JsonValue, readStrictJson } from './strict-json.ts'

/** What vouches for a trust domain's X509-SVIDs, and how fresh that is. */
export interface SpiffeBundle {
  /** Grows with each change of the bundle, up to 2^64 - 1; `null` when the publisher gives none. */
  readonly sequence: bigint | null
  /** How long until the publisher would like to be asked again, in milliseconds, whole seconds; `null` when it does not say. */
  readonly refreshHintMs: number | null
  /** Up to {@link MAX_TRUST_BUNDLE_ROOTS} certificates. With none, nothing of that trust domain is to be believed. */
  readonly roots: readonly Certificate[]
}

/** Sixteen roots of RSA 8192 with their keys spelled out take half of it; the rest is for entries of other kinds. */
export const MAX_SPIFFE_BUNDLE_BYTES: number = 256 * 1024

// A few keys of each kind while they rotate, with much room.
const MAX_KEYS = 64
const MAX_SEQUENCE = 2n ** 64n - 1n
// Ten years; a longer hint asks for nothing.
const MAX_HINT_SECONDS = 10 * 365 * 24 * 60 * 60
const WHOLE = /^(?:0|[1-9][0-9]{0,19})$/u
const KEY_KINDS: readonly (JsonValue | undefined)[] = ['EC', 'RSA', 'OKP']

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const malformed = (problem: string, options?: ErrorOptions): IdentityError =>
  new IdentityError(
    'SPIFFE_BUNDLE_MALFORMED',
    `spiffe bundle ${problem}; fetch the document that the trust domain publishes`,
    options,
  )

function textOf(document: string | Uint8Array): string {
  if (document.length > MAX_SPIFFE_BUNDLE_BYTES) {
    throw new IdentityError(
      'SPIFFE_BUNDLE_TOO_LARGE',
      `spiffe bundle is larger than ${MAX_SPIFFE_BUNDLE_BYTES} bytes; publish the roots in use alone`,
    )
  }
  if (typeof document === 'string') return document
  try {
    return utf8.decode(document)
  } catch {
    throw malformed('is not utf-8')
  }
}

const isObject = (value: JsonValue | undefined): value is ReadonlyMap<string, JsonValue> => value instanceof Map

/** A whole number from 0 to `limit`, or `null` when the member is absent. */
function readWhole(value: JsonValue | undefined, limit: bigint, name: string): bigint | null {
  if (value === undefined) return null
  const digits = value !== null && typeof value === 'object' && 'digits' in value ? value.digits : ''
  if (!WHOLE.test(digits) || BigInt(digits) > limit)
    throw malformed(`has no whole number from 0 to ${limit} as ${name}`)
  return BigInt(digits)
}

/** The certificate of one JWK, or `null` for an entry that is to be passed over (X509-SVID section 6.2). */
function readKey(key: JsonValue): Certificate | null {
  if (!isObject(key)) throw malformed('has a key that is not an object')
  if (key.get('use') !== 'x509-svid' || !KEY_KINDS.includes(key.get('kty'))) return null
  const certificates = key.get('x5c')
  if (certificates === undefined) return null
  if (!Array.isArray(certificates)) throw malformed('has certificates that are not a list')
  const [first] = certificates as readonly JsonValue[]
  if (first === undefined) return null
  const der = typeof first === 'string' ? decodeBase64(encoder.encode(first)) : null
  // 0x30 begins a sequence; a text that is PEM once decoded is a second spelling.
  if (der?.[0] !== 0x30) throw malformed('has a certificate that is not canonical base64 of der')
  const certificate = readCertificate(der)
  if (certificate === null) return null
  if (!certificate.isCa || certificate.keyUsage?.includes('keyCertSign') !== true)
    throw malformed('has a certificate that may not sign certificates')
  if (!keyMembersOf(certificate).every(([name, value]) => key.get(name) === value))
    throw malformed('has a key that is not the one of its certificate')
  return certificate
}

/** `null` for a kind of key that this package does not know: without it fewer are trusted, not more. */
function readCertificate(der: Uint8Array): Certificate | null {
  try {
    return parseCertificate(der)
  } catch (error) {
    if (error instanceof IdentityError && error.code === 'CERTIFICATE_UNSUPPORTED') return null
    throw malformed('has a certificate that cannot be read', { cause: error })
  }
}

/**
 * Reads a trust bundle in the JSON form of SPIFFE, a JWK set. Members and keys of other kinds are passed over, as the standard asks; whatever
 * vouches for X509-SVIDs is read strictly, and a name that stands twice in an object is refused. A certificate that occurs twice counts once.
 *
 * The document does not say whose bundle it is, and nothing in it proves where it comes from: both are known from the channel.
 *
 * @throws {@link IdentityError} `SPIFFE_BUNDLE_MALFORMED` if it is no such document, `SPIFFE_BUNDLE_TOO_LARGE` beyond
 * {@link MAX_SPIFFE_BUNDLE_BYTES}, 64 keys or {@link MAX_TRUST_BUNDLE_ROOTS} roots.
 * @see SPIFFE Trust Domain and Bundle section 4, X509-SVID section 6
 */
export function parseSpiffeBundle(document: string | Uint8Array): SpiffeBundle {
  const value = readStrictJson(textOf(document))
  if (!isObject(value)) throw malformed('is not one json object without repeated names')
  const keys = value.get('keys')
  if (!Array.isArray(keys)) throw malformed('has no list of keys')
  const roots: Certificate[] = []
  for (const key of keys.length <= MAX_KEYS ? (keys as readonly JsonValue[]) : []) {
    const root = readKey(key)
    if (root !== null && !roots.some(({ der }) => equalBytes(der, root.der))) roots.push(root)
  }
  if (keys.length > MAX_KEYS || roots.length > MAX_TRUST_BUNDLE_ROOTS) {
    throw new IdentityError(
      'SPIFFE_BUNDLE_TOO_LARGE',
      `spiffe bundle has more than ${MAX_KEYS} keys or ${MAX_TRUST_BUNDLE_ROOTS} roots; publish the roots in use alone`,
    )
  }
  const hint = readWhole(value.get('spiffe_refresh_hint'), BigInt(MAX_HINT_SECONDS), 'refresh hint')
  return {
    sequence: readWhole(value.get('spiffe_sequence'), MAX_SEQUENCE, 'sequence'),
    refreshHintMs: hint === null ? null : Number(hint) * 1000,
    roots,
  }
}

function formatKey(root: Certificate): string {
  const members = Object.fromEntries(keyMembersOf(root))
  return JSON.stringify({ use: 'x509-svid', ...members, x5c: [decoder.decode(encodeBase64(root.der))] })
}

/**
 * The one text of a bundle in the JSON form of SPIFFE; {@link parseSpiffeBundle} reads it back to the same.
 *
 * @throws RangeError if sequence or hint are out of range, or there are more than {@link MAX_TRUST_BUNDLE_ROOTS} roots.
 */
export function formatSpiffeBundle({ sequence, refreshHintMs, roots }: SpiffeBundle): string {
  const hint = refreshHintMs === null ? null : refreshHintMs / 1000
  if (sequence !== null && (sequence < 0n || sequence > MAX_SEQUENCE))
    throw new RangeError('sequence must be from 0 to 2^64 - 1')
  if (hint !== null && !(Number.isInteger(hint) && hint >= 0 && hint <= MAX_HINT_SECONDS))
    throw new RangeError(`refreshHintMs must be whole seconds, at most ${MAX_HINT_SECONDS * 1000}`)
  if (roots.length > MAX_TRUST_BUNDLE_ROOTS) throw new RangeError(`roots must be at most ${MAX_TRUST_BUNDLE_ROOTS}`)
  const members = [
    ...(sequence === null ? [] : [`"spiffe_sequence":${sequence}`]),
    ...(hint === null ? [] : [`"spiffe_refresh_hint":${hint}`]),
    `"keys":[${roots.map(formatKey).join(',')}]`,
  ]
  return `{${members.join(',')}}`
}
