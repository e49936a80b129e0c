import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Certificate, parseCertificate, parseCertificateChain, parseTrustBundle } from '@leastwise/identity'
import { expect, it } from 'vitest'
import { contentOfKeyFile } from '../orchestrator/key-file-of-a-process.ts'
import { type DockerEngine, startDockerd } from './support/dockerd.ts'
import { keptSerial, swarmJoin, swarmOf } from './support/engine-swarm.ts'
import { describePeer, needs } from './support/needs.ts'
import { createSegment } from './support/netns.ts'
import { type ManagerProcess, startManagerProcess, startProcess, stateDirectory } from './support/orchestrator.ts'
import { until, watchFor } from './support/until.ts'

const NEEDS = ['root', 'dockerd', 'docker', 'ip', 'nsenter', 'setpriv'] as const

const statusOf = async (engine: DockerEngine, nodeId: string): Promise<string> =>
  (await engine.docker(['node', 'inspect', nodeId, '--format', '{{.Status.State}}'])).stdout

/** What a worker of ours keeps. */
async function kept(data: string) {
  const content = await contentOfKeyFile(join(data, 'node.key'))
  if (content.certificateChain == null) throw new Error('the worker keeps no certificate')
  return { chain: parseCertificateChain(content.certificateChain), roots: parseTrustBundle(content.trustBundle).roots }
}

describePeer('our agent in a Docker cluster whose root rotates', needs(...NEEDS), () => {
  it('comes over, stays ready, and trusts the new root alone at the end', async () => {
    using directory = stateDirectory()
    using segment = createSegment(['docker', 'worker'])
    await using engine = await startDockerd(segment.at('docker'))
    const { address } = engine.namespace
    await engine.docker(['swarm', 'init', '--advertise-addr', address, '--listen-addr', `${address}:2377`])
    const { stdout: token } = await engine.docker(['swarm', 'join-token', '--quiet', 'worker'])
    const data = join(directory.path, 'worker')
    const args = ['worker', '--data', data, '--join', `${address}:2377`, '--token', token]
    await using worker = startProcess(args, segment.at('worker'))
    const nodeId = String((await worker.wait('joined'))['nodeId'])
    await worker.wait('session')
    const before = await kept(data)

    // Waits until Docker itself says that every node has come over, and that it has dropped the old root.
    const rotated = await engine.docker(['swarm', 'ca', '--rotate', '--quiet'], { timeoutMs: 60_000 })
    expect(rotated.code).toBe(0)
    const root = new X509Certificate((await engine.docker(['swarm', 'ca'])).stdout)
    expect(root.raw.equals(before.roots[0]!.der)).toBe(false)
    const after = await until('the worker trusts the new root alone', 15_000, async () => {
      const now = await kept(data)
      return now.roots.length === 1 && root.raw.equals(now.roots[0]!.der) ? now : null
    })
    expect(after.chain[0]!.authorityKeyId).toEqual(after.roots[0]!.subjectKeyId)
    await watchFor(6_000)
    expect(await statusOf(engine, nodeId)).toBe('ready')
  })

  it('joins in the middle of it, comes back in the middle of it, and nobody is left behind', async () => {
    using directory = stateDirectory()
    using segment = createSegment(['docker', 'one', 'two', 'three'])
    await using engine = await startDockerd(segment.at('docker'))
    const { address } = engine.namespace
    await engine.docker(['swarm', 'init', '--advertise-addr', address, '--listen-addr', `${address}:2377`])
    const { stdout: token } = await engine.docker(['swarm', 'join-token', '--quiet', 'worker'])
    const data = (name: string): string => join(directory.path, name)
    const run = (name: 'one' | 'two' | 'three', ...more: readonly string[]) =>
      startProcess(['worker', '--data', data(name), '--join', `${address}:2377`, ...more], segment.at(name))
    const rootOf = async (): Promise<X509Certificate> =>
      new X509Certificate((await engine.docker(['swarm', 'ca'])).stdout)

    const sleeper = run('one', '--token', token)
    await sleeper.wait('session')
    await sleeper.stop()
    const first = run('two', '--token', token)
    await first.wait('session')
    const old = await rootOf()
    await engine.docker(['swarm', 'ca', '--rotate', '--detach'])
    // The one that sleeps keeps Docker from ending it, so all that follows happens in between: the manager shows a chain that TLS cannot walk.
    await first.wait('renewed')
    await first.stop()
    await using again = run('two')
    await again.wait('session')
    await using late = run('three', '--token', token)
    const joined = await late.wait('joined')
    await late.wait('session')
    expect((await rootOf()).raw.equals(old.raw)).toBe(true)
    const middle = await kept(data('three'))
    expect(middle.chain).toHaveLength(2)
    expect(middle.chain[1]).toMatchObject({ authorityKeyId: null })

    await using woken = run('one')
    await woken.wait('renewed')
    const root = await until('Docker ends the rotation', 20_000, async () => {
      const now = await rootOf()
      return now.raw.equals(old.raw) ? null : now
    })
    for (const name of ['one', 'two', 'three'])
      await until(`${name} trusts the new root alone`, 15_000, async () => {
        const { roots } = await kept(data(name))
        return roots.length === 1 && root.raw.equals(roots[0]!.der) ? true : null
      })
    await until('the late one is ready', 10_000, async () =>
      (await statusOf(engine, String(joined['nodeId']))) === 'ready' ? true : null,
    )
  })
})

