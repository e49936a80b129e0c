import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { parseCertificateChain, parseTrustBundle } from '@leastwise/identity'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { foundOutside } from '../../examples/orchestrator/manager/root/external-ca/found-outside.ts'
import { externalCaSettings } from '../../examples/orchestrator/manager/root/external-ca/settings.ts'
import type { CaAnswer, NodeAnswer, OperatorAnswer } from '../../examples/orchestrator/operator/answers.ts'
import type { Given } from '../../examples/orchestrator/operator/command.ts'
import { answerOf, type Manager, refusalCode, run, Sandbox, until } from './cluster-processes.ts'
import { FakeExternalCa } from './external-ca-support.ts'
import { contentOfKeyFile } from './key-file-of-a-process.ts'

const TOKEN_KEY = 'a1b2c3d4e5f60718293a4b5c6d7e8f90'

let sandbox: Sandbox
let ca: FakeExternalCa
let manager: Manager
const options = (from: FakeExternalCa): readonly string[] => [
  ...['--external-ca', from.address, '--external-ca-root', from.rootFile(sandbox.directory)],
]

beforeAll(async () => {
  sandbox = new Sandbox()
  ca = await FakeExternalCa.start()
  manager = await sandbox.manager('manager', '127.0.0.1:0', {
    more: [...options(ca), '--operator-listen', '127.0.0.1:0'],
  })
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
  await ca[Symbol.asyncDispose]()
})

const info = async (): Promise<CaAnswer> => await manager.call('ca/info')
const nodes = async (): Promise<readonly NodeAnswer[]> => await manager.call('node/ls')
const kept = async (data: string) => {
  const [state, own] = [join(data, 'state', 'node.key'), join(data, 'node.key')]
  const content = await contentOfKeyFile(existsSync(state) ? state : own)
  return {
    leaf: parseCertificateChain(content.certificateChain ?? '')[0]!,
    roots: parseTrustBundle(content.trustBundle).roots,
  }
}
const givenOf = (...words: readonly string[]): Given => ({
  options: Object.fromEntries(words.flatMap((word, at) => (at % 2 === 0 ? [[word.slice(2), words[at + 1]]] : []))),
  positionals: [],
  rest: [],
})
const refused = async (data: string, more: readonly string[]): Promise<string> =>
  refusalCode(await run(['manager', '--data', sandbox.path(data), '--listen', '127.0.0.1:0', '--json', ...more]))

