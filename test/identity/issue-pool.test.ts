import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import {
  type Authority,
  allowShortLifetime,
  createCsr,
  DEFAULT_LIFETIME_MS,
  type NodeId,
  openAuthority,
  verifyPeerSync,
} from '@leastwise/identity'
import {
  type BatchRequest,
  type BatchResult,
  createIssuePool,
  createNodeKey,
  exportPrivateKey,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { type TestCluster, testCluster, testNodeId } from '../support/test-authority.ts'
import { HOUR, issuingManager } from './intermediate-support.ts'

const SIGNAL = new AbortController().signal
const KINDS = [
  { name: 'this thread', workers: 0 },
  { name: 'two threads', workers: 2 },
] as const

let cluster: TestCluster
let csr: string
beforeAll(async () => {
  cluster = await testCluster()
  csr = (await createCsr(createNodeKey())).pem
})

const request = (nodeId: NodeId, from: string | Uint8Array = csr): BatchRequest => ({
  csr: from,
  grant: { nodeId, clusterId: cluster.clusterId, role: 'worker', lifetimeMs: DEFAULT_LIFETIME_MS },
})
const many = (count: number): readonly BatchRequest[] =>
  Array.from({ length: count }, (_, index) => request(testNodeId(index)))
const pool = (workers: number, authority: Authority = cluster.authority, maxQueued?: number) => {
  const limit = maxQueued === undefined ? {} : { maxQueued }
  const made = createIssuePool(authority, { workers, random: systemRandom, ...limit })
  onTestFinished(made.close)
  return made
}
const namesOf = (results: readonly BatchResult[]): readonly (string | undefined)[] =>
  results.map(({ certificate }) => certificate?.dnsNames[1])
const namesAsked = (requests: readonly BatchRequest[]): readonly string[] => requests.map(({ grant }) => grant.nodeId)

describe.each(KINDS)('a pool of $name', ({ workers }) => {
  it('issues what one at a time would, in the order of the requests', async () => {
    const issuer = pool(workers)
    expect(issuer.workers).toBe(workers)
    const requests = many(100)
    const { now } = cluster
    const results = await issuer.issue(requests, { now, signal: SIGNAL })
    expect(namesOf(results)).toEqual(namesAsked(requests))
    expect(new Set(results.map(({ certificate }) => certificate?.serial)).size).toBe(100)
    for (const { certificate } of results) {
      const options = {
        roots: [cluster.root],
        clusterId: cluster.clusterId,
        now,
        verifier: systemVerifier,
        digest: systemDigest,
      }
      expect(verifyPeerSync([certificate!], options).role).toBe('worker')
      expect(certificate?.notAfter).toBe(Math.floor((now + DEFAULT_LIFETIME_MS) / 1000) * 1000)
    }
  })

  it('says of each request why it was refused, and issues the others', async () => {
    const forged = await createCsr(createNodeKey())
    const broken = new Uint8Array(forged.der)
    broken[broken.length - 1]! ^= 1
    const { grant } = request(testNodeId(4))
    const results = await pool(workers).issue(
      [
        request(testNodeId(1)),
        request(testNodeId(2), 'no request'),
        request(testNodeId(3), broken),
        { csr, grant: { ...grant, lifetimeMs: 60_000 } },
        { csr, grant: { ...grant, lifetimeMs: 60_000, [allowShortLifetime]: true } },
        { csr, grant: { ...grant, lifetimeMs: 100 * 365 * 86_400_000 } },
        { csr, grant: { ...grant, lifetimeMs: Number.NaN } },
        request(testNodeId(7), forged.der),
      ],
      { now: cluster.now, signal: SIGNAL },
    )
    expect(results.map(({ error }) => (error as { readonly code?: string } | undefined)?.code ?? error?.name)).toEqual([
      undefined,
      'CSR_MALFORMED',
      'CSR_SIGNATURE_INVALID',
      'LIFETIME_TOO_SHORT',
      undefined,
      'LIFETIME_EXCEEDS_ISSUER',
      'RangeError',
      undefined,
    ])
  })

  it('takes serial numbers from the random source that it was given', async () => {
    const serials = async () => {
      const issuer = createIssuePool(cluster.authority, { workers, random: seededRandom(7) })
      onTestFinished(issuer.close)
      const results = await issuer.issue(many(40), { now: cluster.now, signal: SIGNAL })
      return results.map(({ certificate }) => certificate?.serial)
    }
    expect(await serials()).toEqual(await serials())
  })

  it('refuses a batch for which there is no room, and has room again later', async () => {
    const issuer = pool(workers, cluster.authority, 50)
    const options = { now: cluster.now, signal: SIGNAL }
    const first = issuer.issue(many(40), options)
    expect(issuer.queued).toBe(40)
    await expect(issuer.issue(many(11), options)).rejects.toThrowCode('ISSUER_BUSY')
    expect(await first).toHaveLength(40)
    expect(issuer.queued).toBe(0)
    expect(await issuer.issue(many(50), options)).toHaveLength(50)
  })

  it('stops with the reason of the signal', async () => {
    const issuer = pool(workers)
    const stop = new AbortController()
    const reason = new Error('the host stops')
    const options = { now: cluster.now, signal: stop.signal }
    const batch = issuer.issue(many(400), options)
    stop.abort(reason)
    await expect(batch).rejects.toBe(reason)
    await expect(issuer.issue(many(1), options)).rejects.toBe(reason)
    expect(issuer.queued).toBe(0)
    expect(await issuer.issue(many(20), { now: cluster.now, signal: SIGNAL })).toHaveLength(20)
  })

  it('finishes what it has when it is closed, and goes on alone', async () => {
    const issuer = createIssuePool(cluster.authority, { workers, random: systemRandom })
    const requests = many(200)
    const batch = issuer.issue(requests, { now: cluster.now, signal: SIGNAL })
    await issuer[Symbol.asyncDispose]()
    expect(issuer.workers).toBe(0)
    expect(namesOf(await batch)).toEqual(namesAsked(requests))
    expect(await issuer.issue(many(3), { now: cluster.now, signal: SIGNAL })).toHaveLength(3)
  })

  it('issues what many calls of one turn ask for, each with its own time, and tells each its own', async () => {
    const issuer = pool(workers)
    const answers = await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const asked = request(testNodeId(index), index % 7 === 3 ? 'no request' : csr)
        const [result] = await issuer.issue([asked], { now: cluster.now + index * 1000, signal: SIGNAL })
        return result
      }),
    )
    for (const [index, result] of answers.entries()) {
      if (index % 7 === 3) {
        expect(result?.error).toMatchObject({ code: 'CSR_MALFORMED' })
        continue
      }
      expect(result?.certificate?.dnsNames[1]).toBe(testNodeId(index))
      const end = cluster.now + index * 1000 + DEFAULT_LIFETIME_MS
      expect(result?.certificate?.notAfter).toBe(Math.floor(end / 1000) * 1000)
    }
    expect(issuer.queued).toBe(0)
  })

  it('calls off one batch and not its neighbours', async () => {
    const issuer = pool(workers)
    const stop = new AbortController()
    const reason = new Error('that host has gone')
    const first = issuer.issue(many(30), { now: cluster.now, signal: SIGNAL })
    const second = issuer.issue(many(300), { now: cluster.now, signal: stop.signal })
    const third = issuer.issue(many(30), { now: cluster.now, signal: SIGNAL })
    stop.abort(reason)
    await expect(second).rejects.toBe(reason)
    for (const batch of [first, third]) expect(namesOf(await batch)).toEqual(namesAsked(many(30)))
    expect(issuer.queued).toBe(0)
  })

  it('a grant of no sensible type is refused, and what comes later is not', async () => {
    const issuer = pool(workers)
    const wrong = { csr, grant: { ...request(testNodeId(1)).grant, nodeId: (() => 'a') as unknown as NodeId } }
    const [refused] = await issuer.issue([wrong], { now: cluster.now, signal: SIGNAL })
    expect(refused?.error).toBeInstanceOf(Error)
    expect(await issuer.issue(many(3), { now: cluster.now, signal: SIGNAL })).toHaveLength(3)
    expect(issuer.queued).toBe(0)
  })

  it('reads a request that is a view of a larger buffer', async () => {
    const { der } = await createCsr(createNodeKey())
    const large = new Uint8Array(1 << 16)
    large.set(der, 1000)
    const asked = request(testNodeId(1), large.subarray(1000, 1000 + der.length))
    const results = await pool(workers).issue([asked], { now: cluster.now, signal: SIGNAL })
    expect(namesOf(results)).toEqual([testNodeId(1)])
  })

  it('takes an empty batch', async () => {
    expect(await pool(workers).issue([], { now: cluster.now, signal: SIGNAL })).toEqual([])
  })
})

