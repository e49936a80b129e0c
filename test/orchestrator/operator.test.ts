import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeAnswer, SecretAnswer, TaskAnswer, TokenAnswer } from '../../examples/orchestrator/operator/answers.ts'
import {
  answerOf,
  type Manager,
  type Outcome,
  refusalCode,
  run,
  Sandbox,
  type WorkerProcess,
} from './cluster-processes.ts'

const MARK = 'marked-secret-value-of-the-operator'

let sandbox: Sandbox
let manager: Manager
let worker: WorkerProcess

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager()
  worker = await sandbox.worker(manager, 'worker')
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

interface Everything {
  readonly secrets: readonly SecretAnswer[]
  readonly tasks: readonly TaskAnswer[]
  readonly nodes: readonly NodeAnswer[]
  readonly tokens: readonly TokenAnswer[]
}

const everything = async (): Promise<Everything> => ({
  secrets: await manager.call('secret/ls'),
  tasks: await manager.call('task/ls'),
  nodes: await manager.call('node/ls'),
  tokens: await manager.call('token/ls'),
})

/** The code with which a command was refused, after proof that it changed nothing and gave nothing away. */
async function refused(args: readonly string[], input: Uint8Array | string = ''): Promise<string> {
  const before = await everything()
  const outcome = await manager.operate(args, input)
  const code = refusalCode(outcome)
  expect(await everything(), `${args.join(' ')} changed something`).toEqual(before)
  expect(outcome.stdout + outcome.stderr).not.toContain(MARK)
  return code
}

const create = async (name: string, value: Uint8Array | string, ...more: readonly string[]): Promise<SecretAnswer> =>
  answerOf<SecretAnswer>(await manager.operate(['secret', 'create', name, ...more], value))

describe('secret create', () => {
  it('takes 1 byte and 511,999 bytes, and no other number outside', async () => {
    expect((await create('one-byte', 'x')).sizeBytes).toBe(1)
    expect((await create('largest', randomBytes(511_999))).sizeBytes).toBe(511_999)
    expect(await refused(['secret', 'create', 'empty'], '')).toBe('SECRET_VALUE_SIZE')
    expect(await refused(['secret', 'create', 'too-large'], Buffer.alloc(512_000, 1))).toBe('SECRET_VALUE_SIZE')
    expect(await refused(['secret', 'create', 'far-too-large'], Buffer.alloc(2_000_000, 1))).toBe('INPUT_TOO_LARGE')
  })

  it.each(['has space', 'slash/ed', '.hidden', 'x'.repeat(65), 'ümlaut', 'a\nb', '../../etc/passwd'])(
    'refuses the name "%s"',
    async (name) => {
      expect(await refused(['secret', 'create', name], MARK)).toBe('SECRET_NAME_INVALID')
    },
  )

  it('refuses a name that is there, in whatever case, and keeps the first value', async () => {
    const first = await create('twice', 'first')
    expect(await refused(['secret', 'create', 'twice'], MARK)).toBe('SECRET_EXISTS')
    expect(await refused(['secret', 'create', 'TWICE'], MARK)).toBe('SECRET_EXISTS')
    expect(await manager.call<SecretAnswer>('secret/inspect', { secret: 'twice' })).toEqual(first)
  })

  it('keeps labels, and refuses what are none', async () => {
    const made = await create('labelled', 'x', '--label', 'team=db', '--label', 'note=a=b', '--label', 'empty=')
    expect(made.labels).toEqual({ team: 'db', note: 'a=b', empty: '' })
    expect(await refused(['secret', 'create', 'mislabelled', '--label', 'none'], 'x')).toBe('USAGE')
  })

  it('never shows a value again, by no command', async () => {
    const value = `${MARK}-${randomBytes(8).toString('hex')}`
    const made = await create('quiet', value)
    const outcomes = await Promise.all(
      [
        ['secret', 'ls'],
        ['secret', 'inspect', 'quiet'],
        ['secret', 'inspect', made.id],
      ].map(async (args) => await manager.operate(args)),
    )
    outcomes.push(await manager.operate(['secret', 'rm', 'quiet']))
    for (const { code, stdout, stderr } of outcomes) {
      expect(code).toBe(0)
      for (const form of [value, Buffer.from(value).toString('base64'), Buffer.from(value).toString('hex')])
        expect(stdout + stderr).not.toContain(form)
    }
  })
})

describe('what is not there', () => {
  it.each([
    ['secret', 'inspect', 'nothing'],
    ['secret', 'rm', 'nothing'],
    ['task', 'rm', 'nothing'],
    ['node', 'renew', 'nothing'],
    ['node', 'rm', 'nothing'],
    ['task', 'run', '--node', 'nothing', '--', 'true'],
  ])('is not found: %s %s %s', async (...args) => {
    expect(await refused(args)).toBe('NOT_FOUND')
  })

  it('is no token either', async () => {
    expect(await refused(['token', 'revoke', 'abcdefghijklmnopqrstuvwxy'])).toBe('TOKEN_UNKNOWN')
    expect(await refused(['token', 'revoke', MARK])).toMatch(/^(TOKEN_UNKNOWN|ID_MALFORMED)$/)
  })
})

