import { createCsr, openAuthority, parseCertificate } from '@leastwise/identity'
import {
  type BatchRequest,
  createIssuePool,
  createNodeKey,
  openSigner,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { type Contestant, race, type Standing } from './harness.ts'
import { createRoot, NATIVE, NOW, REQUESTS, WORKER } from './identity-fixture.ts'
import { type Area, ratioRow } from './row.ts'

/** What a manager has to do when many nodes come back at once. */
const BATCH = 1024

/** PEM requests in, PEM certificates out, on one thread beside this one and on two. */
export const batch: Area = async function* (effort) {
  const { root, keys } = await createRoot(NATIVE)
  const signer = openSigner(new Uint8Array(await NATIVE.subtle.exportKey('pkcs8', keys.privateKey)))
  const parts = { certificate: parseCertificate(new Uint8Array(root.rawData)), signer }
  const authority = await openAuthority(parts, { verifier: systemVerifier })
  const pems: string[] = []
  for (let made = 0; made < REQUESTS; made += 1) pems.push((await createCsr(createNodeKey())).pem)
  const requests: readonly BatchRequest[] = Array.from({ length: BATCH }, (_, index) => ({
    csr: pems[index % REQUESTS]!,
    grant: WORKER,
  }))
  const { signal } = new AbortController()

  const pools = [1, 2].map((workers) => ({
    workers,
    pool: createIssuePool(authority, { workers, random: systemRandom }),
  }))
  try {
    const contestants = pools.map(
      ({ workers, pool }): Contestant => ({
        name: workers === 1 ? 'one worker' : `${workers} workers`,
        units: BATCH,
        run: async () => {
          for (const { certificate } of await pool.issue(requests, { now: NOW, signal }))
            if (certificate?.pem.startsWith('-----BEGIN CERTIFICATE-----') !== true)
              throw new Error('no certificate came out')
        },
      }),
    )
    const [one, two] = (await race(contestants, effort)) as [Standing, Standing]
    yield ratioRow({ job: `issue ${BATCH} at once: two workers`, unit: 'certificates/s', atLeast: 1.8 }, two, one)
  } finally {
    for (const { pool } of pools) await pool.close()
  }
}