it('issues below an intermediate, whose chain every thread opens', async () => {
  const { authority, cluster: own, intermediate } = await issuingManager()
  const grant = { nodeId: testNodeId(1), clusterId: own.clusterId, role: 'worker', lifetimeMs: 2 * HOUR } as const
  const requests = [
    { csr, grant },
    { csr, grant: { ...grant, role: 'manager' } },
  ] as const
  const [worker, manager] = await pool(1, authority).issue(requests, { now: own.now, signal: SIGNAL })
  expect(worker?.certificate?.issuer.der).toEqual(intermediate.subject.der)
  expect(manager?.error).toMatchObject({ code: 'GRANT_OUTSIDE_ISSUER' })
})

it('what a thread had when it died is issued by those that are left', async () => {
  const [own, other] = [await testCluster(), await testCluster()]
  // A thread that is given a certificate of another key refuses it and ends.
  Object.assign(own.authority, { certificate: other.root })
  const issuer = pool(2, own.authority)
  const requests = many(100)
  expect(namesOf(await issuer.issue(requests, { now: own.now, signal: SIGNAL }))).toEqual(namesAsked(requests))
  expect(issuer.workers).toBe(0)
})

it('a key that is not in this process stays where it is: this thread issues', async () => {
  const { signer } = cluster.authority
  const elsewhere = {
    keyType: signer.keyType,
    publicKey: signer.publicKey,
    sign: async (data: Uint8Array) => await signer.sign(data),
  }
  const authority = await openAuthority({ certificate: cluster.root, signer: elsewhere }, { verifier: systemVerifier })
  const issuer = pool(2, authority)
  expect(issuer.workers).toBe(0)
  expect(namesOf(await issuer.issue(many(20), { now: cluster.now, signal: SIGNAL }))).toEqual(namesAsked(many(20)))
})

