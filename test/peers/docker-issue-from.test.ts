import { join } from 'node:path'
import { managerOfIntermediate, parseCertificateChain } from '@leastwise/identity'
import { expect, it } from 'vitest'
import type { NodeAnswer } from '../../examples/orchestrator/operator/answers.ts'
import { callManager } from '../../examples/orchestrator/operator/client.ts'
import { startDockerd } from './support/dockerd.ts'
import { keptChain, keptSerial, swarmJoin, swarmOf } from './support/engine-swarm.ts'
import { describePeer, needs } from './support/needs.ts'
import { createSegment } from './support/netns.ts'
import { startProcess, stateDirectory } from './support/orchestrator.ts'
import { until } from './support/until.ts'

const NEEDS = ['root', 'dockerd', 'docker', 'ip', 'nsenter', 'setpriv'] as const

describePeer('a stock Docker engine and a manager that issues from an intermediate of its own', needs(...NEEDS), () => {
  it.each([
    { as: 'a node', more: [], uris: [] },
    { as: 'a workload', more: ['--spiffe-trust-domain', 'prod.example'], uris: ['spiffe://prod.example/node/'] },
  ])('joins, is ready, and renews from there, as $as', async ({ more, uris }) => {
    using directory = stateDirectory()
    using segment = createSegment(['manager', 'engine'])
    const data = join(directory.path, 'manager')
    const address = `${segment.at('manager').address}:2377`
    const words = ['manager', '--data', data, '--listen', address, '--issue-from', 'intermediate', ...more]
    await using manager = startProcess(words, segment.at('manager'))
    const { token } = await manager.wait('join-token', ({ role }) => role === 'worker')
    const { serial: intermediate } = await manager.wait('intermediate')
    const urisOf = (pem: string): readonly string[] =>
      parseCertificateChain(pem)[0]!.altNames.flatMap((name) => (name.kind === 'uri' ? [name.value] : []))
    const { nodeId: managerId } = await manager.wait('ready')
    await using engine = await startDockerd(segment.at('engine'))
    expect(await swarmJoin(engine, String(token), address)).toMatchObject({ code: 0 })
    const { state, nodeId, isManager } = await swarmOf(engine)
    expect({ state, isManager }).toEqual({ state: 'active', isManager: false })

    const nodeThat = async (matches: (node: NodeAnswer) => boolean): Promise<NodeAnswer> =>
      await until('the node is as expected', 15_000, async () => {
        const all = await callManager<readonly NodeAnswer[]>(data, { path: 'node/ls' })
        return all.find((node) => node.id === nodeId && matches(node)) ?? null
      })
    const before = await nodeThat((node) => node.state === 'ready')
    const [leaf, issuer, ...others] = parseCertificateChain(keptChain(engine))
    expect(others).toEqual([])
    expect(urisOf(keptChain(engine))).toEqual(uris.map((prefix) => prefix + nodeId))
    expect([leaf!.serial, issuer!.serial]).toEqual([before.serial, intermediate])
    expect(managerOfIntermediate(issuer!)).toBe(managerId)

    await callManager(data, { path: 'node/renew', body: { node: nodeId } })
    const after = await nodeThat((node) => node.serial !== before.serial && node.certificate === 'issued')
    await until('the engine uses the new certificate', 5_000, () => (keptSerial(engine) === after.serial ? true : null))
    expect(parseCertificateChain(keptChain(engine))[1]!.serial).toBe(intermediate)
    expect(await nodeThat((node) => node.state === 'ready')).toMatchObject({ serial: after.serial })
  })
})
