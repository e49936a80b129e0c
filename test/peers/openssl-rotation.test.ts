import { createPrivateKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { type Certificate, formatCertificateChain } from '@leastwise/identity'
import { serverContextOptions } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { crossed, dockerCrossed, rootOfCluster } from '../identity/rotation-support.ts'
import { type TestCluster, testCluster } from '../support/test-authority.ts'
import { describePeer, needs } from './support/needs.ts'
import { openssl } from './support/openssl.ts'
import { stateDirectory } from './support/orchestrator.ts'

interface Shapes {
  readonly one: TestCluster
  readonly two: TestCluster
  readonly three: TestCluster
  readonly twoByOne: Certificate
  readonly threeByTwo: Certificate
}

async function shapes(): Promise<Shapes> {
  const now = Date.now()
  const one = await testCluster({ now })
  const two = await testCluster({ now, commonName: 'swarm-ca-2' })
  const three = await testCluster({ now, commonName: 'swarm-ca-3' })
  return {
    ...{ one, two, three },
    twoByOne: await crossed(rootOfCluster(two), rootOfCluster(one), now),
    threeByTwo: await crossed(rootOfCluster(three), rootOfCluster(two), now),
  }
}

describePeer('openssl and the chains of a rotation', needs('openssl'), () => {
  const writer =
    (directory: string) =>
    (name: string, text: string): string => {
      const path = join(directory, name)
      writeFileSync(path, text, { mode: 0o600 })
      return path
    }
  const verify = async (trusted: string, untrusted: string | null, leaf: string, purpose: string) =>
    await openssl(
      ...['verify', '-x509_strict', '-purpose', purpose, '-CAfile', trusted],
      ...(untrusted === null ? [] : ['-untrusted', untrusted]),
      leaf,
    )

  it('verifies them for whoever trusts the old root, both, or the new one alone', async () => {
    using directory = stateDirectory()
    const file = writer(directory.path)
    const { one, two, three, twoByOne, threeByTwo } = await shapes()
    const trusted = (...clusters: readonly TestCluster[]): string =>
      file('trusted.pem', clusters.map(({ root }) => root.pem).join(''))
    const leafOf = async (under: TestCluster): Promise<string> =>
      file('leaf.pem', (await under.issue({ role: 'manager' })).certificate.pem)
    const cases = [
      [[one], two, [twoByOne]],
      [[one, two], two, [twoByOne]],
      [[two], two, [twoByOne]],
      [[two], two, []],
      [[one], three, [threeByTwo, twoByOne]],
      [[two], three, [threeByTwo, twoByOne]],
      [[three], three, [threeByTwo, twoByOne]],
    ] as const
    for (const [trusts, under, above] of cases)
      for (const purpose of ['sslserver', 'sslclient']) {
        const untrusted = above.length === 0 ? null : file('above.pem', formatCertificateChain(above))
        const leaf = await leafOf(under)
        expect(await verify(trusted(...trusts), untrusted, leaf, purpose)).toEqual({ code: 0, output: `${leaf}: OK` })
      }
    // It says no where it should, and to Docker's shape, for which our agents have another way.
    const leaf = await leafOf(two)
    expect((await verify(trusted(one), null, leaf, 'sslserver')).output).toContain('unable to get local issuer')
    const next = await testCluster()
    const docker = await dockerCrossed(rootOfCluster(next), rootOfCluster(one))
    const refused = await verify(trusted(one), file('above.pem', docker.pem), await leafOf(next), 'sslserver')
    expect(refused.output).toContain('self-signed certificate in certificate chain')
  })

  it('shakes hands with a server that presents them, trusting the old root alone', async () => {
    using directory = stateDirectory()
    const file = writer(directory.path)
    const { one, two, twoByOne } = await shapes()
    const own = await two.issue({ role: 'manager' })
    const server = createServer(
      serverContextOptions({
        privateKey: own.privateKey,
        certificateChain: formatCertificateChain([own.certificate, twoByOne]),
        trustBundle: one.root.pem,
      }),
    )
    const verdicts: boolean[] = []
    server.on('secureConnection', (socket) => {
      verdicts.push(socket.authorized)
      socket.on('error', () => undefined)
      socket.end()
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    try {
      const { port } = server.address() as { readonly port: number }
      const node = await two.issue()
      const key = createPrivateKey({ key: Buffer.from(node.privateKey), format: 'der', type: 'pkcs8' })
      const { code, output } = await openssl(
        ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', 'swarm-manager'],
        ...['-verify_hostname', 'swarm-manager', '-CAfile', file('root.pem', one.root.pem), '-x509_strict'],
        ...['-verify_return_error', '-verify', '3'],
        ...['-cert', file('node.pem', node.certificate.pem), '-cert_chain', file('cross.pem', twoByOne.pem)],
        ...['-key', file('node.key', String(key.export({ format: 'pem', type: 'pkcs8' })))],
      )
      expect(output).toContain('Verify return code: 0 (ok)')
      expect(code).toBe(0)
      expect(verdicts).toEqual([true])
    } finally {
      server.close()
    }
  })
})