describe('a cluster whose key is with an external CA', () => {
  it('is founded on its root, and says where the key is', async () => {
    const answer = await info()
    expect(answer.certificate).toBe(ca.root.pem)
    expect(answer.externalCa).toEqual({
      addresses: [`${ca.address}/api/v1/cfssl/sign`],
      putOff: { requests: 0, code: null },
    })
    const shown = await run(['ca', 'info', '--data', manager.data])
    expect(answerOf(shown, (text) => text)).toContain(`key           outside, with ${ca.address}`)
  })

  it('had a throw-away request signed first, for a node that never was', async () => {
    const [throwAway, own] = ca.asked
    expect(own).toBe(manager.nodeId)
    expect(throwAway).not.toBe(manager.nodeId)
    expect((await nodes()).map(({ id }) => id)).toEqual([manager.nodeId])
  })

  it('has every node signed there: managers and workers', async () => {
    const worker = await sandbox.worker(manager, 'worker')
    // Lists of evictions need no key of the root: the manager signs them with its own.
    await worker.process.wait('evictions')
    expect(ca.asked).toContain(worker.nodeId)
    for (const data of [manager.data, worker.data]) {
      const { leaf, roots } = await kept(data)
      expect(leaf.issuer.der).toEqual(ca.root.subject.der)
      expect(roots.map(({ pem }) => pem)).toEqual([ca.root.pem])
    }
  })

  it('renews the manager there too, which then shows its own certificate', async () => {
    const { serial } = (await kept(manager.data)).leaf
    await manager.call('node/renew', { node: manager.nodeId })
    expect((await kept(manager.data)).leaf.serial).not.toBe(serial)
    expect(ca.clients[0]).toBeNull()
    expect(ca.clients.at(-1)).toBe(manager.nodeId)
  })

  it('keeps a request while the CA is away, says so, and has it signed when it is back', async () => {
    ca.mood = 'away'
    const joining = sandbox.worker(manager, 'patient')
    joining.catch(() => undefined)
    const delayed = await manager.process.wait('signing-delayed')
    expect(delayed).toMatchObject({ code: 'EXTERNAL_CA_UNREACHABLE', retryable: true })
    expect((await nodes()).map(({ certificate }) => certificate)).toContain('pending')
    expect((await info()).externalCa?.putOff).toEqual({ requests: 1, code: 'EXTERNAL_CA_UNREACHABLE' })
    ca.mood = 'signing'
    const { nodeId } = await joining
    expect(ca.asked.at(-1)).toBe(nodeId)
    await until('nothing waits any more', async () => (await info()).externalCa?.putOff.requests === 0)
  })

  it.each([
    ['refusing', 'EXTERNAL_CA_REFUSED'],
    ['widening', 'ISSUED_SUBJECT_MISMATCH'],
  ] as const)('admits nobody with what a %s CA gives, and says why: %s', async (mood, code) => {
    ca.mood = mood
    const { serial } = (await kept(manager.data)).leaf
    const tokenFile = sandbox.tokenFile(manager.workerToken)
    const process = sandbox.start([
      ...['worker', '--data', sandbox.path(`of-${mood}`), '--join', manager.address, '--token-file', tokenFile],
    ])
    await manager.process.wait('signing-delayed', (line) => line['code'] === code && line['retryable'] === false)
    await process.kill('SIGTERM')
    expect((await info()).externalCa?.putOff).toMatchObject({ code })
    const [pending] = (await nodes()).filter(({ certificate }) => certificate === 'pending')
    expect(pending).toMatchObject({ role: 'worker', serial: '-' })
    ca.mood = 'signing'
    await until('the request is signed', async () => (await info()).externalCa?.putOff.requests === 0)
    expect((await kept(manager.data)).leaf.serial).toBe(serial)
    await manager.call('node/rm', { node: pending?.id })
  })

  it('has operators signed there, too, who act from afar; what another has signed is not handed out', async () => {
    const identity = sandbox.path('alice.identity')
    const csr = sandbox.path('alice.csr')
    writeFileSync(
      csr,
      answerOf(await run(['operator', 'request', '--identity', identity]), (text) => text),
    )
    const issue = ['operator', 'issue', 'alice', '--csr', csr]
    ca.mood = 'widening'
    expect(refusalCode(await manager.operate(issue))).toBe('ISSUED_SUBJECT_MISMATCH')
    ca.mood = 'away'
    expect(refusalCode(await manager.operate(issue))).toBe('EXTERNAL_CA_UNREACHABLE')
    ca.mood = 'signing'
    expect(await manager.call<readonly OperatorAnswer[]>('operator/ls')).toEqual([])
    appendFileSync(
      identity,
      answerOf(await run([...issue, '--data', manager.data]), (text) => text),
    )
    const [alice] = await manager.call<readonly OperatorAnswer[]>('operator/ls')
    expect(ca.asked.at(-1)).toBe(alice?.id)
    const endpoint = String((await manager.process.wait('ready'))['operatorAddress'])
    const afar = ['--manager', endpoint, '--identity', identity]
    expect(answerOf(await run(['node', 'ls', ...afar]), (text) => text)).toContain(manager.nodeId)
    // A CRL is signed with the key of the root itself, which nobody can ask for.
    expect(refusalCode(await run(['cluster', 'crl', ...afar, '--json']))).toBe('ROOT_KEY_OUTSIDE')
    answerOf(await manager.operate(['operator', 'rm', 'alice']))
    expect(refusalCode(await run(['node', 'ls', ...afar, '--json']))).toBe('PEER_EVICTED')
  })

  it('refuses to rotate a root whose key it does not have', async () => {
    expect(refusalCode(await manager.operate(['root', 'rotate']))).toBe('ROOT_KEY_OUTSIDE')
  })

  it('starts again with the addresses alone, and not without them or with another root', async () => {
    await manager.process.kill('SIGTERM')
    expect(await refused('manager', [])).toBe('EXTERNAL_CA_NEEDED')
    await using other = await FakeExternalCa.start()
    const foreign = ['--external-ca', ca.address, '--external-ca-root', other.rootFile(sandbox.directory)]
    expect(await refused('manager', foreign)).toBe('EXTERNAL_CA_DIFFERS')
    manager = await sandbox.manager('manager', '127.0.0.1:0', { more: ['--external-ca', ca.address] })
    expect((await info()).certificate).toBe(ca.root.pem)
  })
})