it('nothing of the key is in the pool or in its refusals', async () => {
  const issuer = pool(1)
  const key = Buffer.from(cluster.rootKey).toString('hex')
  expect(exportPrivateKey(cluster.authority.signer)).toEqual(cluster.rootKey)
  const [refused] = await issuer.issue([request(testNodeId(1), 'no request')], { now: cluster.now, signal: SIGNAL })
  const text = inspect([issuer, refused], { depth: 9, showHidden: true })
  for (let at = 0; at + 16 <= key.length; at += 16) expect(text.includes(key.slice(at, at + 16))).toBe(false)
})

it('while this thread issues, others have their turns of it', async () => {
  const issuer = pool(0)
  let left = 100
  const answeredBy: number[] = []
  const calls = many(left).map(async (asked) => {
    await issuer.issue([asked], { now: cluster.now, signal: SIGNAL })
    left -= 1
  })
  while (left > 0) {
    const before = left
    await turn()
    if (left < before) answeredBy.push(before - left)
  }
  await Promise.all(calls)
  expect(answeredBy.reduce((sum, each) => sum + each, 0)).toBe(100)
  expect(Math.max(...answeredBy)).toBeLessThanOrEqual(8)
})

it('numbers out of range are mistakes', () => {
  for (const workers of [-1, 1.5, 65])
    expect(() => createIssuePool(cluster.authority, { workers, random: systemRandom })).toThrow(RangeError)
  expect(() => createIssuePool(cluster.authority, { workers: 0, random: systemRandom, maxQueued: 0 })).toThrow(
    RangeError,
  )
})
