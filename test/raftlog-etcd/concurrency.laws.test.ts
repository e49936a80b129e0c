import { createSharedLog, openSharedLog } from '@leastwise/raftlog-etcd'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readAll, testCluster } from './etcd-support.ts'
import { type Fate, faultyClient } from './faulty-client.ts'
import { violations } from './history.ts'
import { appendOne, readWhole, recorder } from './writers.ts'

const FATES: readonly Fate[] = ['fine', 'request lost', 'answer lost', 'late', 'before the next']
const WRITERS = 3
const APPENDS = 8
const { signal } = new AbortController()

describe('several managers over an etcd that loses requests and answers', () => {
  it('have a history that is linearizable: nothing acknowledged is lost, nothing is applied twice', async () => {
    const fates = fc.array(fc.constantFrom(...FATES), { minLength: 1, maxLength: 40 })
    const pauses = fc.array(fc.nat(3), { minLength: 1, maxLength: 40 })
    let lostAnswers = 0
    await fc.assert(
      fc.asyncProperty(fates, pauses, async (chosen, turns) => {
        const cluster = testCluster()
        let at = 0
        const fate = (): Fate => {
          at += 1
          const next = chosen[at % chosen.length]!
          if (next !== 'fine') lostAnswers += 1
          return next
        }
        const pause = async (): Promise<void> => {
          at += 1
          for (let turn = turns[at % turns.length]!; turn > 0; turn -= 1) {
            await new Promise<void>((resolve) => setImmediate(resolve))
          }
        }
        const first = await cluster.create('m0')
        const open = async (id: string) => {
          const parts = cluster.parts(id)
          if (id !== 'm0') await first.membership.admit({ id, publicKey: parts.member.key.publicKey })
          const faulty = faultyClient(parts.etcd, fate, pause)
          return { ...faulty, log: await openSharedLog({ ...parts, etcd: faulty.client, patienceMs: 400 }, { signal }) }
        }
        const managers = await Promise.all(Array.from({ length: WRITERS }, async (_, nth) => await open(`m${nth}`)))
        const seen = recorder()
        await Promise.all(
          managers.map(async ({ log }, who) => {
            for (let nth = 0; nth < APPENDS; nth += 1) {
              await appendOne(seen, log, `w${who}-${nth}`)
              if (nth % 3 === who) await readWhole(seen, log)
            }
          }),
        )
        for (const { arrive } of managers) await arrive()
        const final = (await readAll(first)).map((line) => line.split(':')[2]!)
        expect(violations(seen.calls, final)).toEqual([])
        for (const log of [first, ...managers.map((manager) => manager.log)]) await log.close()
      }),
      { numRuns: 15 },
    )
    expect(lostAnswers).toBeGreaterThan(50)
  })

  it('share what is appended in one turn, and keep its order', async () => {
    const cluster = testCluster()
    const log = await createSharedLog(cluster.parts('m1'), { signal })
    const before = cluster.etcd.revision()
    await Promise.all(Array.from({ length: 200 }, async (_, nth) => await log.append([Uint8Array.of(nth)])))
    expect(cluster.etcd.revision() - before).toBeLessThan(5n)
    const seen: number[] = []
    for await (const { data } of log.entries()) seen.push(data[0]!)
    expect(seen).toEqual(Array.from({ length: 200 }, (_, nth) => nth))
  })
})
