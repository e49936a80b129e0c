import {
  type Eviction,
  type EvictionSet,
  emptyEvictionSet,
  evictionHitting,
  type PeerIdentity,
  parseNodeId,
  withEvictions,
} from '@leastwise/identity'
import { race, type Standing, summarize } from './harness.ts'
import { HOUR_MS, NOW, turns } from './identity-fixture.ts'
import type { Area, ValueRow } from './row.ts'

const ENTRIES = 1_000_000
const SAMPLE = 4096
/** A look-up costs as much as a call of a contestant, so each call makes many. */
const LOOKUPS = 1000

/** Spreads as the random ids and serial numbers of a cluster do. */
const wordOf = (number: number): string =>
  Array.from({ length: 5 }, (_, at) => (Math.imul(number + at, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0')).join(
    '',
  )

const serialOf = (number: number): string => `4a${wordOf(number).slice(2)}`
const nodeIdOf = (number: number): string => wordOf(number).slice(0, 25)
const until = Math.ceil((NOW + 90 * 24 * HOUR_MS) / 1000) * 1000
const at = Math.floor(NOW / 1000) * 1000

function* evictions(): Generator<Eviction, void, void> {
  for (let number = 0; number < ENTRIES; number += 1) {
    const facts = { reason: 'superseded', at, until } as const
    if (number % 2 === 0) yield { kind: 'certificate', serial: serialOf(number), issuerKeyId: null, ...facts }
    else yield { kind: 'node', nodeId: parseNodeId(nodeIdOf(number)), ...facts }
  }
}

/** The set, and what it takes in memory: its buckets with what the platform needs around each. */
function measured(): { readonly set: EvictionSet; readonly bytes: number } {
  const collect = (globalThis as { readonly gc?: () => void }).gc
  collect?.()
  const before = process.memoryUsage()
  const set = withEvictions(emptyEvictionSet, evictions())
  collect?.()
  const after = process.memoryUsage()
  // Without a collector to call, count what is there rather than what is left over.
  let counted = 0
  for (const row of set.buckets.rows) for (const words of row ?? []) counted += (words?.length ?? 0) * 4 + 200
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  return { set, bytes: collect === undefined ? counted : grown }
}

const subjects = (hit: boolean): readonly Pick<PeerIdentity, 'nodeId' | 'serial'>[] =>
  Array.from({ length: SAMPLE }, (_, index) => {
    const number = hit ? index * 2 : ENTRIES + index
    return { nodeId: parseNodeId(nodeIdOf(ENTRIES * 2 + index)), serial: serialOf(number) }
  })

function contestant(name: string, set: EvictionSet, hit: boolean) {
  const next = turns(subjects(hit))
  return {
    name,
    units: LOOKUPS,
    run: () => {
      for (let index = 0; index < LOOKUPS; index += 1)
        if ((evictionHitting(set, next(), NOW) !== null) !== hit) throw new Error('the look-up is wrong')
    },
  }
}

function nanoseconds(job: string, { name, rates }: Standing): ValueRow {
  const { median, spread } = summarize(rates.map((rate) => 1e9 / rate))
  return { job, versus: name, value: median, unit: 'ns', atMost: 1000, median, spread }
}

/** One million evictions: what they take, and how long it takes to find out that a peer is none of them, or one. */
export const eviction: Area = async function* (effort) {
  const { set, bytes } = measured()
  if (set.size !== ENTRIES) throw new Error('two evictions met')
  const megabytes = bytes / 1e6
  yield {
    job: 'one million evictions: memory',
    versus: 'the limit',
    value: megabytes,
    unit: 'MB',
    atMost: 16,
    median: megabytes,
    spread: 0,
  }
  const contestants = [
    contestant('a peer in good standing', set, false),
    contestant('an evicted certificate', set, true),
  ]
  for (const standing of await race(contestants, effort))
    yield nanoseconds('one million evictions: node and certificate looked up', standing)
}
