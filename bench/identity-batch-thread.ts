import { parentPort, workerData } from 'node:worker_threads'
import { issueCertificate, openAuthority, parseCertificate, parseCsr } from '@leastwise/identity'
import { openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { NOW, turns, WORKER } from './identity-fixture.ts'

/** What a thread is given once; it issues as many certificates as a message says, and says when it is done. */
export interface ThreadParts {
  readonly certificate: Uint8Array
  readonly pkcs8: Uint8Array
  readonly pems: readonly string[]
}

const { certificate, pkcs8, pems } = workerData as ThreadParts
const parts = { certificate: parseCertificate(certificate), signer: openSigner(pkcs8) }
const authority = await openAuthority(parts, { verifier: systemVerifier })
const next = turns(pems)

async function issue(count: number): Promise<void> {
  const options = { random: systemRandom, now: NOW, verifier: systemVerifier, digest: systemDigest }
  for (let made = 0; made < count; made += 1) {
    const { pem } = await issueCertificate(authority, parseCsr(next()), WORKER, options)
    if (!pem.startsWith('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate came out')
  }
}

parentPort?.on('message', (count: number) => {
  void issue(count).then(() => {
    parentPort?.postMessage(count)
  })
})
