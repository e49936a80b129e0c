import { cpSync, rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { SecretAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { type Manager, run, Sandbox } from './cluster-processes.ts'

const names = async (manager: Manager): Promise<readonly string[]> =>
  (await manager.call<readonly SecretAnswer[]>('secret/ls')).map(({ name }) => name).toSorted()

const create = async (manager: Manager, name: string): Promise<void> => {
  await manager.call('secret/create', new Uint8Array([1]), { name, labels: '{}' })
}

describe('a manager with an anchor', () => {
  it('refuses yesterday’s data directory, unless the operator gives up what is missing', {
    timeout: 60_000,
  }, async () => {
    await using sandbox = new Sandbox()
    const anchor = sandbox.path('anchor')
    const more = ['--anchor', anchor]
    const first = await sandbox.manager('m', '127.0.0.1:0', { more })
    await create(first, 'yesterday')
    await first.process.kill('SIGTERM')
    const copy = sandbox.path('copy')
    cpSync(first.data, copy, { recursive: true })

    const second = await sandbox.manager('m', '127.0.0.1:0', { more })
    await create(second, 'today')
    // Killed: what was acknowledged is anchored all the same.
    await second.process.kill('SIGKILL')
    rmSync(first.data, { recursive: true })
    cpSync(copy, first.data, { recursive: true })

    const start = ['manager', '--data', first.data, '--listen', '127.0.0.1:0', '--json', ...more]
    const refused = await run(start)
    expect(refused.code).toBe(1)
    const { error } = JSON.parse(refused.stdout.trim().split('\n').at(-1) ?? '') as {
      readonly error: { readonly code: string; readonly message: string }
    }
    expect(error.code).toBe('ROLLED_BACK')
    const epoch = /epoch (\d+)/.exec(error.message)?.[1] ?? ''
    expect(epoch).not.toBe('')
    expect((await run([...start, '--accept-rolled-back-log', '77'])).stderr).toContain('ROLLED_BACK')

    const accepted = [...more, '--accept-rolled-back-log', epoch]
    const third = await sandbox.manager('m', '127.0.0.1:0', { more: accepted })
    expect(await names(third)).toEqual(['yesterday'])
    await create(third, 'tomorrow')
    await third.process.kill('SIGTERM')
    // The old copy is older than what came after it, too, and the word of yesterday accepts nothing any more.
    rmSync(first.data, { recursive: true })
    cpSync(copy, first.data, { recursive: true })
    expect((await run([...start, '--accept-rolled-back-log', epoch])).stderr).toContain('ROLLED_BACK')
  })

  it('says what does not go together', async () => {
    await using sandbox = new Sandbox()
    const start = ['manager', '--data', sandbox.path('m'), '--listen', '127.0.0.1:0']
    const wrong = [
      ['--accept-rolled-back-log', '1'],
      ['--anchor', sandbox.path('a'), '--accept-rolled-back-log', 'x'],
      ['--anchor', sandbox.path('a'), '--engine', 'etcd', '--etcd', 'https://127.0.0.1:1'],
    ]
    for (const more of wrong) expect((await run([...start, ...more])).code).toBe(2)
  })
})
