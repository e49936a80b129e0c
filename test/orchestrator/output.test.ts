import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StatusAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { callManager } from '../../examples/orchestrator/operator/client.ts'
import { operatorSocket } from '../../examples/orchestrator/operator/socket.ts'
import { answerOf, type Outcome, run, Sandbox, until } from './cluster-processes.ts'

const COMMAND = resolve(import.meta.dirname, '../../examples/orchestrator/bin.js')
const FULL = '/dev/full'

/** Runs the command with a standard output that takes nothing. */
function unheard(sandbox: Sandbox, args: readonly string[]) {
  const [full, errors] = [openSync(FULL, 'w'), sandbox.path(`errors-${args[0] ?? ''}`)]
  writeFileSync(errors, '')
  const file = openSync(errors, 'a')
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: ['ignore', full, file] })
  closeSync(full)
  closeSync(file)
  const ended = new Promise<Outcome>((done) => {
    child.on('close', (code, signal) => {
      done({ code, signal, stdout: '', stderr: readFileSync(errors, 'utf8') })
    })
  })
  sandbox.atEnd(() => child.kill('SIGKILL'))
  return { ended, child }
}

describe.skipIf(!existsSync(FULL)).concurrent('a standard output on a full disk', () => {
  it('loses no unlock key that the manager has taken', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const { code, stderr } = await unheard(sandbox, ['autolock', 'on', '--data', manager.data]).ended
    expect(code).toBe(1)
    expect(stderr).toContain('ANSWER_LOST')
    expect(stderr).not.toMatch(/\n\s+at /)
    const [key = ''] = /SWMKEY-1-\S{43}/.exec(stderr) ?? []
    await manager.process.kill('SIGTERM')
    const again = sandbox.start(['manager', '--data', manager.data, '--listen', '127.0.0.1:0'])
    await again.wait('locked')
    const unlocked = await run(['unlock', '--data', manager.data, '--json'], { input: key })
    expect(answerOf<StatusAnswer>(unlocked).state).toBe('ready')
  })

  it('ends no manager: what it announces is lost, and what it does is done', async () => {
    await using sandbox = new Sandbox()
    const data = join(sandbox.directory, 'data')
    const { ended, child } = unheard(sandbox, ['manager', '--data', data, '--listen', '127.0.0.1:0'])
    await until('the manager', async () => {
      const status = await callManager<StatusAnswer>(data, { path: 'status' }).catch(() => null)
      return status?.state === 'ready'
    })
    await callManager(data, { path: 'secret/create', query: { name: 'db', labels: '{}' }, body: Buffer.from('x') })
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('a manager that goes away', () => {
  it('before it answers leaves open whether it was done, and that is said', async () => {
    await using sandbox = new Sandbox()
    const server = createServer((socket) => {
      socket.once('data', () => socket.destroy())
    }).listen(operatorSocket(sandbox.directory))
    const asked = callManager(sandbox.directory, { path: 'secret/rm', body: { secret: 'db' } })
    await expect(asked).rejects.toThrowCode('ANSWER_LOST')
    server.close()
  })
})

describe('a data directory that is a file', () => {
  it('has no manager', async () => {
    await using sandbox = new Sandbox()
    writeFileSync(sandbox.path('file'), '')
    await expect(callManager(sandbox.path('file'), { path: 'status' })).rejects.toThrowCode('MANAGER_NOT_RUNNING')
  })
})
