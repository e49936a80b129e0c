import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Certificate } from '@leastwise/identity'
import { expect, it } from 'vitest'
import { forgeries } from '../identity/intermediate-forgeries.ts'
import { issuingManager } from '../identity/intermediate-support.ts'
import { testCluster } from '../support/test-authority.ts'
import { describePeer, needs } from './support/needs.ts'
import { openssl } from './support/openssl.ts'
import { stateDirectory } from './support/orchestrator.ts'

describePeer('openssl and issuing intermediates', needs('openssl'), () => {
  it('accepts what an intermediate issues, at its strictest, and shows what it is bound to', async () => {
    using directory = stateDirectory()
    const cluster = await testCluster()
    const { intermediate, issue } = await issuingManager({ cluster })
    const file = (name: string, ...chain: readonly Certificate[]): string => {
      const path = join(directory.path, name)
      writeFileSync(path, chain.map(({ pem }) => pem).join(''))
      return path
    }
    const root = file('root.pem', cluster.root)
    const middle = file('intermediate.pem', intermediate)
    const leaf = file('leaf.pem', await issue())
    for (const purpose of ['sslclient', 'sslserver']) {
      const strict = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', root]
      expect(await openssl(...strict, '-untrusted', middle, leaf)).toEqual({ code: 0, output: `${leaf}: OK` })
      expect((await openssl(...strict, leaf)).code).not.toBe(0)
    }
    const shown = (await openssl('x509', '-in', middle, '-noout', '-ext', 'nameConstraints,basicConstraints,keyUsage'))
      .output
    expect(shown).toContain('X509v3 Name Constraints: critical')
    expect(shown).toContain(`DNS:swarm-worker`)
    expect(shown).toContain(`DNS:${cluster.clusterId}`)
    expect(shown).toContain('CA:TRUE, pathlen:0')
    expect(shown).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/)
  })

  it('refuses what the table of intermediates says that it refuses', async () => {
    using directory = stateDirectory()
    const cluster = await testCluster()
    const root = join(directory.path, 'root.pem')
    writeFileSync(root, cluster.root.pem)
    for (const { name, chain, openssl: expected } of await forgeries(cluster)) {
      const [leaf, ...rest] = chain
      const leafPath = join(directory.path, 'leaf.pem')
      const restPath = join(directory.path, 'rest.pem')
      writeFileSync(leafPath, leaf?.pem ?? '')
      writeFileSync(restPath, rest.map(({ pem }) => pem).join(''))
      const { code, output } = await openssl(
        ...['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', root, '-untrusted', restPath, leafPath],
      )
      expect({ name, output, verdict: code === 0 ? 'accepts' : 'refuses' }).toMatchObject({ name, verdict: expected })
    }
  })
})
