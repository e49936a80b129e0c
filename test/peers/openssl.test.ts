import { spawn } from 'node:child_process'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type KeyFileContent } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { contentOfKeyFile } from '../orchestrator/key-file-of-a-process.ts'
import { testCluster } from '../support/test-authority.ts'
import { describePeer, needs } from './support/needs.ts'
import { openssl } from './support/openssl.ts'
import {
  type ManagerProcess,
  type NodeRow,
  startManagerProcess,
  startProcess,
  stateDirectory,
} from './support/orchestrator.ts'

interface CaInfo {
  readonly clusterId: string
  readonly certificate: string
  readonly fingerprint: string
  readonly trustDigest: string
}

const PURPOSES = ['sslserver', 'sslclient'] as const

/** A run like the demo's, small: a manager, two workers, everybody renewed once; every certificate that came up. */
async function collect(directory: string, manager: ManagerProcess) {
  const certificates = new Map<string, string>()
  const keep = async (name: string, keyFile: string): Promise<KeyFileContent> => {
    const content = await contentOfKeyFile(keyFile)
    certificates.set(name, content.certificateChain ?? '')
    return content
  }
  const managerKey = join(manager.data, 'state', 'node.key')
  const workers = ['worker-1', 'worker-2'].map((name) => {
    const data = join(directory, name)
    const token = ['--token', manager.workerToken]
    return { name, data, process: startProcess(['worker', '--data', data, '--join', manager.address, ...token]) }
  })
  try {
    await keep('manager', managerKey)
    for (const { name, data, process } of workers) {
      await process.wait('session')
      await keep(name, join(data, 'node.key'))
    }
    const nodes = await manager.operator<readonly NodeRow[]>('node', 'ls')
    for (const { id } of nodes) await manager.operator('node', 'renew', id)
    for (const { name, data, process } of workers) {
      await process.wait('renewed')
      await keep(`${name} renewed`, join(data, 'node.key'))
    }
    const content = await keep('manager renewed', managerKey)
    const worker = await contentOfKeyFile(join(workers[0]!.data, 'node.key'))
    return { certificates, manager: content, worker, nodes }
  } finally {
    for (const { process } of workers) await process.stop()
  }
}

/** The whole demo, which keeps what certificates it makes. */
async function runDemo(certificates: string): Promise<number | null> {
  const demo = fileURLToPath(new URL('../../examples/dist/demo/main.js', import.meta.url))
  const child = spawn(process.execPath, [demo, '--json', '--certificates', certificates], { stdio: 'ignore' })
  const [code] = (await once(child, 'close')) as [number | null]
  return code
}