describePeer('a stock Docker engine in our cluster whose root rotates', needs(...NEEDS), () => {
  interface RootRow {
    readonly phase: string
    readonly converged: number
    readonly remaining: number
  }
  const phaseOf = async (manager: ManagerProcess): Promise<string> =>
    (await manager.operator<RootRow>('root', 'status')).phase
  const phase = async (manager: ManagerProcess, wanted: string): Promise<true> =>
    await until(`the rotation is ${wanted}`, 30_000, async () => ((await phaseOf(manager)) === wanted ? true : null))
  const rootOf = async (manager: ManagerProcess): Promise<Certificate> =>
    parseCertificate((await manager.operator<{ readonly certificate: string }>('ca', 'info')).certificate)
  const swarmFile = (engine: DockerEngine, name: string): string =>
    readFileSync(join(engine.directory, 'data', 'swarm', 'certificates', name), 'utf8')

  it('comes over, stays ready through it and a crash of the manager, and others join with tokens of both roots', async () => {
    using segment = createSegment(['manager', 'engine', 'early', 'late'])
    await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
    await using engine = await startDockerd(segment.at('engine'))
    await swarmJoin(engine, manager.workerToken, manager.address)
    const { nodeId } = await swarmOf(engine)
    await manager.nodeThat(nodeId, (row) => row.state === 'ready')
    const old = await rootOf(manager)

    await manager.operator('root', 'rotate', '--token-overlap', '30s')
    await phase(manager, 'finishing')
    const root = await rootOf(manager)
    expect(root.subject.der).not.toEqual(old.subject.der)
    // What the engine keeps: a leaf of the new root, the cross-signed root behind it, and soon the new root alone.
    const [leaf, cross] = parseCertificateChain(swarmFile(engine, 'swarm-node.crt'))
    expect(leaf!.authorityKeyId).toEqual(root.subjectKeyId)
    expect(cross!.authorityKeyId).toEqual(old.subjectKeyId)
    await until('the engine trusts the new root alone', 15_000, () =>
      swarmFile(engine, 'swarm-root-ca.crt') === root.pem ? true : null,
    )
    await manager.nodeThat(nodeId, (row) => row.state === 'ready' && row.serial === keptSerial(engine))

    // Tokens of the old root are good for a while, beside those of the new one.
    await using early = await startDockerd(segment.at('early'))
    expect(await swarmJoin(early, manager.workerToken, manager.address)).toMatchObject({ code: 0 })
    expect(await phaseOf(manager)).toBe('finishing')
    const { token } = await manager.operator<{ readonly token: string }>('token', 'create', 'worker')
    expect(token.slice(0, 60)).not.toBe(manager.workerToken.slice(0, 60))
    await using late = await startDockerd(segment.at('late'))
    expect(await swarmJoin(late, token, manager.address)).toMatchObject({ code: 0 })
    for (const each of [early, late])
      await manager.nodeThat((await swarmOf(each)).nodeId, (row) => row.state === 'ready')

    await phase(manager, 'idle')
    await manager.crash()
    for (const each of [engine, early, late])
      await manager.nodeThat((await swarmOf(each)).nodeId, (row) => row.state === 'ready', 30_000)
    expect((await rootOf(manager)).pem).toBe(root.pem)
    expect(await swarmOf(engine)).toMatchObject({ state: 'active', nodeId })
  })
})
