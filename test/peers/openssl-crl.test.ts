// Loads what the library of the test's own certificates needs.
import '@leastwise/identity/x509'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCrl, type Eviction, formatCertificateChain, MAX_CRL_ENTRIES } from '@leastwise/identity'
import { expect, it } from 'vitest'
import { crossSigned } from '../identity/cross-signed.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testCluster } from '../support/test-authority.ts'
import { describePeer, needs } from './support/needs.ts'
import { openssl } from './support/openssl.ts'

const HOUR_MS = 3_600_000
const now = Math.floor(Date.now() / 1000) * 1000
const times = { number: 4711, thisUpdate: now - 1000, nextUpdate: now + HOUR_MS }
const evicted = (serial: string, reason: Eviction['reason'] = 'key-compromise', issuerKeyId: string | null = null) =>
  ({ kind: 'certificate', serial, issuerKeyId, reason, at: now - HOUR_MS, until: now + 90 * 24 * HOUR_MS }) as const

function files() {
  const directory = tempDir()
  return (name: string, text: string): string => {
    const path = join(directory, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
}

describePeer('openssl and a CRL of ours', needs('openssl'), () => {
  it('reads every part of it, and vouches for its signature', async () => {
    const cluster = await testCluster({ now })
    const file = files()
    const root = file('root.pem', cluster.root.pem)
    const crl = await createCrl(
      cluster.authority,
      [evicted('4a01'), evicted('4a02', 'superseded'), evicted('4a03', 'unspecified')],
      times,
    )
    const list = file('list.pem', crl.pem)
    const { code, output } = await openssl('crl', '-in', list, '-noout', '-text', '-CAfile', root, '-verify')
    expect(code).toBe(0)
    for (const part of [
      'verify OK',
      'Version 2 (0x1)',
      'ecdsa-with-SHA256',
      'Issuer: CN = swarm-ca',
      'X509v3 Authority Key Identifier',
      'X509v3 CRL Number: \n                4711',
      'Serial Number: 4A01',
      'Key Compromise',
      'Superseded',
    ])
      expect(output).toContain(part)
    expect(output.match(/CRL Reason Code/g)).toHaveLength(2)
    const other = file('other.pem', (await testCluster({ now })).root.pem)
    expect((await openssl('crl', '-in', list, '-noout', '-CAfile', other, '-verify')).output).not.toContain('verify OK')
  })

  it('refuses who is on it, and nobody else', async () => {
    const cluster = await testCluster({ now })
    const [good, bad] = [await cluster.issue(), await cluster.issue({ role: 'manager' })]
    const file = files()
    const root = file('root.pem', cluster.root.pem)
    const list = file('list.pem', (await createCrl(cluster.authority, [evicted(bad.certificate.serial)], times)).pem)
    const check = async (pem: string) =>
      await openssl('verify', '-x509_strict', '-crl_check', '-CAfile', root, '-CRLfile', list, file('leaf.pem', pem))
    expect((await check(good.certificateChain)).code).toBe(0)
    const refused = await check(bad.certificateChain)
    expect(refused.code).not.toBe(0)
    expect(refused.output).toContain('certificate revoked')
    const empty = file('empty.pem', (await createCrl(cluster.authority, [], times)).pem)
    const leaf = file('bad.pem', bad.certificateChain)
    expect((await openssl('verify', '-crl_check', '-CAfile', root, '-CRLfile', empty, leaf)).code).toBe(0)
  })

  it('takes one of the root and one of an intermediate together: each refuses what its issuer issued', async () => {
    const cluster = await testCluster({ now })
    // An issuer below the root that may sign CRLs, as an imported one has that right.
    const below = await testCluster({ clusterId: cluster.clusterId, commonName: 'swarm-ca-3', now })
    const certificate = await crossSigned(below, cluster)
    const issued = await below.issue()
    const file = files()
    const root = file('root.pem', cluster.root.pem)
    const above = file('above.pem', formatCertificateChain([certificate]))
    const leaf = file('leaf.pem', issued.certificateChain)
    const check = async (ofRoot: readonly Eviction[], ofIntermediate: readonly Eviction[]): Promise<string> => {
      const lists = [
        await createCrl(cluster.authority, ofRoot, times),
        await createCrl(below.authority, ofIntermediate, times),
      ]
      const crls = file('lists.pem', lists.map(({ pem }) => pem).join(''))
      const sources = ['-CAfile', root, '-untrusted', above, '-CRLfile', crls]
      return (await openssl('verify', '-crl_check_all', ...sources, leaf)).output
    }
    const rootId = Buffer.from(cluster.root.subjectKeyId!).toString('hex')
    expect(await check([], [])).toBe(`${leaf}: OK`)
    expect(await check([], [evicted(issued.certificate.serial)])).toContain('certificate revoked')
    expect(await check([evicted(certificate.serial)], [])).toContain('certificate revoked')
    // What another issuer issued is not on this one's list.
    expect(await check([], [evicted(issued.certificate.serial, 'superseded', rootId)])).toBe(`${leaf}: OK`)
  })

  it('reads the largest one', async () => {
    const cluster = await testCluster({ now })
    const many = Array.from({ length: MAX_CRL_ENTRIES }, (_, at) =>
      evicted(`4a${(0x10_00_00_00 + at).toString(16)}${'5b'.repeat(15)}`),
    )
    const file = files()
    const list = file('large.pem', (await createCrl(cluster.authority, many, times)).pem)
    const root = file('root.pem', cluster.root.pem)
    const { output } = await openssl('crl', '-in', list, '-noout', '-CAfile', root, '-verify')
    expect(output).toContain('verify OK')
  })
})
