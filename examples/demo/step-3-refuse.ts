import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openKeyFile, systemClock, systemRandom } from '@leastwise/identity/node'
import { joinCluster, openManagerLink } from '@leastwise/swarm/node'
import { createJoinToken, parseJoinToken } from '@leastwise/tokens'
import { loadCredentials } from '../orchestrator/worker/credentials.ts'
import { otherCluster, startImpostor } from './impostor.ts'
import { operate } from './processes.ts'
import { refusalOf } from './refusal.ts'
import { type Scene, workerAt } from './scene.ts'

const PATIENCE_MS = 10_000

const anyone = () => ({ clock: systemClock, random: systemRandom, signal: AbortSignal.timeout(PATIENCE_MS) })

async function manInTheMiddle({ stage, cluster, clusterId, workerToken }: Scene): Promise<void> {
  const impostor = await startImpostor(clusterId)
  const data = cluster.dataOf('victim')
  const { answer } = await operate([
    'worker',
    '--data',
    data,
    '--join',
    impostor.address,
    '--token-file',
    cluster.tokenFile(workerToken),
  ])
  const code = (answer as { error?: { code: string } } | null)?.error?.code ?? 'nothing was refused'
  stage.refused('a man in the middle with another CA', code, ['CA_DIGEST_MISMATCH'])
  const heard = impostor.heard()
  const onlyTheQuestion =
    impostor.calls.length > 0 && impostor.calls.every((call) => call === '/docker.swarmkit.v1.CA/GetRootCACertificate')
  stage.check('he was asked for the CA and for nothing else', onlyTheQuestion)
  stage.check(
    'he heard neither token nor request',
    !heard.includes(workerToken.slice(-25)) && !heard.includes('CERTIFICATE REQUEST'),
  )
  stage.check('the node kept nothing of it', !existsSync(join(data, 'node.key')))
  await impostor.close()
}

/** Refused, each with its reason. */
export async function refuse(scene: Scene): Promise<void> {
  const { stage, address, clusterId, trustBundle } = scene
  await manInTheMiddle(scene)

  const asManager = await refusalOf(
    async () => await joinCluster({ addresses: [address], token: scene.workerToken, role: 'manager', ...anyone() }),
  )
  stage.refused('a worker token used for a manager', asManager, ['ROLE_NOT_GRANTED'])

  const wrong = createJoinToken({ trustDigest: parseJoinToken(scene.workerToken).trustDigest, random: systemRandom })
  const wrongToken = await refusalOf(
    async () => await joinCluster({ addresses: [address], token: wrong.token, ...anyone() }),
  )
  stage.refused('a wrong token', wrongToken, ['JOIN_TOKEN_REJECTED'])

  const credentials = await loadCredentials(await openKeyFile(join(workerAt(scene, 0).data, 'node.key')))
  if (credentials === null) throw new Error('worker 1 has no credentials')
  using asWorker = openManagerLink(address, { kind: 'identity', credentials })
  const unlockKey = await refusalOf(async () => await asWorker.ca.getUnlockKey({}, { timeoutMs: 5_000 }))
  stage.refused("a worker calling a manager's method", unlockKey, ['CALLER_ROLE'])

  const other = await otherCluster('manager', clusterId)
  using asStranger = openManagerLink(address, {
    kind: 'identity',
    credentials: { ...credentials, ...other.identity, trustBundle: new TextEncoder().encode(trustBundle) },
  })
  await refusalOf(async () => await asStranger.ca.getUnlockKey({}, { timeoutMs: 5_000 }))
  // His connection just ends; the reason is the manager's to know.
  const stranger = (await scene.manager?.wait('connection-refused'))?.['code']
  stage.refused(
    'a peer with a certificate of another cluster',
    typeof stranger === 'string' ? stranger : 'nothing was refused',
    ['PEER_UNTRUSTED'],
  )
}
