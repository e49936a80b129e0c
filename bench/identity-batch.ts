import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
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
import type { ThreadParts } from './identity-batch-thread.ts'
import { createRoot, NATIVE, NOW, REQUESTS, WORKER } from './identity-fixture.ts'
import { type Area, ratioRow } from './row.ts'

/** What a manager has to do when many nodes come back at once. */
const BATCH = 1024

const THREADS = 2

/** As many certificates on threads that need nothing of each other or of this one: what two cores of this machine give at the moment. */
function aloneOn(threads: readonly Worker[]): Contestant {
  return {
    name: `${threads.length} threads that share nothing`,
    units: BATCH,
    run: async () => {
      await Promise.all(
        threads.map(async (thread) => {
          thread.postMessage(BATCH / threads.length)
          await once(thread, 'message')
        }),
      )
    },
  }
}

/** PEM requests in, PEM certificates out, on one thread beside this one and on two. */
export const batch: Area = async function* (effort) {
  const { root, keys } = await createRoot(NATIVE)
  const pkcs8 = new Uint8Array(await NATIVE.subtle.exportKey('pkcs8', keys.privateKey))
  const certificate = new Uint8Array(root.rawData)
  const parts = { certificate: parseCertificate(certificate), signer: openSigner(pkcs8) }
  const authority = await openAuthority(parts, { verifier: systemVerifier })
  const pems: string[] = []
  for (let made = 0; made < REQUESTS; made += 1) pems.push((await createCsr(createNodeKey())).pem)
  const requests: readonly BatchRequest[] = Array.from({ length: BATCH }, (_, index) => ({
    csr: pems[index % REQUESTS]!,
    grant: WORKER,
  }))
  const { signal } = new AbortController()

  const pools = [1, THREADS].map((workers) => ({
    workers,
    pool: createIssuePool(authority, { workers, random: systemRandom }),
  }))
  const given: ThreadParts = { certificate, pkcs8, pems }
  const file = join(import.meta.dirname, 'identity-batch-thread.js')
  const threads = Array.from({ length: THREADS }, () => new Worker(file, { workerData: given }))
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
    const standings = await race([...contestants, aloneOn(threads)], effort)
    const [one, two, alone] = standings as [Standing, Standing, Standing]
    const job = `issue ${BATCH} at once: two workers`
    yield ratioRow({ job, unit: 'certificates/s', atLeast: 1.8 }, two, one)
    yield ratioRow({ job, unit: 'certificates/s', atLeast: 0.9 }, two, alone)
  } finally {
    for (const { pool } of pools) await pool.close()
    for (const thread of threads) await thread.terminate()
  }
}
