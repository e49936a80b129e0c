import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EtcdClient } from '@leastwise/raftlog-etcd'
import { type EtcdClientOptions, etcdClient } from '@leastwise/raftlog-etcd/node'
import { program } from './needs.ts'
import { createSegment, type Namespace } from './netns.ts'
import { until } from './until.ts'

const START_MS = 20_000
const NAMES = ['m0', 'm1', 'm2'] as const

/** The number of a member. */
export type MemberNumber = 0 | 1 | 2

/** Three members of a real etcd, each in a network namespace of its own, with TLS and client certificates everywhere. */
export interface EtcdCluster extends AsyncDisposable {
  /** A client of its own, with its own connections; it asks the members in this order. */
  readonly connect: (order?: readonly MemberNumber[], more?: Partial<EtcdClientOptions>) => EtcdClient
  readonly optionsOf: (order?: readonly MemberNumber[]) => EtcdClientOptions
  readonly leader: () => Promise<MemberNumber>
  readonly kill: (member: MemberNumber) => Promise<void>
  readonly start: (member: MemberNumber) => void
  /** SIGSTOP and SIGCONT. */
  readonly pause: (member: MemberNumber) => void
  readonly resume: (member: MemberNumber) => void
  /** Takes the member's network away from everybody, and gives it back. */
  readonly cut: (member: MemberNumber) => void
  readonly mend: (member: MemberNumber) => void
  /** Takes only the way to the other members: clients still reach it. */
  readonly isolate: (member: MemberNumber) => void
  readonly rejoin: (member: MemberNumber) => void
  readonly etcdctl: (...args: readonly string[]) => string
  /** A client certificate under a root that nobody knows, and that root. */
  readonly strangers: () => { readonly pair: NonNullable<EtcdClientOptions['tls']>; readonly root: string }
  /** What an operator does about a full quota: forget history, defragment, and clear the alarm. */
  readonly makeRoom: () => void
  readonly ready: () => Promise<void>
}

