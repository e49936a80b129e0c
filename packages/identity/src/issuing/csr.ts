import {
  canSign,
  encodeSignatureAlgorithm,
  type NodeKeyType,
  type PublicKeyPlace,
  readSignatureAlgorithm,
  type SignatureAlgorithm,
  signatureAlgorithmOf,
  skipPublicKey,
} from '../algorithms.ts'
import { type DerText, readDocument } from '../certificate/document.ts'
import { ascend, descend, fault, finish, openDer, peekTag } from '../der/reader.ts'
import { explicit, SEQUENCE } from '../der/tags.ts'
import { readSmallInteger, skipBitString } from '../der/values.ts'
import { encodeElement, encodeSequence, encodeSigned, encodeUnsigned } from '../der/writer.ts'
import { IdentityError } from '../errors.ts'
import { formatPem } from '../pem.ts'
import type { SignatureVerifier, Signer } from '../ports.ts'
import { skipAttributes, skipWishedName } from './csr-wishes.ts'

declare const csr: unique symbol

/**
 * A certificate request that was read (RFC 2986). It offers a public key and the proof that the sender holds the private
 * half; names and extensions in it are checked for form and then forgotten. Only {@link parseCsr} and {@link createCsr} make one.
 */
export interface Csr {
  readonly [csr]: true
  readonly der: Uint8Array<ArrayBuffer>
  /** The canonical PEM form. */
  readonly pem: string
  /** DER SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array<ArrayBuffer>
  /** The bits inside `publicKey`, which key identifiers are made of. */
  readonly keyBits: Uint8Array<ArrayBuffer>
  readonly keyType: NodeKeyType
  readonly signatureAlgorithm: SignatureAlgorithm
  /** What is signed: the DER CertificationRequestInfo. */
  readonly tbs: Uint8Array<ArrayBuffer>
  readonly signature: Uint8Array<ArrayBuffer>
}

/** A request with one elliptic key has about 200 bytes; 8 KiB leave room for the extensions that some tools ask for. */
export const MAX_CSR_BYTES: number = 8 * 1024

const DOCUMENT: DerText = {
  label: 'CERTIFICATE REQUEST',
  maxBytes: MAX_CSR_BYTES,
  tooLarge: 'CSR_TOO_LARGE',
  refusal: { code: 'CSR_MALFORMED', document: 'certificate request' },
}

// Version 0, no name, and an empty set of attributes: the issuer decides all of that.
const VERSION = encodeUnsigned(Uint8Array.of(0))
const NO_SUBJECT = encodeSequence()
const NO_ATTRIBUTES = encodeElement(explicit(0))

/**
 * Reads a request from PEM (text or bytes) or from DER, strictly: DER in its one form, canonical PEM, nothing around it.
 *
 * The signature is not checked here; see {@link verifyCsr}.
 *
 * @throws {@link IdentityError} `CSR_MALFORMED` for anything that is not a request, `CSR_TOO_LARGE` beyond
 * {@link MAX_CSR_BYTES}, `CSR_KEY_UNSUPPORTED` if its key or signature is none that a node may have.
 * @see RFC 2986 section 4
 */
export function parseCsr(input: string | Uint8Array): Csr {
  return readCsr(readDocument(input, DOCUMENT))
}

