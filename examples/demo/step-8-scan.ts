import { existsSync, readdirSync } from 'node:fs'
import type { TaskAnswer } from '../orchestrator/operator/answers.ts'
import { scanDirectories } from './byte-scan.ts'
import { type Scene, workerAt } from './scene.ts'
import { waitUntil } from './wait-until.ts'

/** Tasks end: the files are gone; nothing secret lies on any disk. */
export async function scan(scene: Scene): Promise<void> {
  const { stage, cluster } = scene
  const tasks = await cluster.operator<readonly TaskAnswer[]>(['task', 'ls'])
  for (const task of tasks) await cluster.operator(['task', 'rm', task.id])
  const roots = await Promise.all(
    [0, 1].map(async (at) => String((await workerAt(scene, at).process.wait('delivery'))['root'])),
  )
  await waitUntil('the end of all tasks', () => (roots.every((root) => readdirSync(root).length === 0) ? true : null))
  stage.check(
    'the tasks ended and their files are gone',
    roots.every((root) => readdirSync(root).length === 0),
  )

  const more = [...scene.managers.map(({ data }) => data), cluster.dataOf('etcd')].filter(existsSync)
  const directories = [cluster.managerData, ...more, ...scene.workers.map(({ data }) => data)]
  const { files, bytes, findings } = scanDirectories(directories, scene.needles)
  stage.fact('scanned', `${files} files, ${bytes} bytes, for ${scene.needles.length} values, also in hex and base64`)
  for (const finding of findings) stage.fact('found', finding)
  stage.check(
    `no secret value, token secret or unlock key is in any file of ${more.length === 0 ? 'manager or workers' : 'managers, workers or etcd'}`,
    files > 0 && findings.length === 0,
  )
}
