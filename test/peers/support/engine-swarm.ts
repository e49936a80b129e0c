import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DockerEngine, Outcome } from './dockerd.ts'

/** `docker swarm join`. */
export const swarmJoin = async (engine: DockerEngine, token: string, address: string): Promise<Outcome> =>
  await engine.docker(['swarm', 'join', '--token', token, address])

/** What an engine says and keeps of the swarm that it is in. */
export interface EngineSwarm {
  readonly state: string
  readonly nodeId: string
  readonly isManager: boolean
}

export async function swarmOf(engine: DockerEngine): Promise<EngineSwarm> {
  const text = await engine.info('{{.Swarm.LocalNodeState}} {{.Swarm.NodeID}} {{.Swarm.ControlAvailable}}')
  const [state = '', nodeId = '', isManager = ''] = text.split(' ')
  return { state, nodeId, isManager: isManager === 'true' }
}

const swarmFile = (engine: DockerEngine, name: string): string =>
  readFileSync(join(engine.directory, 'data', 'swarm', name), 'utf8')

/** The managers that the engine would try after a restart. */
export const keptManagers = (engine: DockerEngine): readonly string[] =>
  (JSON.parse(swarmFile(engine, 'state.json')) as readonly { readonly addr: string }[]).map(({ addr }) => addr)

/** Serial of the certificate in use, in the manager's spelling. */
export const keptSerial = (engine: DockerEngine): string =>
  new X509Certificate(swarmFile(engine, 'certificates/swarm-node.crt')).serialNumber.toLowerCase()

/** The chain of the certificate in use, in PEM. */
export const keptChain = (engine: DockerEngine): string => swarmFile(engine, 'certificates/swarm-node.crt')

/** How often a line like this stands in the engine's log. */
export const logged = (engine: DockerEngine, pattern: RegExp): number =>
  engine
    .log()
    .split('\n')
    .filter((line) => pattern.test(line)).length

/** The engine's own words for what the tests count. */
export const REGISTERED = /msg="agent: registered"/
export const HEARTBEAT = /msg="heartbeat successful to manager/
