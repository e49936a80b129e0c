import type { NodeAnswer } from '../orchestrator/operator/answers.ts'
import type { Scene } from './scene.ts'

/** Every node renews with a new key while its stream stays open. */
export async function renew(scene: Scene): Promise<void> {
  const { stage, cluster } = scene
  const before = await cluster.operator<readonly NodeAnswer[]>(['node', 'ls'])
  const serialOf = (nodes: readonly NodeAnswer[], id: string): string =>
    nodes.find((node) => node.id === id)?.serial ?? ''
  const seen = scene.workers.map(({ process }) => process.announced.length)
  for (const id of [...scene.workers.map(({ nodeId }) => nodeId), scene.managerId])
    await cluster.operator(['node', 'renew', id])
  await Promise.all(scene.workers.map(async ({ process }) => await process.wait('renewed')))
  const after = await cluster.operator<readonly NodeAnswer[]>(['node', 'ls'])
  for (const [at, { nodeId, process }] of scene.workers.entries()) {
    const renewed = await process.wait('renewed')
    const later = process.announced.slice(seen[at])
    stage.check(
      `worker ${at + 1} has a new certificate for a new key, and kept its session`,
      serialOf(after, nodeId) === renewed['serial'] &&
        serialOf(before, nodeId) !== serialOf(after, nodeId) &&
        !later.some((line) => line.event === 'disconnected' || line.event === 'session'),
    )
  }
  stage.check(
    'so has the manager, without a restart',
    serialOf(before, scene.managerId) !== serialOf(after, scene.managerId),
  )
}
