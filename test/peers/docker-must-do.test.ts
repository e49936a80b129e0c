import { createCsr, MIN_LIFETIME_MS } from '@leastwise/identity'
import { createNodeKey } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { startDockerd } from './support/dockerd.ts'
import { HEARTBEAT, keptManagers, keptSerial, logged, REGISTERED, swarmJoin, swarmOf } from './support/engine-swarm.ts'
import { describePeer, needs } from './support/needs.ts'
import { createSegment } from './support/netns.ts'
import { startManagerProcess } from './support/orchestrator.ts'
import { startProbeManager } from './support/probe-manager.ts'
import { until, watchFor } from './support/until.ts'

describePeer(
  'what breaks a stock Docker engine',
  needs('root', 'dockerd', 'docker', 'ip', 'nsenter', 'setpriv'),
  () => {
    it('offers no protocol once it has renewed, and is served all the same', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using probe = await startProbeManager(segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      expect(await swarmJoin(engine, probe.workerToken, probe.address)).toMatchObject({ code: 0 })
      const { nodeId } = await swarmOf(engine)
      await until('the session', 5_000, () => (probe.registrations() === 1 ? true : null))
      expect(probe.offered).toEqual(['h2'])

      probe.manager.rotate(nodeId)
      await until('the renewal', 10_000, () =>
        probe.manager.nodes.get(nodeId)?.issuedSerials.length === 2 ? true : null,
      )
      await until('the new certificate on disk', 5_000, () =>
        keptSerial(engine) === probe.manager.nodes.get(nodeId)?.issuedSerials[1] ? true : null,
      )
      const before = probe.offered.length
      probe.cut()
      await until('the engine is back', 15_000, () => (probe.registrations() === 2 ? true : null))
      expect(probe.offered.slice(before)).toContain(false)
      expect(await swarmOf(engine)).toMatchObject({ state: 'active', nodeId })
    })

    it('finds the manager again after each of its crashes, before and after a renewal', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using manager = await startManagerProcess(`${segment.at('manager').address}:2377`, segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      await swarmJoin(engine, manager.workerToken, manager.address)
      const { nodeId } = await swarmOf(engine)
      const { serial } = await manager.nodeThat(nodeId, (row) => row.state === 'ready')

      await manager.crash()
      await manager.nodeThat(nodeId, (row) => row.state === 'ready', 20_000)
      expect(keptManagers(engine)).toEqual([manager.address])

      await manager.operator('node', 'renew', nodeId)
      await manager.nodeThat(nodeId, (row) => row.serial !== serial && row.certificate === 'issued')
      await manager.crash()
      await manager.nodeThat(nodeId, (row) => row.state === 'ready', 20_000)
      expect(keptManagers(engine)).toEqual([manager.address])
      expect(logged(engine, REGISTERED)).toBe(3)
      expect(engine.log()).not.toContain('no remote hosts provided')
      expect(await swarmOf(engine)).toMatchObject({ state: 'active', nodeId, isManager: false })
    })

    it('registers once and then only sends heartbeats', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using probe = await startProbeManager(segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      await swarmJoin(engine, probe.workerToken, probe.address)
      await watchFor(11_000)
      expect(probe.registrations()).toBe(1)
      expect(probe.manager.presences.map(({ presence }) => presence)).toEqual(['ready'])
      expect(logged(engine, /msg="agent: session failed"/)).toBe(0)
      expect(logged(engine, HEARTBEAT)).toBeLessThanOrEqual(4)
      expect(logged(engine, HEARTBEAT)).toBeGreaterThanOrEqual(2)
      expect(probe.manager.calls).toMatchObject({ enroll: 1, renew: 0 })
    })

    it('is in no hurry to renew with the shortest lifetime that is issued without a warning', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using probe = await startProbeManager(segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      probe.manager.settings.lifetimeMs = MIN_LIFETIME_MS
      await swarmJoin(engine, probe.workerToken, probe.address)
      const [, hours = '0', minutes = '0'] =
        /scheduled for (?:(\d+)h)?(?:(\d+)m)?/.exec(await engine.logLine(/next certificate renewal scheduled/)) ?? []
      expect(Number(hours) * 60 + Number(minutes)).toBeGreaterThanOrEqual(20)
    })

    it('repeats a renewal that is due without any pause, and is slowed down by us', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using probe = await startProbeManager(segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      const { settings, calls } = probe.manager
      const renewalsWithin = async (ms: number): Promise<number> => {
        const before = calls.renew
        await watchFor(ms)
        return calls.renew - before
      }
      // The engine plans in whole minutes: of this life every instant is past the time for renewal. Each success starts the
      // next one, which shows that the counts below could be other than small.
      settings.lifetimeMs = 60_000
      await swarmJoin(engine, probe.workerToken, probe.address)
      expect(await renewalsWithin(2_000)).toBeGreaterThan(10)

      settings.renewalError = new Error('the authority is away')
      const refused = await renewalsWithin(9_000)
      expect(refused).toBeGreaterThan(0)
      expect(refused).toBeLessThanOrEqual(4)

      settings.renewalError = null
      settings.holdIssuance = true
      await until('a renewal that is held', 10_000, () =>
        [...probe.manager.nodes.values()].some(({ state }) => state.get() === 'renew') ? true : null,
      )
      expect(await renewalsWithin(9_000)).toBeLessThanOrEqual(3)
      expect(probe.registrations()).toBe(1)
    })

    it('takes a certificate only together with its own request, as it was sent', async () => {
      using segment = createSegment(['manager', 'engine'])
      await using probe = await startProbeManager(segment.at('manager'))
      await using engine = await startDockerd(segment.at('engine'))
      const { settings, calls } = probe.manager
      settings.foreignCsr = new TextEncoder().encode((await createCsr(createNodeKey())).pem)
      const args = ['swarm', 'join', '--token', probe.workerToken, probe.address]
      expect((await engine.docker(args, { timeoutMs: 5_000 })).code).toBeNull()
      expect(calls.status).toBeGreaterThan(1)
      expect(await swarmOf(engine)).toMatchObject({ state: 'pending' })
      expect(probe.registrations()).toBe(0)

      settings.foreignCsr = null
      await until('the session', 20_000, () => (probe.registrations() === 1 ? true : null))
      expect(await swarmOf(engine)).toMatchObject({ state: 'active' })
    })
  },
)
