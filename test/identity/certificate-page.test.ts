import { parseCertificate } from '@leastwise/identity'
import { expect, it } from 'vitest'
import { testCluster } from '../support/test-authority.ts'

const MANY = 200

it('a certificate that was read from DER changes neither with the bytes it came from nor with those read later', async () => {
  const cluster = await testCluster()
  const leaves = await Promise.all(Array.from({ length: 8 }, async () => (await cluster.issue()).certificate))
  const input = new Uint8Array(leaves[0]!.der)
  const first = parseCertificate(input)
  input.fill(0)
  const kept = Array.from({ length: MANY }, (_, index) => parseCertificate(leaves[index % leaves.length]!.der))
  expect(first.der).toEqual(leaves[0]!.der)
  for (const [index, each] of kept.entries()) {
    const { der, serial, subject, dnsNames } = leaves[index % leaves.length]!
    expect(each.der).toEqual(der)
    expect([each.serial, each.subject.attributes, each.dnsNames]).toEqual([serial, subject.attributes, dnsNames])
  }
})

it('goes on when a buffer was given away', async () => {
  const { certificate } = await (await testCluster()).issue()
  const { der, pem } = certificate
  const own = new Uint8Array(der)
  const given = parseCertificate(own)
  structuredClone(given.der, { transfer: [given.der.buffer] })
  expect(given.der.length).toBe(0)
  expect(parseCertificate(own).pem).toBe(pem)
})

it('certificates that were issued one after the other keep their bytes', async () => {
  const cluster = await testCluster()
  const issued = []
  for (let made = 0; made < MANY / 4; made += 1) {
    const { certificate } = await cluster.issue()
    issued.push({ certificate, der: Uint8Array.from(certificate.der), pem: certificate.pem })
  }
  for (const { certificate, der, pem } of issued) {
    expect(certificate.der).toEqual(der)
    expect(parseCertificate(pem).der).toEqual(der)
  }
})