describePeer('openssl', needs('openssl'), () => {
  it('accepts every certificate which the demo made', async () => {
    using directory = stateDirectory()
    expect(await runDemo(directory.path)).toBe(0)
    const root = join(directory.path, 'root.pem')
    const leaves = readdirSync(directory.path).filter((name) => name !== 'root.pem')
    // A manager and three workers, before and after their renewals, and the manager's of the lock and the restart.
    expect(new Set(leaves.map((name) => readFileSync(join(directory.path, name), 'utf8'))).size).toBeGreaterThanOrEqual(
      9,
    )
    for (const path of [root, ...leaves.map((name) => join(directory.path, name))]) {
      const purposes = path === root ? [[]] : PURPOSES.map((purpose) => ['-purpose', purpose])
      for (const purpose of purposes)
        expect(await openssl('verify', '-x509_strict', ...purpose, '-CAfile', root, path)).toEqual({
          code: 0,
          output: `${path}: OK`,
        })
    }
  })

  it('accepts every certificate of a cluster at its strictest, as server and as client', async () => {
    using directory = stateDirectory()
    await using manager = await startManagerProcess('127.0.0.1:0')
    const ca = await manager.operator<CaInfo>('ca', 'info')
    const file = (name: string, text: string): string => {
      const path = join(directory.path, name)
      writeFileSync(path, text, { mode: 0o600 })
      return path
    }
    const root = file('root.pem', ca.certificate)
    const collected = await collect(directory.path, manager)
    expect(new Set(collected.certificates.values()).size).toBe(6)

    const self = await openssl('verify', '-x509_strict', '-check_ss_sig', '-CAfile', root, root)
    expect(self).toEqual({ code: 0, output: `${root}: OK` })
    const strict = async (leaf: string, trusted: string, purpose: string) =>
      await openssl('verify', '-x509_strict', '-purpose', purpose, '-CAfile', trusted, leaf)
    for (const [name, pem] of collected.certificates) {
      const leaf = file(`${name.replace(' ', '-')}.pem`, pem)
      for (const purpose of PURPOSES)
        expect({ name, ...(await strict(leaf, root, purpose)) }).toEqual({ name, code: 0, output: `${leaf}: OK` })
      // Certificates of nodes sign nothing, neither other nodes nor anything else.
      for (const purpose of ['crlsign', 'smimesign', 'timestampsign'])
        expect({ name, purpose, code: (await strict(leaf, root, purpose)).code }).not.toEqual({
          name,
          purpose,
          code: 0,
        })
    }

    // The same command says no where it should: to a root of somebody else with the same name.
    const other = file('other.pem', (await testCluster()).root.pem)
    const leaf = join(directory.path, 'worker-1.pem')
    const foreign = await strict(leaf, other, 'sslclient')
    expect(foreign.code).not.toBe(0)
    expect(foreign.output).toMatch(/certificate signature failure|unable to get local issuer certificate/)
  })

  it('reads the names, serials and digests that we show', async () => {
    using directory = stateDirectory()
    await using manager = await startManagerProcess('127.0.0.1:0')
    const ca = await manager.operator<CaInfo>('ca', 'info')
    const { certificates, nodes } = await collect(directory.path, manager)
    const rows = await manager.operator<readonly NodeRow[]>('node', 'ls')
    const read = async (pem: string, ...what: readonly string[]): Promise<string> => {
      const path = join(directory.path, 'read.pem')
      writeFileSync(path, pem)
      return (await openssl('x509', '-in', path, '-noout', ...what)).output
    }
    expect(
      (await read(ca.certificate, '-fingerprint', '-sha256')).split('=')[1]?.replaceAll(':', '').toLowerCase(),
    ).toBe(ca.fingerprint)
    expect(createHash('sha256').update(ca.certificate).digest('hex')).toBe(ca.trustDigest)
    const seen = new Map<string, string>()
    for (const [name, pem] of certificates) {
      const subject = await read(pem, '-subject', '-nameopt', 'RFC2253')
      const role = name.startsWith('manager') ? 'swarm-manager' : 'swarm-worker'
      const id = /^subject=CN=([a-z0-9]{25}),/.exec(subject)?.[1] ?? ''
      expect(subject).toBe(`subject=CN=${id},OU=${role},O=${ca.clusterId}`)
      expect(nodes.map((node) => node.id)).toContain(id)
      expect(await read(pem, '-checkhost', role)).toContain('does match certificate')
      expect(await read(pem, '-checkhost', id)).toContain('does match certificate')
      expect(await read(pem, '-checkhost', 'swarm-ca')).toContain(
        role === 'swarm-manager' ? 'does match certificate' : 'does NOT match certificate',
      )
      seen.set(id, (await read(pem, '-serial')).split('=')[1]?.toLowerCase() ?? '')
    }
    // Of each node the renewed certificate came last.
    expect(new Map(rows.map((row) => [row.id, row.serial]))).toEqual(seen)
  })

  it('shakes hands with the manager, as anonymous caller and as node', async () => {
    using directory = stateDirectory()
    await using manager = await startManagerProcess('127.0.0.1:0')
    const ca = await manager.operator<CaInfo>('ca', 'info')
    const { worker, certificates } = await collect(directory.path, manager)
    const file = (name: string, text: string): string => {
      const path = join(directory.path, name)
      writeFileSync(path, text, { mode: 0o600 })
      return path
    }
    const root = file('root.pem', ca.certificate)
    const connect = async (...more: readonly string[]) => {
      const strict = [
        '-CAfile',
        root,
        '-x509_strict',
        '-verify_return_error',
        '-verify',
        '4',
        '-alpn',
        'h2',
        '-showcerts',
      ]
      return await openssl('s_client', '-connect', manager.address, ...strict, ...more)
    }
    for (const name of ['swarm-manager', 'swarm-ca']) {
      const { code, output } = await connect('-servername', name, '-verify_hostname', name)
      expect({ name, code }).toEqual({ name, code: 0 })
      expect(output).toContain('Verify return code: 0 (ok)')
      expect(output).toContain('TLSv1.3')
      expect(output).toContain('ALPN protocol: h2')
      const served = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/.exec(output)?.[0] ?? ''
      // What is on the wire is the renewed certificate, without a restart.
      expect(new X509Certificate(served).fingerprint256).toBe(
        new X509Certificate(certificates.get('manager renewed') ?? '').fingerprint256,
      )
    }
    expect((await connect('-servername', 'swarm-manager', '-verify_hostname', 'swarm-worker')).code).not.toBe(0)
    expect((await connect('-tls1_1')).code).not.toBe(0)

    const key = createPrivateKey({ key: Buffer.from(worker.privateKey), format: 'der', type: 'pkcs8' })
    const own = [
      ['-cert', file('client.pem', worker.certificateChain ?? '')],
      ['-key', file('client.key', String(key.export({ format: 'pem', type: 'pkcs8' })))],
    ].flat()
    const mutual = await connect('-servername', 'swarm-manager', ...own)
    expect(mutual.code).toBe(0)
    expect(mutual.output).toContain('Acceptable client certificate CA names\nCN = swarm-ca')
    expect(mutual.output).toContain('Verify return code: 0 (ok)')
  })
})
