import { hash } from 'node:crypto'
import type { Csr, Signer, SyncSignatureVerifier } from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'

/** No signature that a certificate can have is of this length: a DER sequence of two numbers of 32 bytes is longer. */
const STAND_IN_BYTES = 32

const standIn = (publicKey: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> =>
  new Uint8Array(hash('sha256', Buffer.concat([publicKey, data]), 'buffer'))

/**
 * Signs for the simulation where P-256 would take too long: a hash over the public key and what is signed. Everybody can make one, so it
 * proves nothing outside of this test; but it tells one signer and one text from another as a signature does.
 */
export const standInSigner = ({ keyType, publicKey }: Signer): Signer => ({
  keyType,
  publicKey,
  sign: (data) => standIn(publicKey, data),
})

/** Verifies stand-ins, and everything else with the platform; requests in `proven` were verified when they were made. */
export const simulationVerifier = (proven: ReadonlySet<object>): SyncSignatureVerifier => ({
  verify: (key, algorithm, data, signature) => {
    if (signature.length === STAND_IN_BYTES)
      return standIn(key.publicKey, data).every((byte, at) => byte === signature[at])
    if (proven.has(key) && (key as Csr).tbs === data && (key as Csr).signature === signature) return true
    return systemVerifier.verify(key, algorithm, data, signature)
  },
})
