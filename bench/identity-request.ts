import 'reflect-metadata'
import { createCsr } from '@leastwise/identity'
import { createNodeKey, exportPrivateKey } from '@leastwise/identity/node'
import * as x509 from '@peculiar/x509'
import { type Contestant, race, type Standing } from './harness.ts'
import { NATIVE, P256 } from './identity-fixture.ts'
import { type Area, ratioRow } from './row.ts'

const BEGIN = '-----BEGIN CERTIFICATE REQUEST-----'

function check(pem: string): void {
  if (!pem.startsWith(BEGIN)) throw new Error('no request came out')
}

const ours = (exported: boolean): Contestant => ({
  name: 'leastwise',
  units: 1,
  run: async () => {
    const key = createNodeKey()
    check((await createCsr(key)).pem)
    if (exported && exportPrivateKey(key).length === 0) throw new Error('no key came out')
  },
})

/** The same by the library's own means. */
const library = (exported: boolean): Contestant => ({
  name: '@peculiar/x509, native Web Crypto',
  units: 1,
  run: async () => {
    const keys = await NATIVE.subtle.generateKey(P256, true, ['sign', 'verify'])
    const request = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: P256 }, NATIVE)
    check(request.toString('pem'))
    if (exported && (await NATIVE.subtle.exportKey('pkcs8', keys.privateKey)).byteLength === 0)
      throw new Error('no key came out')
  },
})

/** What a node does at each renewal: a fresh key, and a PEM request that it signs; then also with the key as PKCS #8. */
export const request: Area = async function* (effort) {
  for (const { job, exported, atLeast } of [
    { job: 'key and PEM request on a node', exported: false, atLeast: 8 },
    { job: 'key, PEM request and PKCS #8', exported: true, atLeast: 5 },
  ]) {
    const [mine, theirs] = (await race([ours(exported), library(exported)], effort)) as [Standing, Standing]
    yield ratioRow({ job, unit: 'requests/s', atLeast }, mine, theirs)
  }
}
