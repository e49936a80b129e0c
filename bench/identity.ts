import 'reflect-metadata'
import { createPrivateKey, KeyObject, randomBytes, sign, verify } from 'node:crypto'
import {
  createCsr,
  DEFAULT_LIFETIME_MS,
  issueCertificate,
  openAuthority,
  parseCertificate,
  parseCsr,
} from '@leastwise/identity'
import { createNodeKey, openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import * as x509 from '@peculiar/x509'
import { type Contestant, race, type Standing } from './harness.ts'
import {
  CLUSTER,
  createRoot,
  HOUR_MS,
  NATIVE,
  NODE,
  NOW,
  P256,
  REQUESTS,
  ROLE,
  turns,
  WORKER,
} from './identity-fixture.ts'
import { type Area, ratioRow } from './row.ts'

async function ours(root: x509.X509Certificate, pkcs8: Uint8Array, pems: readonly string[]): Promise<Contestant> {
  const parts = { certificate: parseCertificate(new Uint8Array(root.rawData)), signer: openSigner(pkcs8) }
  const authority = await openAuthority(parts, { verifier: systemVerifier })
  const next = turns(pems)
  return {
    name: 'leastwise',
    units: 1,
    run: async () => {
      const options = { random: systemRandom, now: NOW, verifier: systemVerifier, digest: systemDigest }
      const certificate = await issueCertificate(authority, parseCsr(next()), WORKER, options)
      if (!certificate.pem.startsWith('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate came out')
    },
  }
}

/** The same certificate by the library's own means: parsed, proven, built, signed, printed. */
function library(crypto: Crypto, root: x509.X509Certificate, keys: CryptoKeyPair, pems: readonly string[]): Contestant {
  const next = turns(pems)
  return {
    name: '@peculiar/x509, native Web Crypto',
    units: 1,
    run: async () => {
      const request = new x509.Pkcs10CertificateRequest(next())
      if (!(await request.verify(crypto))) throw new Error('the request is not signed by its key')
      const certificate = await x509.X509CertificateGenerator.create(
        {
          subject: `CN=${NODE}, OU=${ROLE}, O=${CLUSTER}`,
          issuer: root.subject,
          serialNumber: `40${randomBytes(19).toString('hex')}`,
          notBefore: new Date(NOW - HOUR_MS),
          notAfter: new Date(NOW + DEFAULT_LIFETIME_MS),
          publicKey: request.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: P256,
          extensions: [
            new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
            new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
            new x509.BasicConstraintsExtension(false, undefined, true),
            await x509.SubjectKeyIdentifierExtension.create(request.publicKey, false, crypto),
            await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, crypto),
            new x509.SubjectAlternativeNameExtension([
              { type: 'dns', value: ROLE },
              { type: 'dns', value: NODE },
            ]),
          ],
        },
        crypto,
      )
      if (!certificate.toString('pem').startsWith('-----BEGIN CERTIFICATE-----'))
        throw new Error('no certificate came out')
    },
  }
}

/**
 * What no issuer can save: importing a key that was never seen, checking one signature, making one. As a raw point is how the platform imports a key
 * the fastest; from a JWK or from DER this floor would lie lower.
 */
function floor(signingKey: KeyObject, pems: readonly string[]): Contestant {
  const next = turns(
    pems.map((pem) => {
      const { tbs, signature, keyBits } = parseCsr(pem)
      return { point: new Uint8Array(keyBits), tbs: new Uint8Array(tbs), signature: new Uint8Array(signature) }
    }),
  )
  const body = randomBytes(420) // about what a certificate's signed part has
  return {
    name: 'key import + verify + sign alone',
    units: 1,
    run: async () => {
      const { point, tbs, signature } = next()
      const key = await NATIVE.subtle.importKey('raw', point, P256, true, ['verify'])
      if (!verify('sha256', tbs, KeyObject.from(key), signature))
        throw new Error('the request is not signed by its key')
      sign('sha256', body, signingKey)
    },
  }
}

/** PEM request in, proof of possession checked, PEM certificate out; one thread. */
export const issue: Area = async function* (effort) {
  const crypto = NATIVE
  const { root, keys } = await createRoot(crypto)
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', keys.privateKey))
  const signingKey = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  const pems: string[] = []
  for (let i = 0; i < REQUESTS; i += 1) pems.push((await createCsr(createNodeKey())).pem)

  const contestants = [await ours(root, pkcs8, pems), library(crypto, root, keys, pems), floor(signingKey, pems)]
  const [mine, theirs, least] = (await race(contestants, effort)) as [Standing, Standing, Standing]
  const job = 'issue: PEM request to PEM certificate'
  yield ratioRow({ job, unit: 'certificates/s', atLeast: 12 }, mine, theirs)
  yield ratioRow({ job, unit: 'certificates/s', atLeast: 0.85 }, mine, least)
}
