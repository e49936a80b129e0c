import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { verifyBackup } from '@leastwise/raftlog'
import { nodeCipherSuite, readBackupFile } from '@leastwise/raftlog/node'
import { createUnlockKey, formatUnlockKey } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import { describe, expect, it } from 'vitest'
import type { BackupAnswer, NodeAnswer, SecretAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { run, Sandbox, until } from './cluster-processes.ts'

describe('a backup of a manager', () => {
  it('makes the same manager on another machine, under the same unlock key', { timeout: 60_000 }, async () => {
    await using sandbox = new Sandbox()
    const first = await sandbox.manager()
    const worker = await sandbox.worker(first, 'w1')
    await first.call('secret/create', new Uint8Array([1]), { name: 'kept', labels: '{}' })

    const file = sandbox.path('manager.backup')
    const early = await first.operate(['backup', file])
    expect(JSON.parse(early.stdout)).toMatchObject({ error: { code: 'NOT_LOCKED' } })
    const { unlockKey } = JSON.parse((await first.operate(['autolock', 'on'])).stdout) as { readonly unlockKey: string }
    const made = JSON.parse((await first.operate(['backup', file])).stdout) as BackupAnswer
    await first.call('secret/create', new Uint8Array([1]), { name: 'too-late', labels: '{}' })
    expect((await first.operate(['backup', file])).code).toBe(1) // never over another one

    const digest = Buffer.from(made.digest, 'hex')
    const verified = await verifyBackup(readBackupFile(file), { suite: nodeCipherSuite, digest })
    expect(verified.proven).toBe('structure')
    expect(readFileSync(file).includes('kept')).toBe(false)

    // The machine is lost.
    const { address } = first
    await first.process.kill('SIGKILL')
    rmSync(first.data, { recursive: true })

    const restore = ['restore', file, '--data', sandbox.path('second'), '--json']
    const wrong = await run(restore, { input: formatUnlockKey(createUnlockKey(systemRandom)) })
    expect(JSON.parse(wrong.stdout)).toMatchObject({ error: { code: 'KEYS_WRONG' } })
    const restored = await run(restore, { input: unlockKey })
    expect(JSON.parse(restored.stdout)).toMatchObject({ nodeId: first.nodeId, entries: made.entries })
    const again = await run(restore, { input: unlockKey })
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'ALREADY_FOUNDED' } })

    const second = sandbox.start(['manager', '--data', sandbox.path('second'), '--listen', address])
    await second.wait('locked')
    const on = ['--data', sandbox.path('second'), '--json']
    expect((await run(['unlock', ...on], { input: unlockKey })).code).toBe(0)
    await second.wait('ready')
    const secrets = JSON.parse((await run(['secret', 'ls', ...on])).stdout) as readonly SecretAnswer[]
    expect(secrets.map(({ name }) => name)).toEqual(['kept'])
    const nodes = JSON.parse((await run(['node', 'ls', ...on])).stdout) as readonly NodeAnswer[]
    expect(nodes.map(({ id }) => id).toSorted()).toEqual([first.nodeId, worker.nodeId].toSorted())
    // The worker that knew the lost one finds this one: it has its identity.
    await until(
      'a second session of the worker',
      () => worker.process.events.filter(({ event }) => event === 'session').length > 1,
    )
  })

  it('gives nodes lists of evictions again, also those that have heard of later ones', {
    timeout: 60_000,
  }, async () => {
    await using sandbox = new Sandbox()
    const first = await sandbox.manager()
    const stays = await sandbox.worker(first, 'stays')
    const goes = await sandbox.worker(first, 'goes')
    const { unlockKey } = JSON.parse((await first.operate(['autolock', 'on'])).stdout) as { readonly unlockKey: string }
    const file = sandbox.path('manager.backup')
    expect((await first.operate(['backup', file])).code).toBe(0)
    await first.call('node/rm', { node: goes.nodeId })
    const numberOf = (line: Readonly<Record<string, unknown>>): number => Number(line['sequence'])
    const heard = await stays.process.wait('evictions', (line) => numberOf(line) > 0 && Number(line['evictions']) > 0)
    await first.process.kill('SIGKILL')

    expect((await run(['restore', file, '--data', sandbox.path('second')], { input: unlockKey })).code).toBe(0)
    const second = sandbox.start(['manager', '--data', sandbox.path('second'), '--listen', first.address])
    await second.wait('locked')
    expect((await run(['unlock', '--data', sandbox.path('second')], { input: unlockKey })).code).toBe(0)
    const later = await stays.process.wait('evictions', (line) => numberOf(line) > numberOf(heard))
    // What the manager has forgotten the node has not.
    expect(later['evictions']).toBe(heard['evictions'])
  })

  it('that is damaged or is none makes nothing', async () => {
    await using sandbox = new Sandbox()
    const file = sandbox.path('file')
    writeFileSync(file, 'no backup')
    const key = formatUnlockKey(createUnlockKey(systemRandom))
    const data = sandbox.path('data')
    const refused = await run(['restore', file, '--data', data, '--json'], { input: key })
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: expect.stringMatching(/^BACKUP_/) as string } })
    // Nothing is left of the attempt: a manager can still be founded there.
    const manager = await sandbox.manager('data')
    expect(manager.workerToken).not.toBe('')
    const missing = await run(['restore', sandbox.path('absent'), '--data', sandbox.path('x'), '--json'], {
      input: key,
    })
    expect(JSON.parse(missing.stdout)).toMatchObject({ error: { code: 'LOG_MISSING' } })
    expect((await run(['restore', file], { input: key })).code).toBe(2)
  })
})
