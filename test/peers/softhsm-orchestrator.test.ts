import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCertificate } from '@leastwise/identity'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type {
  CaAnswer,
  CrlAnswer,
  OperatorIdentityAnswer,
  RootAnswer,
} from '../../examples/orchestrator/operator/answers.ts'
import { createIdentityFile } from '../../examples/orchestrator/operator/remote/identity-file.ts'
import { type Manager, refusalCode, run, Sandbox, until } from '../orchestrator/cluster-processes.ts'
import { describePeer } from './support/needs.ts'
import { lacksSoftHsm, type SoftHsm, softHsm } from './support/softhsm.ts'

const PIN = 'marked-pin-0815'
const TEST_MS = 60_000

describePeer('an orchestrator whose root key is in a token', lacksSoftHsm(), () => {
  let sandbox: Sandbox
  let hsm: SoftHsm & Disposable
  const options = (token: string, key = 'root'): readonly string[] => {
    const pin = sandbox.path(`${token}.pin`)
    writeFileSync(pin, `${PIN}\n`, { mode: 0o600 })
    return ['--hsm-library', hsm.library, '--hsm-token', token, '--hsm-key', key, '--hsm-pin-file', pin]
  }
  const ca = async (manager: Manager): Promise<CaAnswer> => await manager.call<CaAnswer>('ca/info')
  const refused = async (name: string, more: readonly string[]): Promise<string> =>
    refusalCode(await run(['manager', '--data', sandbox.path(name), '--listen', '127.0.0.1:0', '--json', ...more]))
  const rotated = async (manager: Manager): Promise<CaAnswer> => {
    const before = await ca(manager)
    await manager.call('root/rotate', {})
    await until('all have come over', async () => {
      const { phase } = await manager.call<RootAnswer>('root/status')
      return phase === 'finishing'
    })
    const after = await ca(manager)
    expect(after.certificate).not.toBe(before.certificate)
    return after
  }

  beforeAll(() => {
    sandbox = new Sandbox()
    hsm = softHsm()
    for (const label of ['founding', 'moving', 'empty']) hsm.addToken(label, PIN)
  })
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]()
    hsm[Symbol.dispose]()
  })

  it('signs nodes, lists and operators, and rotates to another key in the token', { timeout: TEST_MS }, async () => {
    const manager = await sandbox.manager('founding', '127.0.0.1:0', { more: options('founding') })
    await sandbox.worker(manager, 'w1')
    expect(await ca(manager)).toMatchObject({ rootKey: 'hsm', externalCa: null })
    expect((await manager.call<CrlAnswer>('cluster/crl', {})).entries).toBe(0)
    const csr = await createIdentityFile(sandbox.path('anna.identity'))
    const issued = await manager.call<OperatorIdentityAnswer>('operator/issue', { name: 'anna', csr })
    expect(parseCertificate(issued.certificate).subject.attributes.length).toBeGreaterThan(0)
    expect((await rotated(manager)).rootKey).toBe('hsm')

    await manager.process.kill('SIGKILL')
    const again = await sandbox.manager('founding', manager.address, { more: options('founding') })
    // The old token is good for both roots yet; what signs is the new key, by another process.
    await sandbox.worker(again, 'w2', { token: manager.workerToken })
    expect((await ca(again)).rootKey).toBe('hsm')
    await again.process.kill('SIGTERM')
    // Not without the token, and not with another one.
    expect(await refused('founding', [])).toBe('EXTERNAL_CA_NEEDED')
    expect(await refused('founding', options('empty'))).toBe('ROOT_KEY_OUTSIDE')
  })

  it('moves in from the log by a rotation, without a gap', { timeout: TEST_MS }, async () => {
    const plain = await sandbox.manager('moving')
    await sandbox.worker(plain, 'w3')
    expect((await ca(plain)).rootKey).toBe('log')
    await plain.process.kill('SIGTERM')
    const manager = await sandbox.manager('moving', plain.address, { more: options('moving') })
    expect((await ca(manager)).rootKey).toBe('log')
    expect((await rotated(manager)).rootKey).toBe('hsm')
  })

  it('is refused with its reason before anything is made', { timeout: TEST_MS }, async () => {
    const good = options('empty')
    const pin = sandbox.path('wrong.pin')
    writeFileSync(pin, 'wrong\n')
    expect(await refused('a', good.slice(0, 6))).toBe('USAGE')
    expect(await refused('a', [...good.slice(0, 7), pin])).toBe('HSM_PIN_REFUSED')
    expect(await refused('a', options('nowhere'))).toBe('HSM_TOKEN_ABSENT')
    expect(await refused('a', [...good, '--external-ca', 'https://127.0.0.1:1'])).toBe('USAGE')
    expect(await refused('a', ['--hsm-library', '/dev/null', ...good.slice(2)])).toBe('HSM_LIBRARY_INVALID')
  })

  it('leaves neither the PIN nor a key of the root in a file of a manager', () => {
    const files = readdirSync(sandbox.directory, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    const own = files.filter(({ name }) => !name.endsWith('.pin'))
    expect(own.length).toBeGreaterThan(10)
    for (const { parentPath, name } of own) expect(readFileSync(join(parentPath, name)).includes(PIN), name).toBe(false)
  })
})
