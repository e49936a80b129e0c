import { createPrivateKey } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseCertificate } from '@leastwise/identity'
import { openSigner } from '@leastwise/identity/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openRootKeyFile } from '../../examples/orchestrator/manager/root/key-file/root-key-file.ts'
import type { CaAnswer, RootAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testCluster } from '../support/test-authority.ts'
import { type Manager, refusalCode, run, Sandbox, until } from './cluster-processes.ts'
import { credentialsIn } from './issuer-support.ts'

const ISSUING = ['--issue-from', 'intermediate']

let sandbox: Sandbox
let manager: Manager
const file = (): string => sandbox.path('root.pem')
const withFile = (): readonly string[] => ['--root-key-file', file()]

beforeAll(async () => {
  sandbox = new Sandbox()
  manager = await sandbox.manager('manager', '127.0.0.1:0', { more: [...ISSUING, ...withFile()] })
  await manager.process.wait('intermediate')
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

const blockers = async (): Promise<readonly string[]> =>
  (await manager.call<RootAnswer>('root/status')).blockers.map(({ code }) => code)
const ca = async (): Promise<CaAnswer> => await manager.call('ca/info')
const keyIn = (path: string) =>
  openSigner(Uint8Array.from(createPrivateKey(readFileSync(path)).export({ format: 'der', type: 'pkcs8' })))
const restart = async (...more: readonly string[]): Promise<void> => {
  await manager.process.kill('SIGTERM')
  const { workerToken } = manager
  manager = { ...(await sandbox.manager('manager', manager.address, { more })), workerToken }
}
const refused = async (...more: readonly string[]): Promise<string> => {
  const words = ['manager', '--data', manager.data, '--listen', manager.address, '--json']
  return refusalCode(await run([...words, ...more]))
}

describe('a cluster whose root key is in a file', () => {
  it('has it there, for its owner alone, and nowhere else', async () => {
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    expect(keyIn(file()).publicKey).toEqual(parseCertificate((await ca()).certificate).publicKey)
    expect(await ca()).toMatchObject({ rootKey: 'file', issueFrom: 'intermediate' })
    const secret = Buffer.from(createPrivateKey(readFileSync(file())).export({ format: 'jwk' }).d ?? '', 'base64url')
    const state = readdirSync(manager.data, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    expect(state.length).toBeGreaterThan(2)
    for (const { parentPath, name } of state)
      expect(readFileSync(join(parentPath, name)).includes(secret), name).toBe(false)
  })

  it('goes on without it: the file may lie in a safe', async () => {
    const safe = sandbox.path('safe.pem')
    await manager.process.kill('SIGTERM')
    renameSync(file(), safe)
    expect(await refused()).toBe('EXTERNAL_CA_NEEDED')
    expect(await refused(...withFile())).toBe('ROOT_KEY_OUTSIDE')
    await restart(...ISSUING)
    const worker = await sandbox.worker(manager, 'worker')
    expect((await credentialsIn(worker.data)).chain).toHaveLength(2)
    expect(await blockers()).toContain('root-key-elsewhere')
    expect(refusalCode(await manager.operate(['root', 'rotate']))).toBe('ROOT_KEY_OUTSIDE')
    expect((await ca()).rootKey).toBe('elsewhere')
    renameSync(safe, file())
    await restart(...ISSUING, ...withFile())
    await manager.call('node/renew', { node: manager.nodeId })
  })

  it('has the next key beside it when the root changes', async () => {
    const before = readFileSync(file(), 'utf8')
    // It is here, so it stands in nobody's way.
    expect(await blockers()).not.toContain('root-key-elsewhere')
    await manager.call('root/rotate', {})
    await until('all have come over', async () => {
      const { phase } = await manager.call<RootAnswer>('root/status')
      return phase === 'finishing'
    })
    expect(readFileSync(file(), 'utf8')).toBe(before)
    expect(keyIn(`${file()}.2`).publicKey).toEqual(parseCertificate((await ca()).certificate).publicKey)
    expect((await ca()).rootKey).toBe('file')
  })

  it('does not start with a file that others can read, that is no key, or beside another keeper', async () => {
    await manager.process.kill('SIGTERM')
    expect(await refused(...withFile(), '--external-ca', 'https://127.0.0.1:1')).toBe('USAGE')
    chmodSync(file(), 0o640)
    expect(await refused(...withFile())).toBe('USAGE')
    chmodSync(file(), 0o600)
    writeFileSync(file(), 'marked text that is no key')
    const { stderr, stdout } = await run([
      ...['manager', '--data', manager.data, '--listen', manager.address, '--json'],
      ...withFile(),
    ])
    expect(stderr).toContain('USAGE')
    expect(stderr + stdout).not.toContain('marked')
  })
})

it('a key that nothing came of is removed again, and no file is written over', async () => {
  const path = join(tempDir(), 'key.pem')
  writeFileSync(path, 'of somebody else', { mode: 0o600 })
  const keeper = openRootKeyFile(path)
  const { discard } = await keeper.createSigner()
  expect(existsSync(`${path}.2`)).toBe(true)
  await discard()
  expect(existsSync(`${path}.2`)).toBe(false)
  expect(readFileSync(path, 'utf8')).toBe('of somebody else')
  const { root } = await testCluster()
  await expect(openRootKeyFile(`${path}.3`).signer(root)).rejects.toThrowCode('ROOT_KEY_OUTSIDE')
  await expect(openRootKeyFile(join(path, 'none')).createSigner()).rejects.toThrowCode('USAGE')
})
