import { parseArgs } from 'node:util'
import { keepCertificates } from './certificates.ts'
import { openCluster } from './cluster.ts'
import type { Scene } from './scene.ts'
import { openStage } from './stage.ts'
import { found } from './step-1-found.ts'
import { join } from './step-2-join.ts'
import { refuse } from './step-3-refuse.ts'
import { deliver } from './step-4-deliver.ts'
import { renew } from './step-5-renew.ts'
import { lock } from './step-6-lock.ts'
import { remove } from './step-7-remove.ts'
import { scan } from './step-8-scan.ts'

const STEPS: readonly (readonly [string, (scene: Scene) => Promise<void>])[] = [
  ['A manager makes the cluster: its CA and the join tokens', found],
  ['Three workers join, each checking the CA against its token first', join],
  ['What must be refused is refused', refuse],
  ['A secret reaches the node and the task that were granted it', deliver],
  ['Every node renews with a new key, its stream stays open', renew],
  ['Autolock, a crash in the middle of writing, and the way back', lock],
  ['A node is thrown out', remove],
  ['Tasks end, and nothing secret is on any disk', scan],
]

const { values: given } = parseArgs({ options: { json: { type: 'boolean' }, certificates: { type: 'string' } } })
const json = given.json === true
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
  workers: [],
  needles: [],
}
process.once('SIGINT', () => {
  void cluster.close().then(() => process.exit(130))
})
try {
  for (const [at, [title, act]] of STEPS.entries())
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
