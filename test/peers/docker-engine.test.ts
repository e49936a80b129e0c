import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { mountsOf, processesOf, startDockerd } from './support/dockerd.ts'
import { describePeer, needs } from './support/needs.ts'
import { createSegment, ownNamespaces } from './support/netns.ts'

describePeer('a stock Docker engine', needs('root', 'dockerd', 'docker', 'ip', 'nsenter', 'setpriv'), () => {
  it('starts, reports its swarm inactive, and leaves nothing behind when it stops', async () => {
    const segment = createSegment(['manager', 'engine'])
    const engine = await startDockerd(segment.at('engine'))
    try {
      expect(await engine.info('{{.Swarm.LocalNodeState}}')).toBe('inactive')
      expect(processesOf(engine.directory)).toContain(engine.pid)
    } finally {
      await engine.stop()
      segment[Symbol.dispose]()
    }
    expect(processesOf(engine.directory)).toEqual([])
    expect(mountsOf(engine.directory)).toEqual([])
    expect(existsSync(engine.directory)).toBe(false)
    expect(ownNamespaces()).toEqual([])
  })

  it('reaches another namespace of its segment and nothing else', async () => {
    using segment = createSegment(['manager', 'engine'])
    await using engine = await startDockerd(segment.at('engine'))
    const token = `SWMTKN-1-${'0'.repeat(49)}1-${'0'.repeat(24)}1`
    const join = async (address: string): Promise<string> =>
      (await engine.docker(['swarm', 'join', '--token', token, `${address}:2377`])).stderr
    expect(await join(segment.at('manager').address)).toContain('connection refused')
    expect(await join('192.0.2.1')).toContain('network is unreachable')
  })
})
