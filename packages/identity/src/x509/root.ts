import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from './door.ts'
import { defaultCrypto } from './provider.ts'

/** What a fresh root is made from. */
export interface RootOptions {
  /** The present, epoch milliseconds. */
  readonly now: number
  /** 20 strong random bytes; the serial number is made of them. */
  readonly serial: Uint8Array
  /** Default `swarm-ca`, as Docker names its roots. Give each root of a rotation a name of its own. */
  readonly commonName?: string
  /** Put before the common name as the organization, when given; Docker's roots have none. */
  readonly clusterId?: ClusterId
  /** Milliseconds from `now` to the end. Default 7300 days. */
  readonly lifetimeMs?: number
}

/** A fresh root. */
export interface Root {
  readonly certificate: Certificate
  /** PKCS #8 DER in the clear: to be wrapped before it is kept. */
  readonly privateKey: Uint8Array<ArrayBuffer>
}

/** 7300 days, as Docker Swarm. */
export const DEFAULT_ROOT_LIFETIME_MS: number = 7300 * 24 * 60 * 60 * 1000

// Against clocks that run late: a node must be able to take the root in the minute of its birth.
const BACKDATE_MS = 60 * 60 * 1000
const SERIAL_BYTES = 20
const KEY = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' }
// The last year that a certificate can name (RFC 5280 section 4.1.2.5).
const END_OF_TIME = Date.UTC(9999, 11, 31, 23, 59, 59)
// Printable letters, and at most what X.520 allows for a common name.
const COMMON_NAME = /^[A-Za-z0-9 '()+,\-./:=?]{1,64}$/u

/**
 * Makes a self-signed root with a fresh P-256 key, in the profile of Docker Swarm's roots: CA without path length and
 * certificate and CRL signing, both critical, and a key identifier.
 *
 * @param crypto - The Web Crypto provider that makes the key and signs with it; `@peculiar/webcrypto` by default.
 * @throws TypeError if the name is not 1 to 64 printable letters.
 * @throws RangeError if serial or lifetime are out of range.
 */
export async function createRoot(options: RootOptions, crypto: Crypto = defaultCrypto): Promise<Root> {
  const { now, commonName = 'swarm-ca', clusterId, lifetimeMs = DEFAULT_ROOT_LIFETIME_MS } = options
  if (!COMMON_NAME.test(commonName)) throw new TypeError('commonName must be 1 to 64 printable letters')
  if (options.serial.length !== SERIAL_BYTES)
    throw new RangeError(`serial must be ${SERIAL_BYTES} bytes, got ${options.serial.length}`)
  if (!(lifetimeMs > 0) || !(now + lifetimeMs <= END_OF_TIME) || !(now >= BACKDATE_MS))
    throw new RangeError('now and lifetimeMs must be numbers, lifetimeMs above zero and its end before the year 10000')
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      keys,
      name: new Name([
        ...(clusterId === undefined ? [] : [{ O: [{ printableString: clusterId }] }]),
        { CN: [{ printableString: commonName }] },
      ]),
      serialNumber: serialHex(options.serial),
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now + lifetimeMs),
      signingAlgorithm: SIGNATURE,
      extensions: [
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        new BasicConstraintsExtension(true, undefined, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  )
  const privateKey = new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  return { certificate: parseCertificate(new Uint8Array(certificate.rawData)), privateKey }
}

/** Positive, and of the same length always: the top bit is off, the next one on. */
function serialHex(bytes: Uint8Array): string {
  const serial = Uint8Array.from(bytes)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  return Array.from(serial, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
