import { randomBytes } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createUnlockKey, formatUnlockKey } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import { describe, expect, it } from 'vitest'
import { scanDirectories } from '../../examples/demo/byte-scan.ts'
import type { AutolockAnswer, SecretAnswer, StatusAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { callManager } from '../../examples/orchestrator/operator/client.ts'
import { operatorSocket } from '../../examples/orchestrator/operator/socket.ts'
import {
  answerOf,
  contentOf,
  type Manager,
  type Running,
  refusalCode,
  run,
  Sandbox,
  until,
} from './cluster-processes.ts'

const lockOf = async (manager: Manager, mode: string): Promise<string> =>
  answerOf<AutolockAnswer>(await manager.operate(['autolock', mode])).unlockKey ?? ''
const namesOf = async (data: string): Promise<readonly string[]> =>
  (await callManager<readonly SecretAnswer[]>(data, { path: 'secret/ls' })).map(({ name }) => name).sort()
const create = async (data: string, name: string, value: Uint8Array = randomBytes(40)): Promise<void> => {
  await callManager(data, { path: 'secret/create', query: { name }, body: value })
}

/** Starts a manager that is expected to be locked. */
async function startLocked(sandbox: Sandbox, data: string): Promise<Running> {
  const started = sandbox.start(['manager', '--data', data, '--listen', '127.0.0.1:0'])
  await started.wait('locked')
  return started
}
const unlock = async (data: string, key: string): ReturnType<typeof run> =>
  await run(['unlock', '--data', data, '--json'], { input: key })

describe.concurrent('a manager under autolock', () => {
  it('refuses everything but status and unlock until it gets its key', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const { data } = manager
    await create(data, 'db')
    const key = await lockOf(manager, 'on')
    expect(key).toMatch(/^SWMKEY-1-[A-Za-z0-9+/]{43}$/)
    await manager.process.kill('SIGKILL')
    await startLocked(sandbox, data)
    const before = contentOf(join(data, 'state'))

    expect(answerOf<StatusAnswer>(await run(['status', '--data', data, '--json'])).state).toBe('locked')
    expect(await run(['status', '--data', data])).toMatchObject({ code: 0, stdout: 'locked\n' })
    const commands = [
      'ca info',
      'autolock on',
      'autolock off',
      'autolock rotate',
      'token create worker',
      'token ls',
      'token rotate worker',
      'token revoke x',
      'node ls',
      'node renew x',
      'node rm x',
      'secret create a',
      'secret ls',
      'secret inspect db',
      'secret rm db',
      'task ls',
      'task rm x',
      'task run --node abcd -- true',
    ]
    const codes = await Promise.all(
      commands.map(async (command) => {
        const [words, ...rest] = command.split(' -- ')
        const args = [...words!.split(' '), '--data', data, '--json', ...rest.flatMap((word) => ['--', word])]
        return `${command}: ${refusalCode(await run(args, { input: 'x' }))}`
      }),
    )
    expect(codes).toEqual(commands.map((command) => `${command}: LOCKED`))

    const wrong = formatUnlockKey(createUnlockKey(systemRandom))
    const tries = {
      nothing: '',
      garbage: 'not a key',
      bytes: randomBytes(60),
      cut: key.slice(0, -1),
      twice: `${key}\n${key}`,
      lower: key.toLowerCase(),
      long: 'x'.repeat(1_000),
      wrong,
    }
    const refusals: Record<string, string> = {}
    for (const [name, input] of Object.entries(tries)) {
      const outcome = await run(['unlock', '--data', data, '--json'], { input })
      refusals[name] = refusalCode(outcome)
      expect(outcome.stdout + outcome.stderr).not.toContain(wrong.slice(9))
      expect(outcome.stdout + outcome.stderr).not.toContain(key.slice(9, -1))
    }
    expect(refusals).toEqual({
      nothing: 'UNLOCK_KEY_MALFORMED',
      garbage: 'UNLOCK_KEY_MALFORMED',
      bytes: 'UNLOCK_KEY_MALFORMED',
      cut: 'UNLOCK_KEY_MALFORMED',
      twice: 'UNLOCK_KEY_MALFORMED',
      lower: 'UNLOCK_KEY_MALFORMED',
      long: 'INPUT_TOO_LARGE',
      wrong: 'KEY_FILE_WRONG_KEY',
    })
    expect(contentOf(join(data, 'state'))).toEqual(before)

    // The key as the operator copied it, with whatever blanks came along.
    expect(answerOf<StatusAnswer>(await unlock(data, `  ${key}\r\n\n`)).state).toBe('ready')
    expect(refusalCode(await unlock(data, key))).toBe('NOT_LOCKED')
    expect(await namesOf(data)).toEqual(['db'])
  })

  it('is locked with the key that the command has made, which is shown also when the answer is lost', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const { data } = manager
    await create(data, 'db')
    // A manager that dies once it has been asked.
    const dying = sandbox.path('dying')
    mkdirSync(dying)
    const asked: string[] = []
    const server = createServer((request) => {
      asked.push(request.url ?? '')
      request.on('data', (chunk: Buffer) => asked.push(chunk.toString()))
      request.on('end', () => request.socket.destroy())
    }).listen(operatorSocket(dying))
    const lost = await run(['autolock', 'on', '--data', dying, '--json'])
    server.close()
    expect(lost.code).not.toBe(0)
    const [, shown = ''] = /^(SWMKEY-1-[A-Za-z0-9+/]{43})$/m.exec(lost.stderr) ?? []
    expect(asked).toEqual(['/autolock/on', JSON.stringify({ unlockKey: shown })])

    // A refusal has changed nothing, so there is nothing to keep.
    expect((await manager.operate(['autolock', 'rotate'])).stderr).not.toContain('SWMKEY')
    expect((await run(['autolock', 'on', '--data', sandbox.path('none'), '--json'])).stderr).not.toContain('SWMKEY')
    const refused = callManager(data, { path: 'autolock/on', body: { unlockKey: `${shown}marked` } })
    await expect(refused).rejects.toThrowCode('UNLOCK_KEY_MALFORMED')
    await expect(refused).rejects.not.toThrow(/marked/)

    const locked = await callManager<AutolockAnswer>(data, { path: 'autolock/on', body: { unlockKey: shown } })
    expect(locked.unlockKey).toBe(shown)
    await manager.process.kill('SIGKILL')
    await startLocked(sandbox, data)
    expect(answerOf<StatusAnswer>(await unlock(data, shown)).state).toBe('ready')
    expect(await namesOf(data)).toEqual(['db'])
  })

  it('takes a new key after rotate, and none after off, over restarts', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const { data } = manager
    expect(refusalCode(await manager.operate(['autolock', 'rotate']))).toBe('NOT_LOCKED')
    expect(refusalCode(await unlock(data, formatUnlockKey(createUnlockKey(systemRandom))))).toBe('NOT_LOCKED')
    const first = await lockOf(manager, 'on')
    expect(refusalCode(await manager.operate(['autolock', 'on']))).toBe('ALREADY_LOCKED')
    await create(data, 'before-rotate')
    const second = await lockOf(manager, 'rotate')
    expect(second).not.toBe(first)
    await create(data, 'after-rotate')
    await manager.process.kill('SIGTERM')

    const locked = await startLocked(sandbox, data)
    expect(refusalCode(await unlock(data, first))).toBe('KEY_FILE_WRONG_KEY')
    // Two at once: one opens, the other finds it open.
    const both = await Promise.all([unlock(data, second), unlock(data, second)])
    expect(both.some(({ code }) => code === 0)).toBe(true)
    expect(await namesOf(data)).toEqual(['after-rotate', 'before-rotate'])
    answerOf(await run(['autolock', 'off', '--data', data, '--json']))
    answerOf(await run(['autolock', 'off', '--data', data, '--json']))
    await locked.kill('SIGTERM')

    const open = await sandbox.manager()
    expect(await namesOf(data)).toEqual(['after-rotate', 'before-rotate'])
    // Neither key was ever written down.
    const needles = [first, second].map((key) => ({
      name: 'an unlock key',
      bytes: Buffer.from(key.slice('SWMKEY-1-'.length), 'base64'),
    }))
    expect(scanDirectories([join(data, 'state')], needles).findings).toEqual([])
    expect(open.nodeId).toBe(manager.nodeId)
  })

  it('is switched on while others write: nothing acknowledged is lost, nothing old opens', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const { data } = manager
    const acknowledged: string[] = []
    let going = true
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let at = 0; going; at += 1) {
        await create(data, `w${writer}-${at}`)
        acknowledged.push(`w${writer}-${at}`)
      }
    })
    await until('the writers', () => acknowledged.length > 20)
    const clearKeys = contentOf(join(data, 'state')).get('node.key')
    const key = await lockOf(manager, 'on')
    const again = await lockOf(manager, 'rotate')
    going = false
    await Promise.all(writers)
    await manager.process.kill('SIGKILL')
    expect(contentOf(join(data, 'state')).get('node.key')).not.toBe(clearKeys)
    await startLocked(sandbox, data)
    expect(refusalCode(await unlock(data, key))).toBe('KEY_FILE_WRONG_KEY')
    answerOf(await unlock(data, again))
    expect(await namesOf(data)).toEqual([...acknowledged].sort())
  })
})

