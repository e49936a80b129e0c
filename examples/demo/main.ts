import { parseArgs } from 'node:util'
import { keepCertificates } from './certificates.ts'
import { openCluster } from './cluster.ts'
import { hasEtcd } from './etcd-members.ts'
import type { Scene } from './scene.ts'
import { failOver, joinManagers } from './several-managers.ts'
import { openStage } from './stage.ts'
import { found } from './step-1-found.ts'
import { join } from './step-2-join.ts'
import { refuse } from './step-3-refuse.ts'
import { deliver } from './step-4-deliver.ts'
import { renew } from './step-5-renew.ts'
import { lock } from './step-6-lock.ts'
import { remove } from './step-7-remove.ts'
import { scan } from './step-8-scan.ts'

type Step = readonly [string, (scene: Scene) => Promise<void>]

const STEPS: readonly Step[] = [
  ['A manager makes the cluster: its CA and the join tokens', found],
  ['Three workers join, each checking the CA against its token first', join],
  ['What must be refused is refused', refuse],
  ['A secret reaches the node and the task that were granted it', deliver],
  ['Every node renews with a new key, its stream stays open', renew],
  ['Autolock, a crash in the middle of writing, and the way back', lock],
  ['A node is thrown out', remove],
  ['Tasks end, and nothing secret is on any disk', scan],
]
const MORE_MANAGERS: Step = ['Two more managers join; the three share one sealed log in etcd', joinManagers]
const FAIL_OVER: Step = ['The leading manager is killed, and the cluster goes on', failOver]

const { values: given } = parseArgs({
  options: { json: { type: 'boolean' }, certificates: { type: 'string' }, engine: { type: 'string', default: 'file' } },
})
const json = given.json === true
const onEtcd = given.engine === 'etcd'
if (!onEtcd && given.engine !== 'file') {
  process.stderr.write('demo: the engine is file or etcd\n')
  process.exit(2)
}
if (onEtcd && !hasEtcd()) {
  process.stderr.write(
    'demo: etcd is not installed here; install it (Debian: etcd-server), or leave --engine etcd out\n',
  )
  process.exit(1)
}
const steps = onEtcd
  ? [...STEPS.slice(0, 1), MORE_MANAGERS, ...STEPS.slice(1, -1), FAIL_OVER, ...STEPS.slice(-1)]
  : STEPS
const stage = openStage({ json, write: (text) => process.stdout.write(text), now: () => Date.now() })
const cluster = openCluster()
const scene: Scene = {
  stage,
  cluster,
  manager: null,
  address: '',
  clusterId: '',
  managerId: '',
  trustBundle: '',
  workerToken: '',
  managerToken: '',
  managers: [],
  workers: [],
  needles: [],
}
process.once('SIGINT', () => {
  void cluster.close().then(() => process.exit(130))
})
try {
  if (onEtcd) stage.fact('etcd', `three members, processes ${(await cluster.useEtcd()).pids.join(', ')}`)
  for (const [at, [title, act]] of steps.entries())
    await stage.step({ number: at + 1, title }, async () => {
      await act(scene)
      if (given.certificates !== undefined && scene.workers.length > 0)
        await keepCertificates(scene, given.certificates, `step-${at + 1}`)
    })
  stage.close({ ok: true })
} catch (error) {
  process.exitCode = 1
  stage.close({ ok: false, reason: error instanceof Error ? error.message : 'unknown' })
  if (error instanceof Error && error.name !== 'CheckFailed') process.stderr.write(`${error.stack ?? ''}\n`)
} finally {
  await cluster.close()
}
