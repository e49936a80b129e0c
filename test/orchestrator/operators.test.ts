import { once } from 'node:events'
import { appendFileSync, chmodSync, copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { clientContextOptions } from '@leastwise/identity/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAddress } from '../../examples/orchestrator/address.ts'
import type {
  NodeAnswer,
  OperatorAnswer,
  OperatorIdentityAnswer,
  SecretAnswer,
} from '../../examples/orchestrator/operator/answers.ts'
import { callManager } from '../../examples/orchestrator/operator/client.ts'
import { createIdentityFile, readIdentityFile } from '../../examples/orchestrator/operator/remote/identity-file.ts'
import { targetOf } from '../../examples/orchestrator/operator/target.ts'
import { rawHttp2 } from '../support/swarm-raw.ts'
import {
  answerOf,
  type Manager,
  type Outcome,
  refusalCode,
  run,
  Sandbox,
  type WorkerProcess,
} from './cluster-processes.ts'
import { contentOfKeyFile } from './key-file-of-a-process.ts'

const ENDPOINT = ['--operator-listen', '127.0.0.1:0']

let sandbox: Sandbox
let manager: Manager
let worker: WorkerProcess
let endpoint: string

const start = async (name: string): Promise<Manager> => {
  const started = await sandbox.manager(name, '127.0.0.1:0', { more: ENDPOINT })
  return started
}
const endpointOf = async (started: Manager): Promise<string> =>
  String((await started.process.wait('ready'))['operatorAddress'])
/** An operator as they begin: a key on their own machine, and a request. */
async function request(name: string): Promise<{ readonly file: string; readonly csr: string }> {
  const file = sandbox.path(`${name}.identity`)
  return { file, csr: await createIdentityFile(file) }
}
async function operator(name: string, of = manager): Promise<string> {
  const { file, csr } = await request(name)
  const { certificate, trustBundle } = await of.call<OperatorIdentityAnswer>('operator/issue', { name, csr })
  appendFileSync(file, certificate + trustBundle)
  return file
}
/** The same by commands, as people type them. */
async function operatorByHand(name: string): Promise<string> {
  const [file, csr] = [sandbox.path(`${name}.identity`), sandbox.path(`${name}.csr`)]
  const asText = (outcome: Outcome): string => answerOf(outcome, (text) => text)
  writeFileSync(csr, asText(await run(['operator', 'request', '--identity', file])))
  appendFileSync(file, asText(await run(['operator', 'issue', name, '--csr', csr, '--data', manager.data])))
  return file
}
const afar = async (identity: string, args: readonly string[], input = ''): Promise<Outcome> =>
  await run([...args, '--manager', endpoint, '--identity', identity, '--json'], { input })
const call = async <Answer>(identity: string, path: string, body: object = {}): Promise<Answer> =>
  await callManager(
    { address: parseAddress(endpoint), identity: readIdentityFile(identity, Date.now()) },
    { path, body },
  )

/** An identity file made of what a node holds. */
async function ofNode(keyFile: string, name: string): Promise<string> {
  const content = await contentOfKeyFile(keyFile)
  const { privateKey, certificateChain, trustBundle } = content
  const key = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(privateKey).toString('base64')}\n-----END PRIVATE KEY-----\n`
  const file = sandbox.path(name)
  writeFileSync(file, key + (certificateChain ?? '') + trustBundle, { mode: 0o600 })
  return file
}

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await start('manager')
  endpoint = await endpointOf(manager)
  worker = await sandbox.worker(manager, 'worker')
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

describe('an operator from afar', () => {
  let alice: string
  beforeAll(async () => {
    alice = await operatorByHand('alice')
  })

  it('makes a key that nobody else can read, and never over another one', async () => {
    expect(statSync(alice).mode & 0o777).toBe(0o600)
    const before = readFileSync(alice, 'utf8')
    const again = await run(['operator', 'request', '--identity', alice, '--json'])
    expect(refusalCode(again)).toBe('OPERATOR_IDENTITY_UNFIT')
    expect(readFileSync(alice, 'utf8')).toBe(before)
  })

  it('does what the operator on the machine does', async () => {
    const nodes = answerOf<readonly NodeAnswer[]>(await afar(alice, ['node', 'ls']))
    expect(nodes.map(({ id }) => id).sort()).toEqual([manager.nodeId, worker.nodeId].sort())
    const secret = answerOf<SecretAnswer>(await afar(alice, ['secret', 'create', 'from-afar'], 'value'))
    expect(secret.sizeBytes).toBe(5)
    await expect(call(alice, 'secret/rm', { secret: 'nothing' })).rejects.toThrowCode('NOT_FOUND')
    const [listed] = await call<readonly OperatorAnswer[]>(alice, 'operator/ls')
    expect(listed).toMatchObject({ name: 'alice', state: 'active' })
    const told = await manager.process.wait('operator-call', (line) => line['path'] === 'secret/create')
    expect(told['operator']).toBe(listed?.id)
  })

  it('writes no file on the machine of the manager', async () => {
    const file = sandbox.path('from-afar.backup')
    expect(refusalCode(await afar(alice, ['backup', file]))).toBe('OPERATOR_REFUSED')
    expect(existsSync(file)).toBe(false)
  })

  it('is no node, and a node is no operator: workers and managers are refused', async () => {
    const nodes = [
      await ofNode(join(worker.data, 'node.key'), 'of-worker'),
      await ofNode(join(manager.data, 'state', 'node.key'), 'of-manager'),
    ]
    for (const node of nodes) await expect(call(node, 'node/ls')).rejects.toThrowCode('PEER_SUBJECT_INVALID')
    await manager.process.wait('operator-refused')
    const session = await rawHttp2(
      Number(manager.address.split(':')[1]),
      clientContextOptions(readIdentityFile(alice, Date.now())),
    )
    await new Promise((resolve) => session.once('close', resolve))
    const refused = await manager.process.wait('connection-refused')
    expect(refused['code']).toBe('PEER_PROFILE_INVALID')
  })

  it('gets one more certificate under a known name', async () => {
    const { csr } = await request('alice-again')
    const issued = await manager.call<OperatorIdentityAnswer>('operator/issue', { name: 'alice', csr })
    const operators = await manager.call<readonly OperatorAnswer[]>('operator/ls')
    expect(operators.map(({ id }) => id)).toEqual([issued.id])
    expect(issued.notAfter - Date.now()).toBeLessThanOrEqual(8 * 3_600_000)
    expect(await call(alice, 'node/ls')).toHaveLength(2)
  })

  it('is refused at once when removed, also after a restart of the manager; others are not', async () => {
    const bob = await operator('bob')
    answerOf(await afar(bob, ['operator', 'rm', 'alice']))
    await expect(call(alice, 'node/ls')).rejects.toThrowCode('PEER_EVICTED')
    await manager.process.kill('SIGTERM')
    manager = await start('manager')
    endpoint = await endpointOf(manager)
    expect(refusalCode(await afar(alice, ['node', 'ls']))).toBe('PEER_EVICTED')
    expect(await call(bob, 'node/ls')).toHaveLength(2)
    const operators = await manager.call<readonly OperatorAnswer[]>('operator/ls')
    expect(operators.map(({ name, state }) => [name, state])).toEqual([
      ['alice', 'removed'],
      ['bob', 'active'],
    ])
  })

  it('believes nobody but a manager of the cluster, and is believed by no other', async () => {
    const carol = await operator('carol')
    const other = await start('other')
    const theirs = await operator('dave', other)
    await expect(call(theirs, 'node/ls')).rejects.toThrowCode('MANAGER_UNTRUSTED')
    // Their key and certificate, with our roots: they believe us, and we do not believe them.
    const [ours, foreign] = [readFileSync(carol, 'utf8'), readFileSync(theirs, 'utf8')]
    const roots = (text: string): string => text.slice(text.lastIndexOf('-----BEGIN CERTIFICATE-----'))
    const mixed = sandbox.path('mixed')
    writeFileSync(mixed, foreign.replace(roots(foreign), roots(ours)), { mode: 0o600 })
    expect(refusalCode(await afar(mixed, ['node', 'ls']))).toBe('OPERATOR_REFUSED')
    await other.process.kill('SIGTERM')
    endpoint = await endpointOf(other)
    await expect(call(theirs, 'node/ls')).rejects.toThrowCode('MANAGER_NOT_RUNNING')
    endpoint = await endpointOf(manager)
  })
})

describe('an address that takes connections and says nothing', () => {
  it('is given up, since no manager proves itself there', { timeout: 30_000 }, async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const address = { host: '127.0.0.1', port: (silent.address() as AddressInfo).port }
    const identity = readIdentityFile(await operator('zoe'), Date.now())
    await expect(callManager({ address, identity }, { path: 'status' })).rejects.toThrowCode('MANAGER_NOT_RUNNING')
    silent.close()
  })
})

describe('an identity file', () => {
  it('is refused when it is not what it should be, without a word of its content', async () => {
    const good = await operator('erin')
    const text = readFileSync(good, 'utf8')
    const key = text.slice(0, text.indexOf('-----BEGIN CERTIFICATE-----'))
    const bad: Readonly<Record<string, string>> = {
      'the key alone': key,
      'no key': text.slice(key.length),
      'two keys': key + text,
      'no roots': text.slice(0, text.lastIndexOf('-----BEGIN CERTIFICATE-----')),
      'a damaged key': text.replace(/(KEY-----\n.{20})..../, '$1MARK'),
      'something else': 'MARKED\n',
      'far too much': 'MARKED\n'.repeat(20_000),
    }
    for (const [name, content] of Object.entries(bad)) {
      const file = sandbox.path('bad')
      writeFileSync(file, content, { mode: 0o600 })
      expect(() => readIdentityFile(file, Date.now()), name).toThrowCode('OPERATOR_IDENTITY_UNFIT')
      expect(() => readIdentityFile(file, Date.now()), name).not.toThrow(/MARK/)
    }
    expect(() => readIdentityFile(sandbox.path('absent'), Date.now())).toThrowCode('OPERATOR_IDENTITY_UNFIT')
    expect(() => readIdentityFile(good, Date.now() + 9 * 3_600_000)).toThrowCode('OPERATOR_IDENTITY_UNFIT')
    const open = sandbox.path('open')
    copyFileSync(good, open)
    chmodSync(open, 0o640)
    expect(() => readIdentityFile(open, Date.now())).toThrowCode('OPERATOR_IDENTITY_UNFIT')
    expect(readIdentityFile(good, Date.now()).trustBundle).toContain('BEGIN CERTIFICATE')
  })
})

describe('the endpoint for operators', () => {
  it('is not there unless it was asked for, and not where everybody can reach it', async () => {
    const words = ['manager', '--data', sandbox.path('exposed'), '--listen', '127.0.0.1:0', '--json']
    expect(refusalCode(await run([...words, '--operator-listen', '0.0.0.0:0']))).toBe('ADDRESS_REFUSED')
    expect(existsSync(sandbox.path('exposed'))).toBe(false)
  })

  it.each([
    ['a manager without an identity', { manager: '127.0.0.1:1' }],
    ['an identity without a manager', { identity: 'file' }],
    ['two managers', { manager: '127.0.0.1:1', identity: 'file', data: 'x' }],
  ])('is asked by nobody who names %s', async (_name, options) => {
    await expect(targetOf({ options, positionals: [], rest: [] })).rejects.toThrowCode('USAGE')
  })

  it('gives no identity for longer than a day, without a name, or for no request', async () => {
    const { csr } = await request('frank')
    const body = { name: 'frank', csr, lifetimeMs: null }
    const issue = async (change: object): Promise<unknown> =>
      await manager.call('operator/issue', { ...body, ...change })
    await expect(issue({ lifetimeMs: 86_400_001 })).rejects.toThrowCode('USAGE')
    await expect(issue({ lifetimeMs: 1 })).rejects.toThrowCode('USAGE')
    await expect(issue({ name: '' })).rejects.toThrowCode('USAGE')
    await expect(issue({ name: 'x'.repeat(129) })).rejects.toThrowCode('USAGE')
    await expect(issue({ csr: 'none' })).rejects.toThrowCode('CSR_MALFORMED')
    await expect(manager.call('operator/rm', { operator: 'nobody' })).rejects.toThrowCode('NOT_FOUND')
    const { name } = await manager.call<OperatorIdentityAnswer>('operator/issue', { ...body, lifetimeMs: 86_400_000 })
    expect(name).toBe('frank')
  })
})