function openssl(...args: readonly string[]): void {
  const done = spawnSync(program('openssl'), args, { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(`openssl ${args[0]}: ${done.stderr}`)
}

/** A root, a certificate for all members, one for the clients, and a root and client that nobody knows. */
function makeCertificates(dir: string, addresses: readonly string[]): void {
  const at = (name: string): string => join(dir, name)
  const key = (name: string): readonly string[] => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    at(`${name}.key`),
  ]
  for (const root of ['ca', 'other-ca']) {
    openssl('req', '-x509', ...key(root), '-subj', `/CN=${root}`, '-days', '2', '-out', at(`${root}.pem`))
  }
  const issue = (name: string, root: string, extensions: string): void => {
    writeFileSync(at(`${name}.ext`), extensions)
    openssl('req', '-new', ...key(name), '-subj', `/CN=${name}`, '-out', at(`${name}.csr`))
    const by = ['-CA', at(`${root}.pem`), '-CAkey', at(`${root}.key`), '-CAcreateserial', '-days', '2']
    openssl('x509', '-req', '-in', at(`${name}.csr`), ...by, '-extfile', at(`${name}.ext`), '-out', at(`${name}.pem`))
  }
  const names = ['IP:127.0.0.1', ...addresses.map((address) => `IP:${address}`)].join(',')
  issue('member', 'ca', `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`)
  issue('client', 'ca', 'extendedKeyUsage=clientAuth\n')
  issue('stranger', 'other-ca', 'extendedKeyUsage=clientAuth\n')
}

// Runs inside the clients' namespace: each connection to a local socket goes on to one member, over its network.
const GATEWAY = `
  const net = require('node:net')
  const [dir, ...addresses] = process.argv.slice(1)
  let left = addresses.length
  addresses.forEach((host, nth) => {
    net.createServer((near) => {
      const far = net.connect({ host, port: 2379 })
      near.pipe(far)
      far.pipe(near)
      const end = () => { near.destroy(); far.destroy() }
      for (const each of [near, far]) each.on('error', end).on('close', end)
    }).listen(dir + '/gate' + nth, () => { left -= 1; if (left === 0) process.stdout.write('ready') })
  })`

/** A port on loopback for each member, led into the clients' namespace. */
async function openGates(dir: string, clients: Namespace, addresses: readonly string[]) {
  const [command, ...rest] = clients.enter([process.execPath, '-e', GATEWAY, dir, ...addresses])
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  const open = new Set<Socket>()
  const servers: Server[] = []
  for (const [nth] of addresses.entries()) {
    const server = createServer((near) => {
      const far = connect(join(dir, `gate${nth}`))
      open.add(near)
      const end = (): void => {
        open.delete(near)
        near.destroy()
        far.destroy()
      }
      near.pipe(far)
      far.pipe(near)
      for (const each of [near, far]) each.on('error', end).on('close', end)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    servers.push(server)
  }
  return {
    ports: servers.map((server) => (server.address() as { port: number }).port),
    close: async () => {
      for (const server of servers) server.close()
      for (const socket of open) socket.destroy()
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

/** Starts three members, and waits until they have a leader. */
export async function startEtcd(more: readonly string[] = []): Promise<EtcdCluster> {
  const dir = mkdtempSync(join(tmpdir(), 'leastwise-etcd-'))
  const segment = createSegment([...NAMES, 'clients'])
  const spaces = NAMES.map((name) => segment.at(name))
  const addresses = spaces.map(({ address }) => address)
  const members: (ChildProcess | null)[] = [null, null, null]
  const clients: EtcdClient[] = []
  const tls = join(dir, 'tls')
  mkdirSync(tls)
  makeCertificates(tls, addresses)
  const gates = await openGates(dir, segment.at('clients'), addresses)
  const file = (name: string): string => join(tls, name)
  const ip = (...args: readonly string[]): void => {
    const done = spawnSync(program('ip'), args, { encoding: 'utf8' })
    if (done.status !== 0) throw new Error(`ip ${args.join(' ')}: ${done.stderr}`)
  }
  const start = (nth: MemberNumber): void => {
    const { address, enter } = spaces[nth]!
    const url = (port: number): string => `https://${address}:${port}`
    const pair = (prefix: string): readonly string[] => [
      `--${prefix}trusted-ca-file=${file('ca.pem')}`,
      `--${prefix}cert-file=${file('member.pem')}`,
      `--${prefix}key-file=${file('member.key')}`,
      `--${prefix}client-cert-auth`,
    ]
    const [command, ...args] = enter([
      program('setpriv'),
      '--pdeathsig=KILL',
      program('etcd'),
      `--name=${NAMES[nth]}`,
      `--data-dir=${join(dir, NAMES[nth])}`,
      `--listen-peer-urls=${url(2380)}`,
      `--initial-advertise-peer-urls=${url(2380)}`,
      `--listen-client-urls=${url(2379)}`,
      `--advertise-client-urls=${url(2379)}`,
      `--initial-cluster=${NAMES.map((name, at) => `${name}=https://${addresses[at]!}:2380`).join(',')}`,
      `--initial-cluster-token=${dir}`,
      ...pair(''),
      ...pair('peer-'),
      '--heartbeat-interval=100',
      '--election-timeout=1000',
      ...more,
    ])
    const log = openSync(join(dir, `${NAMES[nth]}.log`), 'a')
    members[nth] = spawn(command, args, { stdio: ['ignore', log, log] })
  }
  const endpoint = (nth: MemberNumber): string => `https://127.0.0.1:${gates.ports[nth]!}`
  const inside = (nth: MemberNumber): string => `https://${addresses[nth]!}:2379`
  const etcdctl = (...args: readonly string[]): string => {
    const how = [`--cacert=${file('ca.pem')}`, `--cert=${file('client.pem')}`, `--key=${file('client.key')}`]
    // Inside, because this process leads the ports on loopback there and now waits.
    const [command, ...rest] = segment.at('clients').enter([program('etcdctl'), ...how, ...args])
    const done = spawnSync(command, rest, {
      encoding: 'utf8',
      env: { ...process.env, ETCDCTL_API: '3' },
    })
    if (done.status !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${done.stderr}`)
    return done.stdout
  }
  const signal = (nth: MemberNumber, name: NodeJS.Signals): void => {
    members[nth]?.kill(name)
  }
  const kill = async (nth: MemberNumber): Promise<void> => {
    const child = members[nth]
    if (child?.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await gone
  }
  const read = (name: string): string => readFileSync(file(name), 'utf8')
  const optionsOf = (order: readonly MemberNumber[] = [0, 1, 2]): EtcdClientOptions => ({
    endpoints: order.map(endpoint),
    tls: { trustBundle: read('ca.pem'), certificateChain: read('client.pem'), privateKey: read('client.key') },
  })
  const ready = async (): Promise<void> => {
    const all = `--endpoints=${([0, 1, 2] as const).map(inside).join(',')}`
    await until('etcd is there', START_MS, () => {
      try {
        etcdctl(all, '--command-timeout=2s', 'endpoint', 'health')
        return true
      } catch {
        return null
      }
    })
  }
  const stop = async (): Promise<void> => {
    for (const client of clients) await client.close()
    for (const nth of [0, 1, 2] as const) await kill(nth)
    await gates.close()
    segment[Symbol.dispose]()
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    for (const nth of [0, 1, 2] as const) start(nth)
    await ready()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    connect: (order, changed = {}) => {
      const client = etcdClient({ ...optionsOf(order), ...changed })
      clients.push(client)
      return client
    },
    optionsOf,
    leader: async () =>
      await until('a leader', START_MS, () => {
        for (const nth of [0, 1, 2] as const) {
          try {
            const text = etcdctl(`--endpoints=${inside(nth)}`, '--command-timeout=1s', 'endpoint', 'status', '-w=json')
            const [{ Status }] = JSON.parse(text) as [{ Status: { leader?: number; header: { member_id: number } } }]
            if (Status.leader !== undefined && Status.leader === Status.header.member_id) return nth
          } catch {
            // It does not answer; another one may.
          }
        }
        return null
      }),
    kill,
    start,
    pause: (nth) => {
      signal(nth, 'SIGSTOP')
    },
    resume: (nth) => {
      signal(nth, 'SIGCONT')
    },
    cut: (nth) => {
      ip('-n', spaces[nth]!.name, 'link', 'set', 'eth0', 'down')
    },
    mend: (nth) => {
      ip('-n', spaces[nth]!.name, 'link', 'set', 'eth0', 'up')
    },
    isolate: (nth) => {
      for (const address of addresses) {
        if (address !== addresses[nth]) ip('-n', spaces[nth]!.name, 'route', 'add', 'blackhole', `${address}/32`)
      }
    },
    rejoin: (nth) => {
      for (const address of addresses) {
        if (address !== addresses[nth]) ip('-n', spaces[nth]!.name, 'route', 'del', 'blackhole', `${address}/32`)
      }
    },
    etcdctl: (...args) => etcdctl(`--endpoints=${inside(0)}`, ...args),
    strangers: () => ({
      root: read('other-ca.pem'),
      pair: {
        trustBundle: read('ca.pem'),
        certificateChain: read('stranger.pem'),
        privateKey: read('stranger.key'),
      },
    }),
    makeRoom: () => {
      const every = `--endpoints=${([0, 1, 2] as const).map(inside).join(',')}`
      const status = etcdctl(`--endpoints=${inside(0)}`, 'endpoint', 'status', '-w=json')
      const [{ Status }] = JSON.parse(status) as [{ Status: { header: { revision: number } } }]
      etcdctl(`--endpoints=${inside(0)}`, 'compact', '--physical', String(Status.header.revision))
      etcdctl(every, 'defrag')
      etcdctl(`--endpoints=${inside(0)}`, 'alarm', 'disarm')
    },
    ready,
    [Symbol.asyncDispose]: stop,
  }
}
