import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { parseCertificateChain } from '@leastwise/identity'
import { systemRandom } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { CaAnswer, NewTokenAnswer, NodeAnswer, RootAnswer } from '../../examples/orchestrator/operator/answers.ts'
import {
  answerOf,
  type Manager,
  refusalCode,
  run,
  Sandbox,
  until as settled,
} from '../orchestrator/cluster-processes.ts'
import { contentOfKeyFile } from '../orchestrator/key-file-of-a-process.ts'
import { freePort, type MadeCa, makeCa, makeServerCertificate, START_MS } from './support/cfssl.ts'
import { describePeer, needs, program } from './support/needs.ts'
import { until } from './support/until.ts'

const pemOfKey = (key: Uint8Array): string =>
  `-----BEGIN PRIVATE KEY-----\n${Buffer.from(key).toString('base64')}\n-----END PRIVATE KEY-----\n`

const TOKEN_KEY = '0123456789abcdef0123456789abcdef'
const CONFIG = {
  signing: {
    default: {
      usages: ['signing', 'key encipherment', 'server auth', 'client auth'],
      expiry: '2160h',
      auth_key: 'primary',
    },
    profiles: {
      'leastwise-operator': { usages: ['signing', 'client auth'], expiry: '8h', auth_key: 'primary' },
      CA: {
        usages: ['cert sign', 'crl sign'],
        expiry: '8760h',
        auth_key: 'primary',
        ca_constraint: { is_ca: true },
      },
    },
  },
  auth_keys: { primary: { type: 'standard', key: TOKEN_KEY } },
}

