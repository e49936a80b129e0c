import { createHash } from 'node:crypto'
import type { NodeAnswer } from '../orchestrator/operator/answers.ts'
import type { DemoManager } from './cluster.ts'
import { type Scene, workerAt } from './scene.ts'
import { createSecret, startLooking } from './step-4-deliver.ts'

/** Two managers join the first: each gets an identity, and the data key of the log wrapped to a key of its own. */
export async function joinManagers(scene: Scene): Promise<void> {
  const { stage, cluster } = scene
  await scene.manager?.wait('leading')
  const managers: DemoManager[] = []
  for (const number of [2, 3])
    managers.push(await cluster.joinManager(`manager-${number}`, scene.address, scene.managerToken))
  scene.managers = managers
  for (const { nodeId } of managers) stage.fact('manager', nodeId)
  const lists = await Promise.all(
    [cluster.managerData, ...managers.map(({ data }) => data)].map(
      async (data) => await cluster.operator<readonly NodeAnswer[]>(['node', 'ls'], '', data),
    ),
  )
  const ids = lists.map((nodes) => nodes.map(({ id }) => id).join())
  stage.check(
    'all three know the same three managers',
    lists[0]?.filter(({ role }) => role === 'manager').length === 3 && new Set(ids).size === 1,
  )
}

/** The leader is killed with SIGKILL; another one takes over, and a new secret still arrives. */
export async function failOver(scene: Scene): Promise<void> {
  const { stage, cluster, manager } = scene
  if (manager === null) throw new Error('there is no manager')
  const everybody = [{ nodeId: scene.managerId, process: manager, data: cluster.managerData }, ...scene.managers]
  const leading = everybody
    .map((one) => ({ one, since: lastOf(one, 'leading') }))
    .toSorted((a, b) => b.since - a.since)[0]?.one
  const others = everybody.filter((one) => one !== leading)
  const [next] = others
  if (leading === undefined || next === undefined) throw new Error('nobody leads')
  const killedAt = Date.now()
  await leading.process.kill('SIGKILL')
  const began = await Promise.any(
    others.map(async ({ process }) => await process.wait('leading', ({ at }) => at >= killedAt)),
  )
  stage.fact('new leader', `${String(began['nodeId'])} after ${began.at - killedAt} ms`)

  const worker = workerAt(scene, 0)
  // The steps before speak to the first manager; from here on to one that lives.
  scene.cluster.speakTo(next.data)
  const value = await createSecret(scene, 'after-the-leader')
  const { report } = await startLooking(scene, worker.nodeId, ['source=after-the-leader'], ['after-the-leader'])
  stage.check(
    'a secret that was made after that reaches its task',
    report.looks[0]?.sha256 === createHash('sha256').update(value).digest('hex'),
  )
  const nodes = await cluster.operator<readonly NodeAnswer[]>(['node', 'ls'])
  stage.check(
    'and the dead manager can be removed',
    nodes.some(({ id }) => id === leading.nodeId),
  )
  await cluster.operator(['node', 'rm', leading.nodeId])
  const left = await cluster.operator<readonly NodeAnswer[]>(['node', 'ls'])
  stage.check('which takes its key to the log away', !left.some(({ id }) => id === leading.nodeId))
}

const lastOf = ({ process }: Pick<DemoManager, 'process'>, event: string): number =>
  process.announced.findLast((line) => line.event === event)?.at ?? 0
