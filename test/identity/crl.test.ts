import '@leastwise/identity/x509'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { createCrl, type Eviction, MAX_CRL_ENTRIES } from '@leastwise/identity'
import { clientContextOptions, serverContextOptions } from '@leastwise/identity/node'
import { X509Certificate, X509Crl } from '@peculiar/x509'
import { beforeAll, expect, it, onTestFinished } from 'vitest'
import { type TestCluster, type TestNode, testCluster, testNodeId } from '../support/test-authority.ts'
import { identityOf } from './tls-support.ts'

const HOUR_MS = 3_600_000
const now = Math.floor(Date.now() / 1000) * 1000
let cluster: TestCluster
let manager: TestNode
let worker: TestNode
beforeAll(async () => {
  cluster = await testCluster({ now })
  ;[manager, worker] = [await cluster.issue({ role: 'manager' }), await cluster.issue()]
})

const evicted = (serial: string, more: Partial<Extract<Eviction, { kind: 'certificate' }>> = {}): Eviction => ({
  kind: 'certificate',
  serial,
  issuerKeyId: null,
  reason: 'key-compromise',
  at: now - HOUR_MS,
  until: now + 90 * HOUR_MS,
  ...more,
})
const times = { number: 7, thisUpdate: now, nextUpdate: now + HOUR_MS }

it('is a CRL of version 2 as the library reads it, signed by its issuer', async () => {
  const keyId = Buffer.from(cluster.root.subjectKeyId!).toString('hex')
  const evictions: readonly Eviction[] = [
    evicted(worker.certificate.serial, { issuerKeyId: keyId }),
    evicted('05', { reason: 'unspecified' }),
    evicted('ff'.repeat(19), { reason: 'privilege-withdrawn' }),
  ]
  const crl = await createCrl(cluster.authority, evictions, times)
  const read = new X509Crl(crl.der)
  expect(read.issuer).toBe('CN=swarm-ca')
  expect(read.thisUpdate.getTime()).toBe(now)
  expect(read.nextUpdate?.getTime()).toBe(now + HOUR_MS)
  const entries = read.entries.map(({ serialNumber, revocationDate, reason }) => ({
    serialNumber,
    at: revocationDate.getTime(),
    reason,
  }))
  expect(entries).toEqual(
    [
      { serialNumber: '05', at: now - HOUR_MS, reason: undefined },
      { serialNumber: worker.certificate.serial, at: now - HOUR_MS, reason: 1 },
      { serialNumber: `00${'ff'.repeat(19)}`, at: now - HOUR_MS, reason: 9 },
    ].map((each) => ({ ...each, serialNumber: each.serialNumber.replace(/^00/, '') })),
  )
  expect(await read.verify({ publicKey: new X509Certificate(cluster.root.der) })).toBe(true)
  expect(read.extensions.map(({ type, critical }) => [type, critical])).toEqual([
    ['2.5.29.35', false],
    ['2.5.29.20', false],
  ])
  expect(crl.pem).toMatch(/^-----BEGIN X509 CRL-----\n[A-Za-z0-9+/=\n]+\n-----END X509 CRL-----\n$/)
  expect(crl.entries).toBe(3)
})

it('lists what its issuer issued, or what nobody knows the issuer of; each once, nothing that has ended, and no nodes', async () => {
  const crl = await createCrl(
    cluster.authority,
    [
      evicted('05', { issuerKeyId: 'aa'.repeat(20) }),
      evicted('06'),
      evicted('06'),
      evicted('07', { until: now - 1000 }),
      { kind: 'node', nodeId: testNodeId(1), reason: 'superseded', at: now - HOUR_MS, until: now + HOUR_MS },
    ],
    times,
  )
  expect(new X509Crl(crl.der).entries.map(({ serialNumber }) => serialNumber)).toEqual(['06'])
  const none = await createCrl(cluster.authority, [], { ...times, number: 2 ** 40 })
  expect(new X509Crl(none.der).entries).toHaveLength(0)
})

it('is judged by TLS itself: a server that is given it refuses the certificate', async () => {
  const crl = await createCrl(cluster.authority, [evicted(worker.certificate.serial)], times)
  const options = { ...serverContextOptions(identityOf(manager)), rejectUnauthorized: true }
  const attempt = async (lists: readonly string[]): Promise<boolean> => {
    const server = createServer({ ...options, ...(lists.length === 0 ? {} : { crl: [...lists] }) })
    onTestFinished(() => {
      server.close()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const refused = once(server, 'tlsClientError').then(() => false)
    const accepted = once(server, 'secureConnection').then(() => true)
    const client = connect({
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      ...clientContextOptions(identityOf(worker)),
    })
    client.on('error', () => undefined)
    const answer = await Promise.race([refused, accepted])
    client.destroy()
    return answer
  }
  const other = await createCrl(cluster.authority, [evicted('05')], times)
  expect(await attempt([other.pem])).toBe(true)
  expect(await attempt([crl.pem])).toBe(false)
})

it('is refused to an authority that may not sign it, and beyond its limits', async () => {
  const unfit = { ...cluster.authority, certificate: { ...manager.certificate, keyUsage: ['keyCertSign'] } as never }
  await expect(createCrl(unfit, [], times)).rejects.toThrowCode('CRL_ISSUER_UNFIT')
  const many = Array.from({ length: MAX_CRL_ENTRIES + 1 }, (_, at) => evicted((0x10_00_00 + at).toString(16)))
  await expect(createCrl(cluster.authority, many, times)).rejects.toThrowCode('CRL_TOO_LARGE')
  for (const wrong of [
    { ...times, number: -1 },
    { ...times, number: 0.5 },
    { ...times, nextUpdate: now },
    { ...times, nextUpdate: Number.NaN },
    // The calendar of certificates ends with the year 9999.
    { ...times, nextUpdate: Date.UTC(10_000, 0, 1) },
  ])
    await expect(createCrl(cluster.authority, [], wrong)).rejects.toThrow(RangeError)
})
