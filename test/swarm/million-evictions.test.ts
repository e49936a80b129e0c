import {
  createEvictionPublisher,
  type Eviction,
  type EvictionBook,
  evictionBook,
  holdEvictions,
  isSerialEvicted,
  MAX_EVICTIONS,
} from '@leastwise/identity'
import { systemClock, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { MAX_ANSWER_BYTES } from '../../packages/swarm/src/wire/limits.ts'
import { signerOf } from '../identity/eviction-support.ts'
import { probeAgent } from '../support/swarm-probe.ts'
import { startManager } from '../support/swarm-server.ts'
import { testCluster } from '../support/test-authority.ts'

const at = Math.floor(Date.now() / 1000) * 1000

/** The longest that a certificate can have. */
const serialOf = (number: number): string => `4a${number.toString(16).padStart(6, '0')}${'c7'.repeat(16)}`

/** As many as there can be, of the longest form. */
function fullBook(): EvictionBook {
  const issuerKeyId = 'ab'.repeat(32)
  const evictions = Array.from(
    { length: MAX_EVICTIONS },
    (_, number): Eviction => ({
      kind: 'certificate',
      serial: serialOf(number),
      issuerKeyId,
      reason: 'superseded',
      at,
      until: at + 3_600_000,
    }),
  )
  return evictionBook.evolve(evictionBook.initial, { type: 'evictions-added', evictions, sequence: 7 })
}

it('a million evictions, which are too much for one message, reach an agent', { timeout: 90_000 }, async () => {
  const cluster = await testCluster()
  const manager = await cluster.issue({ role: 'manager' })
  const book = fullBook()
  const publisher = createEvictionPublisher({
    clusterId: cluster.clusterId,
    readBook: () => book,
    signAs: () => signerOf(manager),
    clock: systemClock,
    random: systemRandom,
    digest: systemDigest,
  })
  let largest = 0
  let sent = 0
  const running = await startManager({
    cluster,
    evictions: {
      lists: async function* (known, options) {
        for await (const piece of publisher.lists(known, options)) {
          largest = Math.max(largest, piece.length)
          sent += piece.length
          yield piece
        }
      },
    },
  })
  const evictions = holdEvictions({ clusterId: cluster.clusterId, verifier: systemVerifier, digest: systemDigest })
  const agent = probeAgent({ credentials: await running.member(), managers: [running.address], evictions })
  expect(await agent.next('evictions')).toMatchObject({ sequence: 7, evictions: MAX_EVICTIONS })
  expect(sent).toBeGreaterThan(MAX_ANSWER_BYTES)
  expect(largest).toBeLessThan(MAX_ANSWER_BYTES / 200)
  for (const number of [0, 1, MAX_EVICTIONS - 1])
    expect(isSerialEvicted(evictions.view.set, serialOf(number), at)).toBe(true)
  expect(isSerialEvicted(evictions.view.set, serialOf(MAX_EVICTIONS), at)).toBe(false)
})
