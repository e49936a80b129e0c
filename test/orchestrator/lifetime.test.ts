import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ClusterSettingsAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { answerOf, type Manager, refusalCode, Sandbox, until } from './cluster-processes.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

let sandbox: Sandbox
let manager: Manager

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager()
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const operate = async (...args: readonly string[]) => await manager.operate(args)
const settings = async (): Promise<ClusterSettingsAnswer> => await answerOf(await operate('cluster', 'settings'))

describe('the settings of a cluster', () => {
  it('a shorter lifetime acts at once: every node renews, the manager too, and then nothing is left to do', async () => {
    const worker = await sandbox.worker(manager, 'one')
    const from = Date.now()
    expect(await settings()).toEqual({
      nodeCertificateLifetimeMs: 90 * DAY_MS,
      recoveryGraceMs: 7 * DAY_MS,
      overlong: 0,
    })
    const changed = answerOf<ClusterSettingsAnswer>(await operate('cluster', 'update', '--cert-lifetime', '1h'))
    expect(changed).toMatchObject({ nodeCertificateLifetimeMs: HOUR_MS, overlong: 2 })
    const renewed = await worker.process.wait('renewed')
    expect(renewed['reason']).toBe('asked')
    expect(renewed['notAfter']).toBeLessThanOrEqual(Date.now() + HOUR_MS)
    expect(renewed['notAfter']).toBeGreaterThan(from + HOUR_MS - 2000)
    await manager.process.wait('renewed')
    await until('nobody has a longer one', async () => (await settings()).overlong === 0)
    expect(worker.process.events.filter(({ event }) => event === 'renewed').length).toBe(1)
    expect(worker.process.events.find(({ event }) => event === 'clock-skew')).toMatchObject({ skewed: false })
  })

  it('a longer one makes nobody renew', async () => {
    const before = manager.process.events.filter(({ event }) => event === 'renewed').length
    const changed = answerOf<ClusterSettingsAnswer>(await operate('cluster', 'update', '--cert-lifetime', '30d'))
    expect(changed).toMatchObject({ nodeCertificateLifetimeMs: 30 * DAY_MS, overlong: 0 })
    expect(manager.process.events.filter(({ event }) => event === 'renewed').length).toBe(before)
  })

  it('the grace for expired nodes is set, and taken away', async () => {
    const set = async (grace: string) =>
      answerOf<ClusterSettingsAnswer>(await operate('cluster', 'update', '--recovery-grace', grace)).recoveryGraceMs
    expect(await set('2d')).toBe(2 * DAY_MS)
    expect(await set('none')).toBe(0)
  })

  it('are refused with a code when they make no sense', async () => {
    const update = async (...args: readonly string[]) => refusalCode(await operate('cluster', 'update', ...args))
    expect(await update('--cert-lifetime', '59m')).toBe('LIFETIME_TOO_SHORT')
    expect(await update('--cert-lifetime', '0h')).toBe('USAGE')
    expect(await update('--recovery-grace', '8d')).toBe('USAGE')
  })

  it('nobody waits for approval, and nobody can be approved that does not', async () => {
    expect(answerOf(await operate('node', 'waiting'))).toEqual([])
    const [first] = answerOf<readonly { readonly id: string }[]>(await operate('node', 'ls'))
    expect(refusalCode(await operate('node', 'approve', first?.id ?? ''))).toBe('RECOVERY_UNKNOWN')
    expect(refusalCode(await operate('node', 'approve', 'zzzz'))).toBe('NOT_FOUND')
  })
})