function readCsr(der: Uint8Array<ArrayBuffer>): Csr {
  const reader = openDer(der, DOCUMENT.refusal)
  const afterAll = descend(reader, SEQUENCE)
  const tbsAt = reader.at
  const afterInfo = descend(reader, SEQUENCE)
  if (readSmallInteger(reader) !== 0) throw fault(reader, 'has a version other than 1')
  if (peekTag(reader) !== SEQUENCE) throw fault(reader, 'has no subject field')
  skipWishedName(reader)
  const { keyType, start, bitsAt, end } = skipPublicKey(reader, 'CSR_KEY_UNSUPPORTED')
  // Mandatory in RFC 2986, yet left out by some tools when there is nothing to say.
  if (reader.at < reader.end) {
    if (peekTag(reader) !== explicit(0)) throw fault(reader, 'has another element where its attributes belong')
    skipAttributes(reader)
  }
  ascend(reader, afterInfo)
  const tbs = der.subarray(tbsAt, reader.at)
  const signatureAlgorithm = readSignatureAlgorithm(reader, 'CSR_KEY_UNSUPPORTED')
  const signature = der.subarray(skipBitString(reader), reader.at)
  ascend(reader, afterAll)
  finish(reader)
  if (keyType === 'rsa' || keyType === 'p521') {
    throw new IdentityError(
      'CSR_KEY_UNSUPPORTED',
      'certificate request has a key that no node may have; make a P-256, P-384 or Ed25519 key',
    )
  }
  if (!canSign(keyType, signatureAlgorithm)) {
    throw new IdentityError(
      'CSR_KEY_UNSUPPORTED',
      'certificate request is signed with an algorithm of another kind of key; sign it with its own key',
    )
  }
  const place = { keyType, start, bitsAt, end }
  return new ReadCsr(der, place, signatureAlgorithm, tbs, signature) as unknown as Csr
}

/** A class, because a getter in an object of its own costs as much as the reading. */
class ReadCsr implements Omit<Csr, typeof csr> {
  readonly der: Uint8Array<ArrayBuffer>
  readonly publicKey: Uint8Array<ArrayBuffer>
  readonly keyBits: Uint8Array<ArrayBuffer>
  readonly keyType: NodeKeyType
  readonly signatureAlgorithm: SignatureAlgorithm
  readonly tbs: Uint8Array<ArrayBuffer>
  readonly signature: Uint8Array<ArrayBuffer>

  constructor(
    der: Uint8Array<ArrayBuffer>,
    { keyType, start, bitsAt, end }: PublicKeyPlace & { readonly keyType: NodeKeyType },
    signatureAlgorithm: SignatureAlgorithm,
    tbs: Uint8Array<ArrayBuffer>,
    signature: Uint8Array<ArrayBuffer>,
  ) {
    this.der = der
    this.publicKey = der.subarray(start, end)
    this.keyBits = der.subarray(bitsAt, end)
    this.keyType = keyType
    this.signatureAlgorithm = signatureAlgorithm
    this.tbs = tbs
    this.signature = signature
  }

  get pem(): string {
    return formatPem('CERTIFICATE REQUEST', this.der)
  }
}

/**
 * Makes the request of a node: its public key, signed by its private key, with no name and no wishes, as Docker's nodes send it.
 *
 * @throws {@link IdentityError} `CSR_KEY_UNSUPPORTED` if the signer's key is none that a node may have.
 * @see RFC 2986 section 4
 */
export async function createCsr(signer: Signer): Promise<Csr> {
  const tbs = encodeSequence(VERSION, NO_SUBJECT, signer.publicKey, NO_ATTRIBUTES)
  const signature = await signer.sign(tbs)
  return readCsr(encodeSigned(tbs, encodeSignatureAlgorithm(signatureAlgorithmOf(signer.keyType)), signature))
}

/**
 * Proves that the sender of a request holds its private key.
 *
 * @throws {@link IdentityError} `CSR_SIGNATURE_INVALID` if the key in the request did not sign it.
 * @see RFC 2986 section 3
 */
export async function verifyCsr(request: Csr, verifier: SignatureVerifier): Promise<void> {
  const { signatureAlgorithm, tbs, signature } = request
  const answer =
    verifier.verifyOnce === undefined
      ? verifier.verify(request, signatureAlgorithm, tbs, signature)
      : verifier.verifyOnce(request, signatureAlgorithm, tbs, signature)
  const proven = typeof answer === 'boolean' ? answer : await answer
  if (!proven) {
    throw new IdentityError(
      'CSR_SIGNATURE_INVALID',
      'certificate request is not signed by the key that it carries; sign it with that key',
    )
  }
}
