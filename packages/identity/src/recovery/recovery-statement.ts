import { signatureAlgorithmOf } from '../algorithms.ts'
import { IdentityError } from '../errors.ts'
import type { Csr } from '../issuing/csr.ts'
import type { Digest, SignatureVerifier, Signer, VerificationKey } from '../ports.ts'
import { RECOVERY_CHALLENGE_BYTES } from './recovery-challenge.ts'

/** What a node signs with its last key, to get its identity again. */
export interface RecoveryStatement {
  readonly clusterId: string
  readonly nodeId: string
  /** Serial of the last certificate, lower-case hexadecimal. */
  readonly serial: string
  /** {@link RECOVERY_CHALLENGE_BYTES} bytes, from the manager that is asked. */
  readonly challenge: Uint8Array
  /** The request for the new key: the identity goes to this key alone. */
  readonly csr: Csr
}

const utf8 = new TextEncoder()

// 64 bytes that no certificate and no request begins with; a TLS 1.2 client chooses the first 32 bytes of what a server signs.
const CONTEXT = utf8.encode('leastwise recovery statement v1: this key asks for its successor')

/** The bytes under the signature: 64 fixed letters, then each part behind its length in two bytes. */
function encodeStatement({ clusterId, nodeId, serial, challenge, csr }: RecoveryStatement, digest: Digest): Uint8Array {
  if (challenge.length !== RECOVERY_CHALLENGE_BYTES)
    throw new RangeError(`a challenge has ${RECOVERY_CHALLENGE_BYTES} bytes, got ${challenge.length}`)
  const parts = [utf8.encode(clusterId), utf8.encode(nodeId), utf8.encode(serial), challenge, digest.sha256(csr.der)]
  const bytes = new Uint8Array(parts.reduce((length, part) => length + 2 + part.length, CONTEXT.length))
  bytes.set(CONTEXT)
  let at = CONTEXT.length
  for (const part of parts) {
    if (part.length > 0xff_ff) throw new RangeError('a part of a recovery statement is longer than 65535 bytes')
    bytes[at] = part.length >>> 8
    bytes[at + 1] = part.length & 0xff
    bytes.set(part, at + 2)
    at += 2 + part.length
  }
  return bytes
}

/**
 * Signs a statement with the key whose certificate has expired.
 *
 * @throws RangeError if the challenge does not have {@link RECOVERY_CHALLENGE_BYTES} bytes.
 */
export async function signRecovery(
  statement: RecoveryStatement,
  options: { readonly signer: Signer; readonly digest: Digest },
): Promise<Uint8Array<ArrayBuffer>> {
  return await options.signer.sign(encodeStatement(statement, options.digest))
}

/**
 * Proves that the holder of `key` signed this very statement.
 *
 * @param key - The public key of the last certificate that the cluster recorded for the node, never one that came with the request.
 * @throws {@link IdentityError} `RECOVERY_PROOF_INVALID` if it did not.
 * @throws RangeError if the challenge does not have {@link RECOVERY_CHALLENGE_BYTES} bytes.
 */
export async function verifyRecovery(
  statement: RecoveryStatement,
  signature: Uint8Array,
  options: { readonly key: VerificationKey; readonly verifier: SignatureVerifier; readonly digest: Digest },
): Promise<void> {
  const { key, verifier, digest } = options
  const signed = encodeStatement(statement, digest)
  if (await verifier.verify(key, signatureAlgorithmOf(key.keyType), signed, signature)) return
  throw new IdentityError(
    'RECOVERY_PROOF_INVALID',
    'recovery is not signed by the key of the last certificate of the node; use that key, or join again with a token',
  )
}