describePeer('the orchestrator with cfssl', needs('cfssl'), () => {
  let sandbox: Sandbox
  let ca: MadeCa
  let tls: ReturnType<typeof makeServerCertificate>
  let port: number
  let server: ChildProcess
  let manager: Manager
  let options: readonly string[]
  let client: readonly string[]

  /** A server that wants a client certificate under its own root, and a token with each request. */
  async function start(): Promise<ChildProcess> {
    const child = spawn(
      program('cfssl'),
      [
        ...['serve', '-loglevel=5', '-address=127.0.0.1', `-port=${port}`, '-config', sandbox.path('config.json')],
        ...['-ca', ca.certificate, '-ca-key', ca.key, '-mutual-tls-ca', ca.certificate],
        ...['-tls-cert', tls.certificate, '-tls-key', tls.key],
      ],
      { cwd: sandbox.directory, stdio: 'ignore' },
    )
    sandbox.atEnd(() => child.kill('SIGKILL'))
    await until('cfssl listens', START_MS, async () => {
      if (child.exitCode !== null) throw new Error(`cfssl ended with ${child.exitCode}`)
      const probe = connect(port, '127.0.0.1')
      const outcome = await Promise.race([
        once(probe, 'connect').then(() => true as const),
        once(probe, 'error').then(() => null),
      ]).catch(() => null)
      probe.destroy()
      return outcome
    })
    return child
  }

  const token = async (of: Manager): Promise<NewTokenAnswer> =>
    await answerOf(await of.operate(['token', 'create', 'worker']))
  const leafIn = async (file: string) => {
    const content = await contentOfKeyFile(file)
    return parseCertificateChain(content.certificateChain ?? '')[0]!
  }

  beforeAll(async () => {
    sandbox = new Sandbox()
    ca = makeCa(sandbox.directory, 'external', { algo: 'ecdsa', size: 256 })
    tls = makeServerCertificate(sandbox.directory, ca)
    writeFileSync(sandbox.path('config.json'), JSON.stringify(CONFIG), { mode: 0o600 })
    writeFileSync(sandbox.path('token-key'), TOKEN_KEY, { mode: 0o600 })
    port = await freePort()
    options = [
      ...['--external-ca', `https://127.0.0.1:${port}`, '--external-ca-root', ca.certificate],
      ...['--external-ca-auth-key-file', sandbox.path('token-key')],
    ]
    client = ['--external-ca-client-cert', tls.certificate, '--external-ca-client-key', tls.key]
    server = await start()
    const more = [...options, ...client, '--operator-listen', '127.0.0.1:0']
    manager = await sandbox.manager('manager', '127.0.0.1:0', { more })
  })
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]()
  })

  it('founds a cluster on its root, without its key', async () => {
    const info = await manager.call<CaAnswer>('ca/info')
    expect(info.certificate).toBe(ca.root.pem)
    expect(info.externalCa?.addresses).toEqual([`https://127.0.0.1:${port}/api/v1/cfssl/authsign`])
    expect((await leafIn(join(manager.data, 'state', 'node.key'))).issuer.der).toEqual(ca.root.subject.der)
  })

  it('does not found one for somebody whom it does not know', async () => {
    const founding = ['manager', '--data', sandbox.path('stranger'), '--listen', '127.0.0.1:0', '--json', ...options]
    // It says why and closes; when the end of the connection overtakes what it said, only that is seen.
    expect(['EXTERNAL_CA_REFUSED', 'EXTERNAL_CA_UNREACHABLE']).toContain(refusalCode(await run(founding)))
  })

  it('signs for an operator, who then acts from afar', async () => {
    const [identity, csr] = [sandbox.path('alice.identity'), sandbox.path('alice.csr')]
    const text = (finished: Awaited<ReturnType<typeof run>>): string => answerOf(finished, (all) => all)
    writeFileSync(csr, text(await run(['operator', 'request', '--identity', identity])))
    const issued = await run(['operator', 'issue', 'alice', '--csr', csr, '--data', manager.data])
    appendFileSync(identity, text(issued))
    const endpoint = String((await manager.process.wait('ready'))['operatorAddress'])
    const afar = ['--manager', endpoint, '--identity', identity]
    expect(text(await run(['node', 'ls', ...afar]))).toContain(manager.nodeId)
    expect(refusalCode(await run(['cluster', 'crl', ...afar, '--json']))).toBe('ROOT_KEY_OUTSIDE')
  })

  it('signs for a worker, and after it was killed for the one that waited meanwhile', async () => {
    const first = await sandbox.worker(manager, 'first')
    expect((await leafIn(join(first.data, 'node.key'))).issuer.der).toEqual(ca.root.subject.der)
    server.kill('SIGKILL')
    await once(server, 'exit')
    const joining = sandbox.worker(manager, 'second')
    joining.catch(() => undefined)
    await manager.process.wait('signing-delayed', (line) => line['code'] === 'EXTERNAL_CA_UNREACHABLE')
    const nodes = await manager.call<readonly NodeAnswer[]>('node/ls')
    expect(nodes.map(({ certificate }) => certificate).sort()).toEqual(['issued', 'issued', 'pending'])
    server = await start()
    expect((await joining).nodeId).not.toBe(first.nodeId)
  })

  it('knows the manager by the certificate that it issued, from the second start on', async () => {
    await manager.process.kill('SIGTERM')
    manager = await sandbox.manager('manager', manager.address, { more: options })
    const before = await leafIn(join(manager.data, 'state', 'node.key'))
    answerOf(await manager.operate(['node', 'renew', manager.nodeId]))
    const after = await leafIn(join(manager.data, 'state', 'node.key'))
    expect(after.serial).not.toBe(before.serial)
    expect(after.issuer.der).toEqual(ca.root.subject.der)
  })

  const finished = async (of: Manager): Promise<CaAnswer> => {
    await settled('all have come over', async () => {
      const { phase } = await of.call<RootAnswer>('root/status')
      return phase === 'finishing'
    })
    return await of.call<CaAnswer>('ca/info')
  }
  const rotate = async (of: Manager, more: readonly string[]): Promise<CaAnswer> => {
    answerOf(await of.operate(['root', 'rotate', ...more]))
    return await finished(of)
  }

  it('signs the root that takes its place, whose key is in the log from then on', async () => {
    const home = await createRoot({ now: Date.now(), serial: systemRandom.bytes(20), commonName: 'a root of our own' })
    const files = { cert: sandbox.path('home.pem'), key: sandbox.path('home-key.pem') }
    writeFileSync(files.cert, home.certificate.pem)
    writeFileSync(files.key, pemOfKey(home.privateKey), { mode: 0o600 })
    expect(refusalCode(await manager.operate(['root', 'rotate']))).toBe('ROOT_KEY_OUTSIDE')
    const elsewhere = await manager.operate(['root', 'rotate', '--ca-cert', files.cert])
    // The server was asked, and answered under another root, or shows a certificate that is not under the new one.
    expect(['ISSUED_ISSUER_UNTRUSTED', 'EXTERNAL_CA_UNTRUSTED']).toContain(refusalCode(elsewhere))
    const out = await rotate(manager, ['--ca-cert', files.cert, '--ca-key', files.key])
    expect(out).toMatchObject({ rootKey: 'log', externalCa: null, certificate: home.certificate.pem })
    await manager.process.kill('SIGTERM')
    manager = await sandbox.manager('manager', manager.address)
    await sandbox.worker(manager, 'third', { token: (await token(manager)).token })
  })

  it('takes the key of a cluster over by a rotation, without a gap', async () => {
    const own = await sandbox.manager('own')
    const fourth = await sandbox.worker(own, 'fourth')
    // It is away when the rotation begins, and knows nothing but the root before when it comes back.
    process.kill(fourth.process.pid, 'SIGSTOP')
    await own.process.kill('SIGTERM')
    const auth = ['--external-ca-auth-key-file', sandbox.path('token-key')]
    const more = [...options.slice(0, 2), '--external-ca-server-root', ca.certificate, ...auth, ...client]
    const started = ['manager', '--data', own.data, '--listen', own.address, '--json', ...more]
    expect(refusalCode(await run(started))).toBe('EXTERNAL_CA_DIFFERS')
    const moving = await sandbox.manager('own', own.address, { more: [...more, '--external-ca-for-next-root'] })
    expect(await moving.call<CaAnswer>('ca/info')).toMatchObject({ rootKey: 'log', externalCa: null })
    const stranger = makeCa(sandbox.directory, 'stranger', { algo: 'ecdsa', size: 256 })
    const refusal = await moving.operate(['root', 'rotate', '--ca-cert', stranger.certificate])
    expect(refusalCode(refusal)).toBe('ISSUED_ISSUER_UNTRUSTED')
    answerOf(await moving.operate(['root', 'rotate', '--ca-cert', ca.certificate]))
    await settled('the manager has a certificate of the external CA', async () => {
      const leaf = await leafIn(join(moving.data, 'state', 'node.key'))
      return Buffer.compare(leaf.issuer.der, ca.root.subject.der) === 0
    })
    process.kill(fourth.process.pid, 'SIGCONT')
    const after = await finished(moving)
    expect(after).toMatchObject({ rootKey: 'external-ca', certificate: ca.root.pem })
    const fifth = await sandbox.worker(moving, 'fifth', { token: (await token(moving)).token })
    expect((await leafIn(join(fifth.data, 'node.key'))).issuer.der).toEqual(ca.root.subject.der)
  })
})