describe.concurrent('a manager that is killed', () => {
  it.each([0, 1, 2])('while it founds its cluster leaves nothing that stops the next start (%i)', async (round) => {
    await using sandbox = new Sandbox()
    const data = sandbox.path('data')
    const args = ['manager', '--data', data, '--listen', '127.0.0.1:0']
    // Each round waits for another sign of life before the kill; the first kills within the founding for certain.
    const signs = [
      () => existsSync(join(data, 'founding')),
      () => existsSync(join(data, 'founding/node.key')) && readdirSync(join(data, 'founding')).length > 1,
      () => existsSync(join(data, 'state')),
    ]
    const first = sandbox.start(args)
    const end = Date.now() + 15_000
    while (!signs[round]!() && !existsSync(join(data, 'state')) && Date.now() < end) await pause(1)
    await first.kill('SIGKILL')
    const shown = first.events.filter(({ event }) => event === 'join-token').length

    const second = sandbox.start(args)
    await second.wait('ready')
    expect(readdirSync(data).sort()).toEqual(['operator.sock', 'state'])
    // Tokens are shown by the process that made the cluster, and by no other.
    const again = second.events.filter(({ event }) => event === 'join-token').length
    if (shown === 0) expect([0, 2]).toContain(again)
    else expect(again).toBe(0)
    const tokens = await callManager<readonly unknown[]>(data, { path: 'token/ls' })
    expect(tokens).toHaveLength(2)
    await create(data, 'works')
  })

  it('while idle leaves a socket that nobody answers, and the next one takes its place', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    await create(manager.data, 'kept')
    await manager.process.kill('SIGKILL')
    expect(existsSync(join(manager.data, 'operator.sock'))).toBe(true)
    expect(refusalCode(await manager.operate(['status']))).toBe('MANAGER_NOT_RUNNING')
    const again = await sandbox.manager()
    expect(again.nodeId).toBe(manager.nodeId)
    expect(await namesOf(manager.data)).toEqual(['kept'])
    await again.process.kill('SIGTERM')
    expect(readdirSync(manager.data)).toEqual(['state'])
    expect(refusalCode(await manager.operate(['status']))).toBe('MANAGER_NOT_RUNNING')
  })

  it('while it writes loses nothing that it acknowledged', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const { data } = manager
    const acknowledged: string[] = []
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let at = 0; ; at += 1) {
        try {
          await create(data, `w${writer}-${at}`, randomBytes(5_000))
        } catch {
          return
        }
        acknowledged.push(`w${writer}-${at}`)
      }
    })
    await until('the writers', () => acknowledged.length > 40)
    await manager.process.kill('SIGKILL')
    await Promise.all(writers)
    await sandbox.manager()
    const names = new Set(await namesOf(data))
    expect(acknowledged.filter((name) => !names.has(name))).toEqual([])
  })
})

