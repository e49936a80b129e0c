import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { CaAnswer, NodeAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { answerOf, run, Sandbox, until } from '../orchestrator/cluster-processes.ts'
import { contentOfKeyFile } from '../orchestrator/key-file-of-a-process.ts'
import { describePeer, needs } from './support/needs.ts'
import { openssl } from './support/openssl.ts'

describePeer('openssl and the CRL of a running manager', needs('openssl'), () => {
  it('refuses a removed node and the certificate of a former role, and nobody else', async () => {
    await using sandbox = new Sandbox()
    const manager = await sandbox.manager()
    const file = (name: string, text: string): string => {
      const path = sandbox.path(name)
      writeFileSync(path, text)
      return path
    }
    const chainOf = async (data: string): Promise<string> => {
      const content = await contentOfKeyFile(join(data, 'node.key'))
      return content.certificateChain ?? ''
    }
    const [gone, promoted] = [await sandbox.worker(manager, 'gone'), await sandbox.worker(manager, 'promoted')]
    const removed = file('removed.pem', await chainOf(gone.data))
    const former = file('former.pem', await chainOf(promoted.data))
    const root = file('root.pem', (await manager.call<CaAnswer>('ca/info')).certificate)
    const list = sandbox.path('list.pem')
    const judge = async (leaf: string) => {
      writeFileSync(
        list,
        answerOf(await run(['cluster', 'crl', '--data', manager.data]), (text) => text),
      )
      return await openssl('verify', '-x509_strict', '-crl_check', '-CAfile', root, '-CRLfile', list, leaf)
    }
    for (const leaf of [removed, former]) expect((await judge(leaf)).code).toBe(0)

    await manager.call('node/rm', { node: gone.nodeId })
    await manager.call('node/promote', { node: promoted.nodeId })
    for (const leaf of [removed, former]) expect((await judge(leaf)).output).toContain('certificate revoked')
    await until('the new certificate', async () => {
      const nodes = await manager.call<readonly NodeAnswer[]>('node/ls')
      return nodes.find(({ id }) => id === promoted.nodeId)?.certificate === 'issued'
    })
    await promoted.process.wait('renewed')
    expect((await judge(file('present.pem', await chainOf(promoted.data)))).code).toBe(0)
    const { output } = await openssl('crl', '-in', list, '-noout', '-text', '-CAfile', root, '-verify')
    expect(output).toContain('verify OK')
    expect(output).toContain('Affiliation Changed')
    expect(output).toContain('Privilege Withdrawn')
  })
})
