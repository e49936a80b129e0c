import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SecretAnswer, TaskAnswer } from '../orchestrator/operator/answers.ts'
import { memoryHolds } from './process-memory.ts'
import { type Scene, workerAt } from './scene.ts'
import { LOOK_AND_STAY, type TaskReport } from './task-script.ts'
import { waitUntil } from './wait-until.ts'

/** A secret with a value that nobody else has, remembered as something that no file may hold. */
export async function createSecret(scene: Scene, name: string): Promise<Uint8Array> {
  const value = Buffer.from(`${name}:${randomBytes(24).toString('hex')}\n`)
  scene.needles.push({ name: `the value of ${name}`, bytes: value.subarray(name.length + 1, -1) })
  await scene.cluster.operator<SecretAnswer>(['secret', 'create', name], value)
  return value
}

/** Starts a task that looks at `paths` and stays. */
export async function startLooking(
  scene: Scene,
  nodeId: string,
  secrets: readonly string[],
  paths: readonly string[],
): Promise<{ readonly task: TaskAnswer; readonly report: TaskReport }> {
  const directory = join(scene.cluster.directory, 'reports')
  mkdirSync(directory, { recursive: true })
  chmodSync(directory, 0o1777)
  const out = join(directory, `${randomBytes(6).toString('hex')}.json`)
  const references = secrets.flatMap((secret) => ['--secret', secret])
  const command = [process.execPath, '-e', LOOK_AND_STAY, out, ...paths]
  const task = await scene.cluster.operator<TaskAnswer>([
    'task',
    'run',
    '--node',
    nodeId,
    ...references,
    '--',
    ...command,
  ])
  const report = await waitUntil('the report of a task', () =>
    existsSync(out) ? (JSON.parse(readFileSync(out, 'utf8')) as TaskReport) : null,
  )
  return { task, report }
}

/** A secret reaches exactly the node and the task that were granted it. */
export async function deliver(scene: Scene): Promise<void> {
  const { stage } = scene
  const value = await createSecret(scene, 'db-password')
  const [one, two, three] = [0, 1, 2].map((at) => workerAt(scene, at))
  if (one === undefined || two === undefined || three === undefined) throw new Error('three workers are needed')

  const begun = Date.now()
  const first = await startLooking(scene, one.nodeId, ['source=db-password,target=password'], ['password'])
  stage.fact(
    'task',
    `${first.task.id} on worker 1, uid ${first.report.uid}, ${Date.now() - begun} ms from command to report`,
  )
  stage.fact('secrets directory', first.report.dir)
  const look = first.report.looks[0]
  stage.check('the task reads back every byte', look?.sha256 === createHash('sha256').update(value).digest('hex'))
  stage.check(
    'the file lies on tmpfs, mode 0400, owned by the task',
    look?.tmpfs === true && look.mode === '0400' && look.own === true,
  )
  stage.check('it is the only file there', first.report.files.length === 1)

  for (const [name, worker] of [
    ['worker 2', two],
    ['worker 3', three],
  ] as const) {
    const sets = worker.process.announced.filter((line) => line.event === 'assigned')
    stage.check(`${name} was assigned no secret`, sets.length > 0 && sets.every((line) => line['secrets'] === 0))
  }
  const needle = Buffer.from(value.subarray('db-password:'.length, -1))
  const held = memoryHolds(one.process.pid, needle)
  if (held === true) {
    stage.check(
      'the value is in the memory of worker 1, and not in that of worker 2 and 3',
      [two, three].every((worker) => memoryHolds(worker.process.pid, needle) === false),
    )
  } else stage.fact('memory', 'this machine does not let us look into processes')

  const started = await one.process.wait('task-started', (line) => line['taskId'] === first.task.id)
  const isolation = String(started['isolation'])
  // At the weakest level the tasks of one user are kept apart by nothing but names, and the demo does not claim more.
  const byPath = isolation === 'directory' ? [] : [`${String(started['deliveredTo'])}/password`]
  const second = await startLooking(scene, one.nodeId, [], ['password', ...byPath])
  stage.check(
    `a second task on worker 1 cannot read it${isolation === 'directory' ? '' : ', not even by its path'}  (kept apart by ${isolation})`,
    second.report.files.length === 0 && second.report.looks.every((each) => !each.readable),
  )
  await scene.cluster.operator(['task', 'rm', second.task.id])
}