describe('a state directory that was tampered with', () => {
  it('is refused with a code, whatever was done to it', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    await manager.process.kill('SIGTERM')
    const flip = (path: string): void => {
      const bytes = readFileSync(path)
      bytes[Math.floor(bytes.length / 2)]! ^= 1
      writeFileSync(path, bytes)
    }
    const logIn = (state: string): string =>
      join(state, 'log', readdirSync(join(state, 'log')).find((file) => file.endsWith('.log'))!)
    const deeds: Readonly<Record<string, (state: string) => void>> = {
      'key file gone': (state) => {
        rmSync(join(state, 'node.key'))
      },
      'key file changed': (state) => {
        flip(join(state, 'node.key'))
      },
      'log changed': (state) => {
        flip(logIn(state))
      },
      'log gone': (state) => {
        rmSync(join(state, 'log'), { recursive: true })
      },
    }
    const codes = await Promise.all(
      Object.entries(deeds).map(async ([name, act], at) => {
        const data = sandbox.path(`copy-${at}`)
        cpSync(manager.data, data, { recursive: true })
        act(join(data, 'state'))
        const outcome = await run(['manager', '--data', data, '--listen', '127.0.0.1:0', '--json'])
        expect(existsSync(join(data, 'operator.sock'))).toBe(false)
        return [name, refusalCode(outcome)]
      }),
    )
    expect(Object.fromEntries(codes)).toEqual({
      'key file gone': 'JOURNAL_UNREADABLE',
      'key file changed': 'KEY_FILE_MALFORMED',
      'log changed': 'RECORD_NOT_AUTHENTIC',
      'log gone': 'LOG_MISSING',
    })
  })
})
