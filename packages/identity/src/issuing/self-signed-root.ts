import { encodeSignatureAlgorithm, signatureAlgorithmOf, skipPublicKey } from '../algorithms.ts'
import { URI } from '../certificate/alt-names.ts'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { BASIC_CONSTRAINTS, KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_ID } from '../certificate/extensions.ts'
import { COMMON_NAME, ORGANIZATION } from '../certificate/name.ts'
import { openDer } from '../der/reader.ts'
import { BIT_STRING, explicit, PRINTABLE_STRING, SET } from '../der/tags.ts'
import {
  encodeElement,
  encodeOctets,
  encodeOid,
  encodeSequence,
  encodeSigned,
  encodeText,
  encodeTime,
  encodeUnsigned,
  TRUE,
} from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { Digest, RandomSource, SignatureVerifier, Signer } from '../ports.ts'
import { spiffeIdOf, type TrustDomain } from '../spiffe/spiffe-id.ts'
import { encodeCritical, encodeExtension } from './leaf-profile.ts'

/** What a root for a key of one's own is made from. */
export interface SelfSignedRootOptions {
  /** The present, epoch milliseconds. */
  readonly now: number
  /** Gives the serial number. */
  readonly random: RandomSource
  readonly digest: Digest
  /** Checks the key's own signature before the root is given out. */
  readonly verifier: SignatureVerifier
  /** Default `swarm-ca`, as Docker names its roots. Give each root of a rotation a name of its own. */
  readonly commonName?: string
  /** Put before the common name as the organization, when given. */
  readonly clusterId?: ClusterId
  /** Milliseconds from `now` to the end. Default 7300 days, as Docker Swarm. */
  readonly lifetimeMs?: number
  /** Makes it the root of a SPIFFE trust domain as well: the one URI among its names. */
  readonly trustDomain?: TrustDomain
}

const DAY_MS = 24 * 60 * 60 * 1000
const DEFAULT_LIFETIME_MS = 7300 * DAY_MS
// Against clocks that run late: a node must be able to take the root in the minute of its birth.
const BACKDATE_MS = 60 * 60 * 1000
const SERIAL_BYTES = 20
const KEY_ID_BYTES = 20
// Printable letters, and at most what X.520 allows for a common name.
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]{1,64}$/u
// The last year that a certificate can name (RFC 5280 section 4.1.2.5).
const END_OF_TIME = Date.UTC(9999, 11, 31, 23, 59, 59)

const VERSION_3 = encodeElement(explicit(0), encodeUnsigned(Uint8Array.of(2)))
// Bits 5 and 6, keyCertSign and cRLSign, one unused.
const CA_KEY_USAGE = encodeElement(BIT_STRING, Uint8Array.of(1, 0x06))

const attribute = (type: string, value: string): Uint8Array<ArrayBuffer> =>
  encodeElement(SET, encodeSequence(encodeOid(type), encodeText(PRINTABLE_STRING, value)))

function keyBitsOf(publicKey: Uint8Array): Uint8Array<ArrayBuffer> {
  const own = new Uint8Array(publicKey)
  const { bitsAt, end } = skipPublicKey(
    openDer(own, { code: 'PRIVATE_KEY_MALFORMED', document: 'public half of the key' }),
    'PRIVATE_KEY_UNSUPPORTED',
  )
  return own.subarray(bitsAt, end)
}

function encodeExtensions(signer: Signer, { digest, trustDomain }: SelfSignedRootOptions): Uint8Array<ArrayBuffer> {
  // RFC 7093 section 2, method 1: the first 160 bits of SHA-256 over the key bits.
  const keyId = digest.sha256(keyBitsOf(signer.publicKey)).subarray(0, KEY_ID_BYTES)
  const uri = trustDomain === undefined ? [] : [encodeElement(URI, new TextEncoder().encode(spiffeIdOf(trustDomain)))]
  return encodeSequence(
    encodeCritical(KEY_USAGE, CA_KEY_USAGE),
    encodeCritical(BASIC_CONSTRAINTS, encodeSequence(TRUE)),
    encodeExtension(SUBJECT_KEY_ID, encodeOctets(keyId)),
    ...uri.map((name) => encodeExtension(SUBJECT_ALT_NAME, encodeSequence(name))),
  )
}

function serialOf(random: RandomSource): Uint8Array {
  const serial = random.bytes(SERIAL_BYTES)
  if (serial.length !== SERIAL_BYTES)
    throw new RangeError(`random source gave ${serial.length} bytes instead of ${SERIAL_BYTES}`)
  // Positive, and the same length always: the top bit is off, the next one on.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  return serial
}

/**
 * Makes a self-signed root for a key that exists already and cannot be read, such as one in an HSM, in the profile of Docker Swarm's roots: CA without path
 * length and certificate and CRL signing, both critical, and a key identifier.
 *
 * @returns The root. Its times are in whole seconds, rounded down.
 * @throws {@link IdentityError} `AUTHORITY_KEY_MISMATCH` if what the key signed does not verify under its public half; whatever the signer rejects with.
 * @throws TypeError if the name is not 1 to 64 printable letters, RangeError if the lifetime is out of range.
 * @see RFC 5280 section 4.1
 */
export async function selfSignedRoot(signer: Signer, options: SelfSignedRootOptions): Promise<Certificate> {
  const { now, commonName = 'swarm-ca', clusterId, lifetimeMs = DEFAULT_LIFETIME_MS } = options
  if (!PRINTABLE.test(commonName)) throw new TypeError('commonName must be 1 to 64 printable letters')
  if (!(lifetimeMs > 0) || !(now + lifetimeMs <= END_OF_TIME) || !(now >= BACKDATE_MS))
    throw new RangeError('now and lifetimeMs must be numbers, lifetimeMs above zero and its end before the year 10000')
  const algorithm = signatureAlgorithmOf(signer.keyType)
  const name = encodeSequence(
    ...(clusterId === undefined ? [] : [attribute(ORGANIZATION, clusterId)]),
    attribute(COMMON_NAME, commonName),
  )
  const tbs = encodeSequence(
    VERSION_3,
    encodeUnsigned(serialOf(options.random)),
    encodeSignatureAlgorithm(algorithm),
    name,
    encodeSequence(encodeTime(now - BACKDATE_MS), encodeTime(now + lifetimeMs)),
    name,
    signer.publicKey,
    encodeElement(explicit(3), encodeExtensions(signer, options)),
  )
  const signature = await signer.sign(tbs)
  const root = parseCertificate(encodeSigned(tbs, encodeSignatureAlgorithm(algorithm), signature))
  if (!(await options.verifier.verify(root, algorithm, root.tbs, root.signature))) {
    throw new IdentityError(
      'AUTHORITY_KEY_MISMATCH',
      'what the key signed does not verify under its public half; use the pair that was made together',
    )
  }
  return root
}