describe('task run', () => {
  it('refuses what it cannot give', async () => {
    await create('db', 'x')
    const at = ['task', 'run', '--node', worker.nodeId]
    const code = async (...secrets: readonly string[]): Promise<string> =>
      await refused([...at, ...secrets.flatMap((secret) => ['--secret', secret]), '--', 'true'])
    expect(await code('source=unknown')).toBe('NOT_FOUND')
    expect(await code('source=db,target=a', 'source=db,target=a')).toBe('TARGET_DUPLICATE')
    expect(await code('source=db', 'source=db')).toBe('TARGET_DUPLICATE')
    expect(await code('db')).toBe('REFERENCE_INVALID')
    expect(await code(`source=db,${MARK}=1`)).toBe('REFERENCE_INVALID')
    expect(await code('source=db,target=../db')).toBe('REFERENCE_INVALID')
    expect(await code('source=db,uid=-1')).toBe('REFERENCE_INVALID')
    expect(await code('source=db,mode=1777')).toBe('REFERENCE_INVALID')
    expect(await code('source=has space')).toBe('SECRET_NAME_INVALID')
    expect(await refused(['task', 'run', '--node', manager.nodeId, '--', 'true'])).toBe('NOT_FOUND')
    expect(await refused(['task', 'run', '--node', worker.nodeId.slice(0, 3), '--', 'true'])).toBe('NOT_FOUND')
    expect(await refused([...at, '--', 'x'.repeat(70_000)])).toBe('TASK_INVALID')
  })

  it('keeps a secret from being removed while a task uses it', async () => {
    await create('in-use', 'x')
    const task = answerOf<TaskAnswer>(
      await manager.operate([
        'task',
        'run',
        '--node',
        worker.nodeId.slice(0, 8),
        '--secret',
        'source=in-use',
        '--',
        'sleep',
        '60',
      ]),
    )
    const outcome = await manager.operate(['secret', 'rm', 'in-use'])
    expect(refusalCode(outcome)).toBe('SECRET_IN_USE')
    expect(outcome.stderr).toContain(task.id)
    expect((await manager.call<SecretAnswer>('secret/inspect', { secret: 'in-use' })).users).toEqual([task.id])
    answerOf(await manager.operate(['task', 'rm', task.id]))
    answerOf(await manager.operate(['secret', 'rm', 'in-use']))
  })
})

describe('tokens', () => {
  it('have the lifetime and uses that they were made with, and are shown once', async () => {
    const made = answerOf<{
      readonly id: string
      readonly token: string
      readonly expiresAt: number
      readonly maxUses: number
    }>(await manager.operate(['token', 'create', 'worker', '--ttl', '2h', '--uses', '3']))
    const listed = await manager.operate(['token', 'ls'])
    const found = answerOf<readonly TokenAnswer[]>(listed).find(({ id }) => id === made.id)
    expect(found).toMatchObject({ role: 'worker', state: 'live', uses: 0, maxUses: 3, expiresAt: made.expiresAt })
    expect(made.expiresAt - found!.createdAt).toBe(7_200_000)
    expect(listed.stdout).not.toContain(made.token.split('-')[3])
    answerOf(await manager.operate(['token', 'revoke', made.id]))
    answerOf(await manager.operate(['token', 'revoke', made.id]))
    expect((await manager.call<readonly TokenAnswer[]>('token/ls')).find(({ id }) => id === made.id)?.state).toBe(
      'revoked',
    )
  })

  it('outlive no more than a year and are used no more often than the registry counts', async () => {
    expect(await refused(['token', 'create', 'worker', '--ttl', '9999999d'])).toBe('LIFETIME_OUT_OF_RANGE')
    expect(await refused(['token', 'create', 'worker', '--uses', '999999999'])).toBe('USES_OUT_OF_RANGE')
    expect(await refused(['token', 'rotate', 'worker', '--overlap', '9999999d'])).toBe('LIFETIME_OUT_OF_RANGE')
  })
})

describe('nodes', () => {
  it('renew on request, the manager itself too, which then serves with the new certificate', async () => {
    const serials = async (): Promise<ReadonlyMap<string, string>> =>
      new Map((await manager.call<readonly NodeAnswer[]>('node/ls')).map(({ id, serial }) => [id, serial]))
    const before = await serials()
    answerOf(await manager.operate(['node', 'renew', manager.nodeId]))
    expect((await serials()).get(manager.nodeId)).not.toBe(before.get(manager.nodeId))
    answerOf(await manager.operate(['node', 'renew', worker.nodeId.slice(0, 6)]))
    await worker.process.wait('renewed')
    expect((await serials()).get(worker.nodeId)).not.toBe(before.get(worker.nodeId))
    expect(worker.process.events.some(({ event }) => event === 'session-lost')).toBe(false)
  })

  it('do not remove themselves', async () => {
    expect(await refused(['node', 'rm', manager.nodeId])).toBe('NODE_IS_THIS_MANAGER')
    expect(await refused(['node', 'rm', manager.nodeId.slice(0, 7)])).toBe('NODE_IS_THIS_MANAGER')
  })
})