describe('founding with an external CA', () => {
  it('fails before anything is made when the dry run fails', async () => {
    await using other = await FakeExternalCa.start()
    const mixed = [
      ...['--external-ca', other.address, '--external-ca-root', ca.rootFile(sandbox.directory)],
      ...['--external-ca-server-root', other.rootFile(sandbox.directory)],
    ]
    expect(await refused('unborn', mixed)).toBe('ISSUED_ISSUER_UNTRUSTED')
    expect(existsSync(sandbox.path('unborn'))).toBe(false)
  })

  it.each([
    ['signs under another root', 'signing', false, 'EXTERNAL_CA_UNTRUSTED'],
    ['is away', 'away', true, 'EXTERNAL_CA_UNREACHABLE'],
    ['turns it down', 'refusing', true, 'EXTERNAL_CA_REFUSED'],
    ['signs more than was asked for', 'widening', true, 'ISSUED_SUBJECT_MISMATCH'],
  ] as const)('is refused where the server %s', async (_name, mood, ownRoot, code) => {
    await using other = await FakeExternalCa.start()
    other.mood = mood
    const root = (ownRoot ? other : ca).rootFile(sandbox.directory)
    const settings = externalCaSettings(givenOf('--external-ca', other.address, '--external-ca-root', root))!
    const founding = foundOutside(settings, { now: Date.now(), signal: new AbortController().signal })
    await expect(founding).rejects.toThrowCode(code)
  })

  it('keeps the key of its request tokens in no file and shows it nowhere', async () => {
    await using authed = await FakeExternalCa.start({ tokenKey: TOKEN_KEY })
    const keyFile = join(sandbox.directory, 'token-key')
    writeFileSync(keyFile, `${TOKEN_KEY}\n`, { mode: 0o600 })
    const more = [...options(authed), '--external-ca-auth-key-file', keyFile]
    const started = await sandbox.manager('authed', '127.0.0.1:0', { more })
    await started.call('node/renew', { node: started.nodeId })
    expect((await started.call<CaAnswer>('ca/info')).externalCa?.addresses).toEqual([
      `${authed.address}/api/v1/cfssl/authsign`,
    ])
    const { stdout, stderr } = await started.process.kill('SIGTERM')
    const raw = Buffer.from(TOKEN_KEY, 'hex')
    for (const file of readdirSync(started.data, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue
      const bytes = readFileSync(join(file.parentPath, file.name))
      expect(bytes.includes(raw) || bytes.includes(TOKEN_KEY), file.name).toBe(false)
    }
    expect(stdout + stderr).not.toContain(TOKEN_KEY)

    writeFileSync(keyFile, 'f'.repeat(32))
    expect(await refused('unborn', more)).toBe('EXTERNAL_CA_REFUSED')
  })

  it('does not put an external CA beside a key of its own', async () => {
    const own = await sandbox.manager('own')
    expect((await own.call<CaAnswer>('ca/info')).externalCa).toBeNull()
    await own.process.kill('SIGTERM')
    expect(await refused('own', options(ca))).toBe('EXTERNAL_CA_DIFFERS')
  })

  it('founds on a key of its own when the CA is for the next root', async () => {
    const more = [...options(ca), '--external-ca-for-next-root']
    const waiting = await sandbox.manager('waiting', '127.0.0.1:0', { more })
    const answer = await waiting.call<CaAnswer>('ca/info')
    expect(answer).toMatchObject({ rootKey: 'log', externalCa: null })
    expect(answer.certificate).not.toBe(ca.root.pem)
  })

  it.each([
    ['a root without addresses', ['--external-ca-root', 'ROOT'], 'USAGE'],
    ['no root to found on', ['--external-ca', 'https://127.0.0.1:1'], 'USAGE'],
    [
      'an address without TLS',
      ['--external-ca', 'http://127.0.0.1:1', '--external-ca-root', 'ROOT'],
      'EXTERNAL_CA_URL_INVALID',
    ],
    [
      'a password in an address',
      ['--external-ca', 'https://me:MARKED@127.0.0.1:1', '--external-ca-root', 'ROOT'],
      'EXTERNAL_CA_URL_INVALID',
    ],
    [
      'a token endpoint without a key',
      ['--external-ca', 'https://127.0.0.1:1/authsign', '--external-ca-root', 'ROOT'],
      'USAGE',
    ],
    ['a key that is none', ['--external-ca', 'https://127.0.0.1:1', '--external-ca-auth-key-file', 'MARKED'], 'USAGE'],
    [
      'a certificate without its key',
      ['--external-ca', 'https://127.0.0.1:1', '--external-ca-client-cert', 'ROOT'],
      'USAGE',
    ],
    [
      'a private key that is none',
      [
        '--external-ca',
        'https://127.0.0.1:1',
        '--external-ca-client-cert',
        'ROOT',
        '--external-ca-client-key',
        'MARKED',
      ],
      'USAGE',
    ],
    [
      'a file that is not there',
      ['--external-ca', 'https://127.0.0.1:1', '--external-ca-root', '/nowhere/root.pem'],
      'USAGE',
    ],
    [
      'a root that is none',
      ['--external-ca', 'https://127.0.0.1:1', '--external-ca-root', 'MARKED'],
      'TRUST_BUNDLE_MALFORMED',
    ],
  ])('refuses %s', async (_name, words, code) => {
    const marked = sandbox.path('marked')
    writeFileSync(marked, 'MARKED-CONTENT\n')
    const real = words.map((word) =>
      word === 'ROOT' ? ca.rootFile(sandbox.directory) : word === 'MARKED' ? marked : word,
    )
    const found = async (): Promise<unknown> => {
      const settings = externalCaSettings(givenOf(...real))
      return settings && (await foundOutside(settings, { now: Date.now(), signal: new AbortController().signal }))
    }
    const refusal = await found().catch((error: unknown) => error)
    expect(() => {
      throw refusal
    }).toThrowCode(code)
    expect(inspect(refusal)).not.toContain('MARKED')
  })

  it('takes the full address of an endpoint as it stands', () => {
    const url = 'https://ca.example:8888/swarm/sign'
    expect(externalCaSettings(givenOf('--external-ca', `${url},https://ca.example/`))?.urls).toEqual([
      url,
      'https://ca.example/api/v1/cfssl/sign',
    ])
    expect(externalCaSettings(givenOf())).toBeNull()
  })
})
