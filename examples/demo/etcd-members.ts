import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import {
  createCsr,
  formatCertificateChain,
  issueCertificate,
  openAuthority,
  parseClusterId,
  parseNodeId,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { createId } from '@leastwise/tokens'

/** Three members of etcd on loopback, with TLS and client certificates. */
export interface EtcdMembers {
  /** What a manager's command line says to reach them. */
  readonly managerArguments: readonly string[]
  readonly pids: readonly number[]
  readonly close: () => Promise<void>
}

const MEMBERS = 3
const LIFETIME_MS = 24 * 60 * 60 * 1000

/** Whether this machine has the program. */
export const hasEtcd = (): boolean => spawnSync('etcd', ['--version'], { stdio: 'ignore' }).status === 0

const pemKey = (pkcs8: Uint8Array): string => {
  const lines = Buffer.from(pkcs8).toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await once(server.listen(0, '127.0.0.1'), 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map(async (server) => await new Promise((resolve) => server.close(resolve))))
  return ports
}

/** A CA for etcd alone, and a certificate for its members and one for the managers. */
async function makeCertificates(directory: string): Promise<{ readonly memberName: string }> {
  const now = Date.now()
  const root = await createRoot({ now, serial: systemRandom.bytes(20) })
  const authority = await openAuthority(
    { certificate: root.certificate, signer: openSigner(root.privateKey) },
    { verifier: systemVerifier },
  )
  const clusterId = parseClusterId(createId(systemRandom))
  const certify = async (name: string): Promise<string> => {
    const nodeId = parseNodeId(createId(systemRandom))
    const key = createNodeKey()
    const grant = { nodeId, role: 'manager', clusterId, lifetimeMs: LIFETIME_MS } as const
    const ports = { now, random: systemRandom, verifier: systemVerifier, digest: systemDigest }
    const certificate = await issueCertificate(authority, await createCsr(key), grant, ports)
    writeFileSync(join(directory, `${name}.pem`), formatCertificateChain([certificate]))
    writeFileSync(join(directory, `${name}.key`), pemKey(exportPrivateKey(key)), { mode: 0o600 })
    return nodeId
  }
  writeFileSync(join(directory, 'ca.pem'), root.certificate.pem)
  await certify('client')
  return { memberName: await certify('member') }
}

/** Starts them with their data below `directory`, where the demo looks for secrets at its end; each with more options if they are given. */
export async function startEtcd(
  directory: string,
  optionsOf: (member: number) => readonly string[] = () => [],
): Promise<EtcdMembers> {
  const place = join(directory, 'etcd')
  mkdirSync(place, { mode: 0o700 })
  chmodSync(place, 0o700)
  const { memberName } = await makeCertificates(place)
  const ports = await freePorts(2 * MEMBERS)
  const peers = ports.slice(MEMBERS).map((port, at) => `m${at}=http://127.0.0.1:${port}`)
  const clients = ports.slice(0, MEMBERS).map((port) => `https://127.0.0.1:${port}`)
  const children: ChildProcess[] = clients.map((client, at) => {
    const peer = `http://127.0.0.1:${ports[MEMBERS + at] ?? 0}`
    const flags = {
      name: `m${at}`,
      'data-dir': join(place, `m${at}`),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': peers.join(','),
      'initial-cluster-state': 'new',
      'cert-file': join(place, 'member.pem'),
      'key-file': join(place, 'member.key'),
      'trusted-ca-file': join(place, 'ca.pem'),
      'log-level': 'error',
      logger: 'zap',
    }
    const words = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
    return spawn('etcd', [...words, '--client-cert-auth', ...optionsOf(at)], { stdio: 'ignore' })
  })
  return {
    managerArguments: [
      ...['--engine', 'etcd', '--etcd', clients.join(',')],
      ...['--etcd-ca', join(place, 'ca.pem')],
      ...['--etcd-cert', join(place, 'client.pem'), '--etcd-key', join(place, 'client.key')],
      ...['--etcd-name', memberName],
    ],
    pids: children.map(({ pid }) => pid ?? 0),
    close: async () => {
      await Promise.all(
        children.map(async (child) => {
          await new Promise<void>((resolve) => {
            if (child.exitCode !== null || child.signalCode !== null) {
              resolve()
              return
            }
            child.once('exit', () => {
              resolve()
            })
            child.kill('SIGKILL')
          })
        }),
      )
    },
  }
}
