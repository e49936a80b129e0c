import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { createUnlockKey, formatUnlockKey } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import type { AutolockAnswer, SecretAnswer } from '../orchestrator/operator/answers.ts'
import { callManager } from '../orchestrator/operator/client.ts'
import type { Scene } from './scene.ts'

const WRITERS = 16
const WRITE_FOR_MS = 600

/** Writers that store secrets as fast as they can, until the manager is gone; gives the names that were acknowledged. */
async function writeUntilKilled(scene: Scene, kill: () => Promise<unknown>): Promise<readonly string[]> {
  const acknowledged: string[] = []
  let going = true
  const writer = async (number: number): Promise<void> => {
    for (let count = 0; going; count += 1) {
      const name = `load-${number}-${count}`
      try {
        await callManager(scene.cluster.managerData, {
          path: 'secret/create',
          query: { name, labels: '{}' },
          body: randomBytes(64),
        })
        acknowledged.push(name)
      } catch {
        return
      }
    }
  }
  const writers = Array.from({ length: WRITERS }, async (_, number) => {
    await writer(number)
  })
  await pause(WRITE_FOR_MS)
  await kill()
  going = false
  await Promise.all(writers)
  return acknowledged
}

/** Autolock goes on; the manager is killed while it writes, starts locked, and opens for the right key alone. */
export async function lock(scene: Scene): Promise<void> {
  const { stage, cluster } = scene
  const { unlockKey } = await cluster.operator<AutolockAnswer>(['autolock', 'on'])
  if (unlockKey === undefined) throw new Error('autolock gave no key')
  scene.needles.push({ name: 'the unlock key', bytes: Buffer.from(unlockKey.slice('SWMKEY-1-'.length)) })
  stage.fact('unlock key', unlockKey)
  stage.check('the unlock key has the form of Docker Swarm', /^SWMKEY-1-[A-Za-z0-9+/]{43}$/.test(unlockKey))

  const sessions = scene.workers.map(({ process }) => process.announced.length)
  const acknowledged = await writeUntilKilled(scene, async () => await scene.manager?.kill('SIGKILL'))
  stage.fact('killed', `with SIGKILL, ${WRITERS} writers at work, ${acknowledged.length} writes acknowledged`)

  scene.manager = cluster.startManager(scene.address)
  await scene.manager.wait('locked')
  stage.refused('listing secrets on the locked manager', (await cluster.refusal(['secret', 'ls'])) ?? 'nothing', [
    'LOCKED',
  ])
  const wrong = formatUnlockKey(createUnlockKey(systemRandom))
  stage.refused('a wrong unlock key', (await cluster.refusal(['unlock'], `${wrong}\n`)) ?? 'nothing', [
    'KEY_FILE_WRONG_KEY',
  ])
  await cluster.operator(['unlock'], `${unlockKey}\n`)
  const ready = await scene.manager.wait('ready')
  if (ready['repaired'] !== undefined)
    stage.fact('torn tail', `${Number(ready['repaired'])} bytes of an unacknowledged write dropped`)
  const names = new Set(
    (await cluster.operator<readonly SecretAnswer[]>(['secret', 'ls'])).map((secret) => secret.name),
  )
  const lost = acknowledged.filter((name) => !names.has(name))
  stage.check(
    `all ${acknowledged.length} acknowledged writes are there, and what was there before`,
    acknowledged.length > 0 && lost.length === 0 && names.has('db-password'),
  )
  await Promise.all(
    scene.workers.map(async ({ process }, at) => {
      const from = sessions[at] ?? 0
      await process.wait('session', (line) => process.announced.indexOf(line) >= from)
    }),
  )
}
