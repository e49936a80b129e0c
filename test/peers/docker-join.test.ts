import { expect, it } from 'vitest'
import { connectionsTo } from './support/connections.ts'
import { startDockerd } from './support/dockerd.ts'
import { HEARTBEAT, keptManagers, keptSerial, logged, REGISTERED, swarmJoin, swarmOf } from './support/engine-swarm.ts'
import { describePeer, needs } from './support/needs.ts'
import { createSegment } from './support/netns.ts'
import { type ManagerProcess, startManagerProcess } from './support/orchestrator.ts'
import { until } from './support/until.ts'

const inactive = { state: 'inactive', nodeId: '', isManager: false }

/** The same token with another character in the given part. */
const changed = (token: string, part: 'digest' | 'secret'): string => {
  const at = part === 'secret' ? token.length - 1 : 'SWMTKN-1-'.length + 40
  return token.slice(0, at) + (token[at] === 'a' ? 'b' : 'a') + token.slice(at + 1)
}

const others = async (manager: ManagerProcess): Promise<readonly string[]> =>
  (await manager.operator<readonly { id: string; thisManager: boolean }[]>('node', 'ls'))
    .filter(({ thisManager }) => !thisManager)
    .map(({ id }) => id)

describePeer(
  'a stock Docker engine and our manager',
  needs('root', 'dockerd', 'docker', 'ip', 'nsenter', 'setpriv'),
  () => {
    it('joins with a worker token and is the node that we show as ready', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))

      const joined = await swarmJoin(engine, manager.workerToken, manager.address)
      expect(joined).toMatchObject({ code: 0, stdout: 'This node joined a swarm as a worker.' })

      const { state, nodeId, isManager } = await swarmOf(engine)
      expect({ state, isManager }).toEqual({ state: 'active', isManager: false })
      const node = await manager.nodeThat(nodeId, (row) => row.state === 'ready')
      expect(node).toMatchObject({ role: 'worker', certificate: 'issued', serial: keptSerial(engine) })
      expect(await others(manager)).toEqual([nodeId])
      expect(keptManagers(engine)).toEqual([manager.address])
    })

    it('renews when told to, and its session goes on', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      await swarmJoin(engine, manager.workerToken, manager.address)
      const { nodeId } = await swarmOf(engine)
      const before = await manager.nodeThat(nodeId, (row) => row.state === 'ready')
      const session = connectionsTo(manager.pid(), manager.port)
      expect(session).toHaveLength(1)

      await manager.operator('node', 'renew', nodeId)
      await engine.logLine(/forced certificate renewal/)
      const after = await manager.nodeThat(
        nodeId,
        (row) => row.serial !== before.serial && row.certificate === 'issued',
      )
      await until('the engine uses the new certificate', 5_000, () =>
        keptSerial(engine) === after.serial ? true : null,
      )

      const beats = logged(engine, HEARTBEAT)
      await until('another heartbeat', 10_000, () => (logged(engine, HEARTBEAT) > beats ? true : null))
      expect(await swarmOf(engine)).toMatchObject({ state: 'active', nodeId })
      expect(connectionsTo(manager.pid(), manager.port)).toEqual(session)
      expect(logged(engine, REGISTERED)).toBe(1)
      expect(await manager.node(nodeId)).toMatchObject({ state: 'ready', serial: after.serial })
    })

    it('is refused with its own words when a part of the token is wrong', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))

      const digest = await swarmJoin(engine, changed(manager.workerToken, 'digest'), manager.address)
      expect(digest.code).toBe(1)
      expect(digest.stderr).toMatch(/remote CA does not match fingerprint\. Expected: [0-9a-f]{64}$/)

      const secret = await swarmJoin(engine, changed(manager.workerToken, 'secret'), manager.address)
      expect(secret.code).toBe(1)
      expect(secret.stderr).toBe(
        'Error response from daemon: rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster',
      )
      expect(await swarmOf(engine)).toEqual(inactive)
      expect(await others(manager)).toEqual([])
    })

    it('gets no manager certificate for a manager token, since it cannot share the work of one here', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))

      const refused = await swarmJoin(engine, manager.managerToken, manager.address)
      expect(refused.code).toBe(1)
      expect(refused.stderr).toBe(
        'Error response from daemon: rpc error: code = PermissionDenied desc = Permission denied: the join token does not grant the requested role',
      )
      expect(await swarmOf(engine)).toEqual(inactive)
      expect(await others(manager)).toEqual([])
      expect(await manager.operator('token', 'ls')).toContainEqual(
        expect.objectContaining({ role: 'manager', uses: 0 }),
      )
    })

    it('is cut off within a second when it is removed, and stays out', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      await swarmJoin(engine, manager.workerToken, manager.address)
      const { nodeId } = await swarmOf(engine)
      await manager.nodeThat(nodeId, (row) => row.state === 'ready')
      const session = connectionsTo(manager.pid(), manager.port)
      expect(session).toHaveLength(1)

      expect(await manager.operator('node', 'rm', nodeId)).toMatchObject({ cutSessions: 1 })
      await until('the connection is gone', 1_000, () =>
        connectionsTo(manager.pid(), manager.port).some((remote) => session.includes(remote)) ? null : true,
      )
      expect(await others(manager)).toEqual([])

      const refusals = /code = PermissionDenied desc = Permission denied: node has been removed from this cluster/
      await until('several refused attempts', 10_000, () => (logged(engine, refusals) >= 3 ? true : null))
      expect(logged(engine, REGISTERED)).toBe(1)
      expect(await others(manager)).toEqual([])
    })

    it('can come again with a token after it was removed, as another node', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      await swarmJoin(engine, manager.workerToken, manager.address)
      const { nodeId: removed } = await swarmOf(engine)
      await manager.operator('node', 'rm', removed)
      await engine.docker(['swarm', 'leave'])
      expect(await swarmOf(engine)).toEqual(inactive)
      expect(await swarmJoin(engine, manager.workerToken, manager.address)).toMatchObject({ code: 0 })
      const { nodeId } = await swarmOf(engine)
      expect(nodeId).not.toBe(removed)
      await manager.nodeThat(nodeId, (row) => row.state === 'ready')
      expect(await others(manager)).toEqual([nodeId])
    })
  },
)
