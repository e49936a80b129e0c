import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type DockerEngine, startDockerd } from './support/dockerd.ts'
import { describePeer, needs } from './support/needs.ts'
import { createSegment, type Namespace } from './support/netns.ts'
import { startProcess, stateDirectory } from './support/orchestrator.ts'
import { until, watchFor } from './support/until.ts'

/** A real Docker manager in the namespace; resolves with its worker token. */
async function initSwarm(engine: DockerEngine): Promise<string> {
  const { address } = engine.namespace
  const made = await engine.docker(['swarm', 'init', '--advertise-addr', address, '--listen-addr', `${address}:2377`])
  expect(made).toMatchObject({ code: 0 })
  return (await engine.docker(['swarm', 'join-token', '--quiet', 'worker'])).stdout
}

const statusOf = async (engine: DockerEngine, nodeId: string): Promise<string> =>
  (await engine.docker(['node', 'inspect', nodeId, '--format', '{{.Spec.Role}} {{.Status.State}}'])).stdout

const startWorker = (directory: string, engine: Namespace, token: string, namespace: Namespace) =>
  startProcess(
    ['worker', '--data', join(directory, 'worker'), '--join', `${engine.address}:2377`, '--token', token],
    namespace,
  )

const ready = async (engine: DockerEngine, nodeId: string): Promise<true> =>
  await until('Docker shows it as ready', 10_000, async () =>
    (await statusOf(engine, nodeId)) === 'worker ready' ? true : null,
  )

describePeer(
  'our agent and a real Docker manager',
  needs('root', 'dockerd', 'docker', 'ip', 'nsenter', 'setpriv'),
  () => {
    it('joins, is shown as ready, and stays so', async () => {
      using directory = stateDirectory()
      using segment = createSegment(['docker', 'worker'])
      await using engine = await startDockerd(segment.at('docker'))
      const token = await initSwarm(engine)
      await using worker = startWorker(directory.path, segment.at('docker'), token, segment.at('worker'))
      const joined = await worker.wait('joined')
      await worker.wait('assignments', ({ kind }) => kind === 'complete')
      await ready(engine, String(joined['nodeId']))
      expect(joined).toMatchObject({ role: 'worker', clusterId: await engine.info('{{.Swarm.Cluster.ID}}') })
      await watchFor(7_000)
      await ready(engine, String(joined['nodeId']))
      expect(worker.announced.filter(({ event }) => event === 'session')).toHaveLength(1)
      expect(worker.announced.filter(({ event }) => event === 'disconnected')).toEqual([])
      // Docker pushes no evictions; that is said once and changes nothing.
      expect(worker.announced.filter(({ event }) => event.startsWith('evictions')).map(({ event }) => event)).toEqual([
        'evictions-unavailable',
      ])
    })

    it('renews at once when the manager asks', async () => {
      using directory = stateDirectory()
      using segment = createSegment(['docker', 'worker'])
      await using engine = await startDockerd(segment.at('docker'))
      const token = await initSwarm(engine)
      await using worker = startWorker(directory.path, segment.at('docker'), token, segment.at('worker'))
      const joined = await worker.wait('joined')
      await worker.wait('session')
      await ready(engine, String(joined['nodeId']))
      // Docker asks its nodes to renew only when its root changes.
      await engine.docker(['swarm', 'ca', '--rotate', '--detach'])
      const renewed = await worker.wait('renewed')
      expect(renewed).toMatchObject({ reason: 'asked' })
      expect(renewed['serial']).not.toBe(joined['serial'])
    })

    it('ends and forgets everything when Docker removes it', async () => {
      using directory = stateDirectory()
      using segment = createSegment(['docker', 'worker'])
      await using engine = await startDockerd(segment.at('docker'))
      const token = await initSwarm(engine)
      await using worker = startWorker(directory.path, segment.at('docker'), token, segment.at('worker'))
      const nodeId = String((await worker.wait('joined'))['nodeId'])
      const delivery = await worker.wait('delivery')
      await worker.wait('session')
      await ready(engine, nodeId)
      expect(existsSync(String(delivery['root']))).toBe(true)
      expect(await engine.docker(['node', 'rm', '--force', nodeId])).toMatchObject({ code: 0 })
      // Docker lets the connection be; the next heartbeat is what tells the node.
      await worker.wait('evicted', undefined, 15_000)
      await worker.wait('wiped')
      expect(await worker.ended()).toBe(1)
      expect(existsSync(join(directory.path, 'worker', 'node.key'))).toBe(false)
      expect(existsSync(String(delivery['root']))).toBe(false)
    })
  },
)