describe("the manager's socket", () => {
  const post = async (path: string, body: string, method = 'POST'): Promise<{ readonly code: string }> =>
    await new Promise((resolve, reject) => {
      const sent = request({ socketPath: join(manager.data, 'operator.sock'), method, path }, (response) => {
        let text = ''
        response.on('data', (chunk) => {
          text += String(chunk)
        })
        response.on('end', () => {
          resolve((JSON.parse(text) as { readonly error: { readonly code: string } }).error)
        })
      })
      sent.on('error', reject)
      sent.end(body)
    })

  it.each([
    ['no such operation', '/no/such', '{}'],
    ['a name of an object', '/constructor', '{}'],
    ['no JSON', '/task/rm', `{"task":"${MARK}`],
    ['a list', '/task/rm', '[]'],
    ['no object', '/task/rm', 'null'],
    ['a field of another kind', '/task/rm', '{"task":5}'],
    ['a field too few', '/node/rm', '{}'],
    ['no list', '/task/run', '{"node":"abcd","secrets":"x","command":["true"]}'],
    ['a list of other things', '/task/run', '{"node":"abcd","secrets":[],"command":[1]}'],
    ['an unknown role', '/token/create', '{"role":"root"}'],
    ['a negative number', '/token/create', '{"role":"worker","maxUses":-1}'],
    ['labels that are no texts', '/secret/create?name=a&labels={"a":1}', 'x'],
    ['labels that are no JSON', '/secret/create?name=a&labels={', 'x'],
    ['labels that are a list', '/secret/create?name=a&labels=["a"]', 'x'],
  ])('refuses %s', async (_what, path, body) => {
    const before = await everything()
    const error = await post(path.replaceAll('"', '%22').replaceAll('{', '%7B').replaceAll('}', '%7D'), body)
    expect(error.code).toBe('USAGE')
    expect(JSON.stringify(error)).not.toContain(MARK)
    expect(await everything()).toEqual(before)
  })

  it('refuses other methods, and more than a mebibyte', async () => {
    expect((await post('/status', '', 'GET')).code).toBe('USAGE')
    expect((await post('/task/rm', ' '.repeat(1024 * 1024 + 1))).code).toBe('INPUT_TOO_LARGE')
  })
})

describe('a second manager on the same directory', () => {
  it('is refused, and the first one goes on', async () => {
    const second = await run(['manager', '--data', manager.data, '--listen', '127.0.0.1:0', '--json'])
    expect(refusalCode(second)).toBe('ALREADY_RUNNING')
    expect(existsSync(join(manager.data, 'operator.sock'))).toBe(true)
    expect(answerOf<{ readonly state: string }>(await manager.operate(['status'])).state).toBe('ready')
  })

  it('that starts at the same moment loses, and one cluster is made', async () => {
    await using other = new Sandbox()
    const data = other.path('both')
    const args = ['manager', '--data', data, '--listen', '127.0.0.1:0']
    const starts = [other.start(args), other.start(args), other.start(args)]
    const outcomes = await Promise.all(
      starts.map(
        async (one) =>
          await Promise.race([
            one.wait('ready').then(
              () => 'ready' as const,
              () => 'refused' as const,
            ),
            one.ended,
          ]),
      ),
    )
    const losers: Outcome[] = []
    for (const [at, outcome] of outcomes.entries()) if (outcome !== 'ready') losers.push(await starts[at]!.ended)
    expect(losers).toHaveLength(2)
    for (const loser of losers) expect(refusalCode(loser)).toBe('ALREADY_RUNNING')
    const status = await run(['status', '--data', data, '--json'])
    expect(answerOf<{ readonly pid: number }>(status).pid).toBe(starts[outcomes.indexOf('ready')]!.pid)
    expect(existsSync(join(data, 'founding'))).toBe(false)
  })
})

describe('for people', () => {
  it.each([
    [['status'], /^ready {2}cluster \w{25} {2}node \w{25} {2}at 127\.0\.0\.1:\d+$/],
    [['ca', 'info'], /^cluster .*\n[\s\S]*token digest +[0-9a-f]{64}\n[\s\S]*BEGIN CERTIFICATE/],
    [['node', 'ls'], /^ID .*ROLE .*STATE/],
    [['secret', 'ls'], /^ID .*NAME .*BYTES/],
    [['task', 'ls'], /^ID .*NODE .*STATE/],
    [['token', 'ls'], /^ID .*ROLE .*STATE/],
    [['token', 'create', 'worker', '--uses', '1'], /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}\n\nid \w{25}, role worker/],
  ])('%j prints a text', async (args, shape) => {
    const { code, stdout, stderr } = await run([...args, '--data', manager.data])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.trimEnd()).toMatch(shape)
  })
})
