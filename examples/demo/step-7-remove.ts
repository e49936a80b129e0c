import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyFile } from '@leastwise/identity/node'
import { openManagerLink } from '@leastwise/swarm/node'
import type { NodeAnswer } from '../orchestrator/operator/answers.ts'
import { loadCredentials } from '../orchestrator/worker/credentials.ts'
import { reach } from './direct.ts'
import { refusalOf } from './refusal.ts'
import { type Scene, workerAt } from './scene.ts'
import { createSecret, startLooking } from './step-4-deliver.ts'

/** A node is removed: stream cut, certificate refused, secrets gone. */
export async function remove(scene: Scene): Promise<void> {
  const { stage, cluster } = scene
  const worker = workerAt(scene, 2)
  const value = await createSecret(scene, 'api-key')
  const { task } = await startLooking(scene, worker.nodeId, ['source=api-key'], ['api-key'])
  const root = String((await worker.process.wait('delivery'))['root'])
  stage.check(
    'worker 3 holds a secret, in memory and on tmpfs',
    readdirSync(root).includes(task.id) && value.length > 0,
  )
  const credentials = await loadCredentials(await openKeyFile(join(worker.data, 'node.key')))
  if (credentials === null) throw new Error('worker 3 has no credentials')
  const neighbour = workerAt(scene, 0)
  const service = String((await neighbour.process.wait('serving'))['address'])
  const direct = await reach(service, credentials)
  stage.check("worker 1's own service answers it, with no manager in between", (await direct.ask()) === worker.nodeId)

  const begun = Date.now()
  await cluster.operator(['node', 'rm', worker.nodeId])
  const removed = Date.now()
  const cut = await worker.process.wait('disconnected', (line) => line.at >= begun)
  stage.fact(
    'stream cut',
    `${Math.max(0, cut.at - begun)} ms after the command was given, ${Math.max(0, cut.at - removed)} ms after it returned`,
  )
  stage.check('its open stream is cut within a second', cut.at - begun < 1_000)
  await direct.gone
  const again = await reach(service, credentials)
  const answered = await again.ask()
  const refusal = await neighbour.process.wait('peer-refused', (line) => line.at >= begun)
  stage.check('worker 1 has cut its connection, too', answered === null)
  stage.refused('worker 3 at the service of worker 1', String(refusal['code']), ['PEER_EVICTED'])
  const wiped = await worker.process.wait('wiped')
  stage.check('it wiped its secrets: none in its hold, no file left', wiped['held'] === 0 && wiped['files'] === 0)
  stage.check('its place on tmpfs is gone', !isThere(root))

  using link = openManagerLink(scene.address, { kind: 'identity', credentials })
  const attempts = [
    [
      'opening a session',
      async () => {
        for await (const _ of link.dispatcher.session({}, { timeoutMs: 5_000 })) break
      },
    ],
    [
      'renewing its certificate',
      async () => await link.nodeCa.issueNodeCertificate({ csr: new Uint8Array([1]) }, { timeoutMs: 5_000 }),
    ],
    ['sending a heartbeat', async () => await link.dispatcher.heartbeat({ sessionId: 'x' }, { timeoutMs: 5_000 })],
    ['asking for the trust bundle', async () => await link.ca.getRootCACertificate({}, { timeoutMs: 5_000 })],
  ] as const
  for (const [what, act] of attempts) stage.refused(`the removed node, ${what}`, await refusalOf(act), ['PEER_EVICTED'])
  const nodes = await cluster.operator<readonly NodeAnswer[]>(['node', 'ls'])
  stage.check('the manager lists it no more', !nodes.some((node) => node.id === worker.nodeId))
}

function isThere(directory: string): boolean {
  try {
    readdirSync(directory)
    return true
  } catch {
    return false
  }
}
