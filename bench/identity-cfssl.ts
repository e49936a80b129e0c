import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createCsr } from '@leastwise/identity'
import { createNodeKey } from '@leastwise/identity/node'
import { cpuMs } from './cpu-time.ts'
import { type Contestant, type Effort, rotated, type Standing } from './harness.ts'
import { type HttpConnection, openConnection, postOf } from './http-load.ts'
import type { ServerCa, SignRequest } from './identity-cfssl-server.ts'
import { CLUSTER, createRoot, NATIVE, NODE, REQUESTS, ROLE, turns } from './identity-fixture.ts'
import { type Area, ratioRow } from './row.ts'

const JOB = 'issue over HTTP, servers on one core'
const PATH = '/api/v1/cfssl/sign'
const CONNECTIONS = 16
const START_MS = 20_000
const PROFILE = {
  signing: { default: { usages: ['signing', 'key encipherment', 'server auth', 'client auth'], expiry: '2160h' } },
}

const works = (program: string, ...args: readonly string[]): boolean => spawnSync(program, args).status === 0

interface Served {
  readonly child: ChildProcess
  readonly port: number
}

/** On the first core, if that can be said here; whoever asks is left the others. */
function start(command: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  const pinned = works('taskset', '-c', '0', 'true') ? ['taskset', '-c', '0', ...command] : command
  const [program = '', ...args] = pinned
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, ...env } })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function startOurs(ca: ServerCa): Promise<Served> {
  const server = join(import.meta.dirname, 'identity-cfssl-server.js')
  const child = start([process.execPath, server], { BENCH_CA: JSON.stringify(ca) })
  const lines = createInterface({ input: child.stdout! })
  const [port] = (await Promise.race([once(lines, 'line'), once(child, 'exit')])) as [string]
  return { child, port: Number(port) }
}

async function startCfssl(directory: string, ca: ServerCa): Promise<Served> {
  const files = ['ca.pem', 'ca-key.pem', 'config.json'].map((name) => join(directory, name)) as [string, string, string]
  const pem = ca.key.replace(/.{64}/gu, '$&\n')
  writeFileSync(files[0], ca.certificate)
  writeFileSync(files[1], `-----BEGIN PRIVATE KEY-----\n${pem}\n-----END PRIVATE KEY-----\n`, { mode: 0o600 })
  writeFileSync(files[2], JSON.stringify(PROFILE))
  const port = await freePort()
  const child = start([
    ...['cfssl', 'serve', '-loglevel=5', '-address=127.0.0.1', `-port=${port}`],
    ...['-ca', files[0], '-ca-key', files[1], '-config', files[2]],
  ])
  for (const end = performance.now() + START_MS; performance.now() < end; ) {
    try {
      const connection = await openConnection(port)
      connection.close()
      return { child, port }
    } catch {
      await sleep(50)
    }
  }
  child.kill('SIGKILL')
  throw new Error('cfssl did not start')
}

const requestOf = (pem: string): Buffer => {
  const subject: SignRequest['subject'] = { CN: NODE, names: [{ O: CLUSTER, OU: ROLE }] }
  return postOf(PATH, JSON.stringify({ certificate_request: pem, hosts: [ROLE, NODE], subject }))
}

/** A server that does not check the proof of possession has less to do. */
async function expectProof(connection: HttpConnection, good: Buffer, forged: Buffer): Promise<void> {
  const [issued, refused] = [await connection.ask(good), await connection.ask(forged)]
  if (issued.status !== 200 || !issued.body.includes('BEGIN CERTIFICATE')) throw new Error('a good request was refused')
  if (refused.status === 200) throw new Error('a request with a broken signature was granted')
}

async function contestant(name: string, { port }: Served, pems: readonly string[], forged: Buffer) {
  const next = turns(pems.map(requestOf))
  await expectProof(await openConnection(port), next(), forged)
  const connections = await Promise.all(Array.from({ length: CONNECTIONS }, async () => await openConnection(port)))
  const each: Contestant = {
    name,
    units: CONNECTIONS * 4,
    run: async () => {
      await Promise.all(
        connections.map(async ({ ask }) => {
          for (let sent = 0; sent < 4; sent += 1)
            if ((await ask(next())).status !== 200) throw new Error('a good request was refused')
        }),
      )
    },
  }
  return each
}

async function forgedRequest(): Promise<Buffer> {
  const { der } = await createCsr(createNodeKey())
  const broken = Buffer.from(der)
  broken[broken.length - 1]! ^= 1
  const base64 = broken.toString('base64').replace(/.{64}(?=.)/gu, '$&\n')
  return requestOf(`-----BEGIN CERTIFICATE REQUEST-----\n${base64}\n-----END CERTIFICATE REQUEST-----\n`)
}

// It was spawned: it has answered.
const pidOf = ({ child }: Served): number => child.pid ?? 0

interface Competitor {
  readonly contestant: Contestant
  readonly pid: number
}

/** Certificates for a second of the server's own time on its core: the rate of a core that has nothing else to do. */
async function rateOf({ contestant: { run, units }, pid }: Competitor, ms: number): Promise<number> {
  const [before, started] = [cpuMs(pid), performance.now()]
  let calls = 0
  for (; performance.now() - started < ms; calls += 1) await run()
  const [after, ended] = [cpuMs(pid), performance.now()]
  const spent = before === null || after === null ? ended - started : after - before
  return (calls * units * 1000) / spent
}

async function raceOnCore(competitors: readonly Competitor[], effort: Effort): Promise<readonly Standing[]> {
  for (const competitor of competitors) await rateOf(competitor, effort.warmUpMs * 4)
  const rates = new Map<Competitor, number[]>(competitors.map((each) => [each, []]))
  for (let round = 0; round < effort.rounds; round += 1)
    for (const each of rotated(competitors, round)) rates.get(each)!.push(await rateOf(each, effort.sliceMs))
  return competitors.map((each) => ({ name: each.contestant.name, rates: rates.get(each)! }))
}

/** A JSON request with a PEM request in it to a PEM certificate, over HTTP, proof of possession checked, by a server on one core. */
export const cfssl: Area = async function* (effort) {
  if (!works('cfssl', 'version')) {
    yield { job: JOB, versus: 'cfssl serve', absent: 'cfssl is not installed: apt-get install golang-cfssl' }
    return
  }
  const { root, keys } = await createRoot(NATIVE)
  const key = Buffer.from(await NATIVE.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const ca: ServerCa = { certificate: `${root.toString('pem')}\n`, key }
  const pems: string[] = []
  for (let made = 0; made < REQUESTS; made += 1) pems.push((await createCsr(createNodeKey())).pem)
  const forged = await forgedRequest()
  const directory = mkdtempSync(join(tmpdir(), 'leastwise-bench-'))
  const children: ChildProcess[] = []
  try {
    const ours = await startOurs(ca)
    children.push(ours.child)
    const theirs = await startCfssl(directory, ca)
    children.push(theirs.child)
    const competitors = [
      { contestant: await contestant('leastwise', ours, pems, forged), pid: pidOf(ours) },
      { contestant: await contestant('cfssl serve', theirs, pems, forged), pid: pidOf(theirs) },
    ]
    const [mine, other] = (await raceOnCore(competitors, effort)) as [Standing, Standing]
    yield ratioRow({ job: JOB, unit: 'certificates/s of a core', atLeast: 1 }, mine, other)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
}
