import { formatDuration } from '../orchestrator/duration.ts'
import type { NodeAnswer } from '../orchestrator/operator/answers.ts'
import { type Scene, workerAt } from './scene.ts'

/** Workers join: CA checked against the token first; node id, role, lifetime, next renewal. */
export async function join(scene: Scene): Promise<void> {
  const { stage, cluster } = scene
  scene.workers = await Promise.all(
    ['worker-1', 'worker-2', 'worker-3'].map(
      async (name, at) =>
        // The first one has a service of its own for the others.
        await cluster.startWorker(name, scene.address, scene.workerToken, at === 0 ? ['--serve', '127.0.0.1:0'] : []),
    ),
  )
  for (const [at, { process, nodeId }] of scene.workers.entries()) {
    const joined = await process.wait('joined')
    const scheduled = await process.wait('renewal-scheduled')
    const left = Number(joined['notAfter']) - joined.at
    const due = Number(scheduled['when']) - joined.at
    stage.fact(
      `worker ${at + 1}`,
      `${nodeId}  role ${String(joined['role'])}  valid ${formatDuration(left)}  renews in ${formatDuration(due)}`,
    )
    const life = Number(joined['notAfter']) - Number(joined['notBefore'])
    const point = (Number(scheduled['when']) - Number(joined['notBefore'])) / life
    stage.check(`worker ${at + 1} renews between 50 % and 80 % of its certificate's life`, point >= 0.5 && point <= 0.8)
  }
  const { isolation, kind } = await workerAt(scene, 0).process.wait('delivery')
  stage.fact('delivery', `${String(kind)}, tasks kept apart by ${String(isolation)}`)
  const nodes = await cluster.operator<readonly NodeAnswer[]>(['node', 'ls'])
  const ready = nodes.filter((node) => node.role === 'worker' && node.state === 'ready').map((node) => node.id)
  stage.check(
    'the manager lists all three as ready workers',
    scene.workers.every(({ nodeId }) => ready.includes(nodeId)) && ready.length === 3,
  )
}
