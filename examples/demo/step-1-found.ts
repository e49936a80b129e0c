import { createHash } from 'node:crypto'
import { parseJoinToken } from '@leastwise/tokens'
import type { CaAnswer } from '../orchestrator/operator/answers.ts'
import type { Scene } from './scene.ts'

/** The CA is made; fingerprint, cluster id, both tokens. */
export async function found(scene: Scene): Promise<void> {
  const { stage, cluster } = scene
  const manager = cluster.startManager('127.0.0.1:0')
  scene.manager = manager
  const ready = await manager.wait('ready')
  scene.address = String(ready['address'])
  scene.clusterId = String(ready['clusterId'])
  scene.managerId = String(ready['nodeId'])
  for (const role of ['worker', 'manager'] as const) {
    const token = String((await manager.wait('join-token', (line) => line['role'] === role))['token'])
    scene[role === 'worker' ? 'workerToken' : 'managerToken'] = token
    scene.needles.push({ name: `the ${role} token's secret`, bytes: Buffer.from(token.slice(-25)) })
    const parsed = parseJoinToken(token)
    scene.needles.push({
      name: `the ${role} token's secret, decoded`,
      bytes: parsed.secret.expose((bytes) => Uint8Array.from(bytes)),
    })
  }
  const ca = await cluster.operator<CaAnswer>(['ca', 'info'])
  scene.trustBundle = ca.certificate
  stage.fact('cluster', scene.clusterId)
  stage.fact('manager', `${scene.managerId} at ${scene.address}`)
  stage.fact('root fingerprint', ca.fingerprint)
  stage.fact('worker token', scene.workerToken)
  stage.fact('manager token', scene.managerToken)
  const digest = createHash('sha256').update(ca.certificate).digest('hex')
  const inToken = Buffer.from(parseJoinToken(scene.workerToken).trustDigest).toString('hex')
  stage.check('the tokens carry the SHA-256 of the trust bundle', digest === ca.trustDigest && digest === inToken)
}
