import { readFileSync } from 'node:fs'
import type { Certificate, SignatureAlgorithm, Signer } from '@leastwise/identity'
import { encodeSignatureAlgorithm, signatureAlgorithmOf } from '../../packages/identity/src/algorithms.ts'
import { explicit, SET, UTF8_STRING } from '../../packages/identity/src/der/tags.ts'
import {
  encodeBitString,
  encodeElement,
  encodeOctets,
  encodeOid,
  encodeSequence,
  encodeText,
  encodeTime,
  encodeUnsigned,
  TRUE,
} from '../../packages/identity/src/der/writer.ts'

/** An extension for a forged certificate. */
export interface ForgedExtension {
  readonly type: string
  readonly critical?: true
  readonly value: Uint8Array
}

/** What a forged certificate says; everything may be wrong. */
export interface Forgery {
  readonly issuer: Uint8Array
  readonly subject: Uint8Array
  readonly publicKey: Uint8Array
  readonly signer: Signer
  readonly notBefore: number
  readonly notAfter: number
  readonly extensions: readonly ForgedExtension[]
  readonly algorithm?: SignatureAlgorithm
  readonly outerAlgorithm?: SignatureAlgorithm
  readonly serial?: Uint8Array
  readonly version?: number
}

/** A name of attributes `[type, value]`, in UTF-8. */
export const forgeName = (...attributes: readonly (readonly [string, string])[]): Uint8Array =>
  encodeSequence(
    ...attributes.map(([type, value]) =>
      encodeElement(SET, encodeSequence(encodeOid(type), encodeText(UTF8_STRING, value))),
    ),
  )

export const O = '2.5.4.10'
export const OU = '2.5.4.11'
export const CN = '2.5.4.3'

export const basicConstraints = (ca: boolean, pathLength?: number): ForgedExtension => ({
  type: '2.5.29.19',
  critical: true,
  value: encodeSequence(
    ...(ca ? [TRUE] : []),
    ...(pathLength === undefined ? [] : [encodeUnsigned(Uint8Array.of(pathLength))]),
  ),
})
/** Bits as in the standard: 0xa0 is digitalSignature and keyEncipherment, 0x06 signs certificates and lists. */
export const keyUsage = (bits: number): ForgedExtension => ({
  type: '2.5.29.15',
  critical: true,
  value: encodeElement(0x03, Uint8Array.of(31 - Math.clz32(bits & -bits), bits)),
})
export const extKeyUsage = (...types: readonly string[]): ForgedExtension => ({
  type: '2.5.29.37',
  value: encodeSequence(...types.map(encodeOid)),
})
export const SERVER = '1.3.6.1.5.5.7.3.1'
export const CLIENT = '1.3.6.1.5.5.7.3.2'
export const subjectKeyId = (id: Uint8Array): ForgedExtension => ({ type: '2.5.29.14', value: encodeOctets(id) })
export const authorityKeyId = (id: Uint8Array): ForgedExtension => ({
  type: '2.5.29.35',
  value: encodeSequence(encodeElement(0x80, id)),
})

/** The extensions of a proper leaf and of a proper CA. */
export const LEAF: readonly ForgedExtension[] = [keyUsage(0xa0), extKeyUsage(SERVER, CLIENT), basicConstraints(false)]
export const CA: readonly ForgedExtension[] = [keyUsage(0x06), basicConstraints(true)]

/** A certificate with a true signature over whatever it says. */
export async function forge(forgery: Forgery): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = encodeSignatureAlgorithm(forgery.algorithm ?? signatureAlgorithmOf(forgery.signer.keyType))
  const tbs = encodeSequence(
    encodeElement(explicit(0), encodeUnsigned(Uint8Array.of(forgery.version ?? 2))),
    encodeUnsigned(forgery.serial ?? Uint8Array.of(0x4a, 1)),
    algorithm,
    forgery.issuer,
    encodeSequence(encodeTime(forgery.notBefore), encodeTime(forgery.notAfter)),
    forgery.subject,
    forgery.publicKey,
    encodeElement(
      explicit(3),
      encodeSequence(
        ...forgery.extensions.map(({ type, critical, value }) =>
          encodeSequence(encodeOid(type), ...(critical === true ? [TRUE] : []), encodeOctets(value)),
        ),
      ),
    ),
  )
  const outer = forgery.outerAlgorithm === undefined ? algorithm : encodeSignatureAlgorithm(forgery.outerAlgorithm)
  return encodeSequence(tbs, outer, encodeBitString(await forgery.signer.sign(tbs)))
}

/** The parts of `certificate` that another one of the same subject and key repeats. */
export const twinOf = (
  certificate: Certificate,
): Pick<Forgery, 'subject' | 'publicKey' | 'notBefore' | 'notAfter'> => ({
  subject: certificate.subject.der,
  publicKey: certificate.publicKey,
  notBefore: certificate.notBefore,
  notAfter: certificate.notAfter,
})

const vector = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../vectors/identity/${name}.json`, import.meta.url), 'utf8'))

export interface EngineVector {
  readonly clusterId: string
  readonly nodeId: string
  readonly role: 'worker' | 'manager'
  readonly root: string
  readonly leaf: string
}
interface Kind {
  readonly keyType: string
  readonly pem: string
}
interface Refused {
  readonly what: string
  readonly pem: string
}

export const ENGINES = vector('docker-engine') as readonly EngineVector[]
export const CFSSL = vector('cfssl') as {
  readonly root: string
  readonly leaves: readonly string[]
  readonly csr: string
}
export const OPENSSL = vector('openssl') as {
  readonly requests: { readonly accepted: readonly Kind[]; readonly unsupported: readonly Refused[] }
  readonly roots: { readonly accepted: readonly Kind[]; readonly unsupported: readonly Refused[] }
}

/** Inside the validity of every vector. */
export const VECTOR_NOW = Date.UTC(2026, 11, 1)

/** PEM to DER, independently of the code under test. */
export const derOf = (pem: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/gu, ''), 'base64'))

/** Runs `act` and gives its code, or `ok`; anything thrown without a code is rethrown. */
export function codeOf(act: () => unknown): string {
  try {
    act()
    return 'ok'
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string' && error.name === 'IdentityError')
      return error.code
    throw error
  }
}
