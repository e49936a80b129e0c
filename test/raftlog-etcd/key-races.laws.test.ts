import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { createMemberKey, openSharedLog, type SharedLog } from '@leastwise/raftlog-etcd'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeValue } from '../../packages/raftlog-etcd/src/keys/sealed-value.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { testCluster, text, utf8 } from './etcd-support.ts'
import { type Fate, faultyClient } from './faulty-client.ts'

const call = { signal: new AbortController().signal }
const MANAGERS = 3
const SPARES = 4
const WORK = ['append', 'remove', 'rotate', 'admit', 'snapshot'] as const

type Work = readonly [(typeof WORK)[number], number]

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)

/** What a host does with a log: it follows it, and can make a snapshot of what it has seen. */
function host(log: SharedLog, signal: AbortSignal) {
  let state: readonly string[] = []
  let index = 0n
  const wakers = new Set<() => void>()
  const following = (async () => {
    for await (const step of log.follow({ from: 1n, signal })) {
      if (step.kind === 'snapshot') {
        state = JSON.parse(text(step.snapshot.data)) as string[]
        index = step.snapshot.index
      } else
        for (const entry of step.entries) {
          if (entry.index !== index + 1n) throw new Error(`entry ${entry.index} came after ${index}`)
          state = [...state, text(entry.data)]
          index = entry.index
        }
      for (const wake of wakers) wake()
    }
  })()
  following.catch(() => {
    for (const wake of wakers) wake()
  })
  const ended = following.then(() => null)
  ended.catch(() => undefined)
  const reached = async (least: bigint): Promise<void> => {
    while (index < least) {
      const woken = new Promise<void>((resolve) => wakers.add(resolve))
      // A follower that failed says so here, and nothing waits for it for ever.
      await Promise.race([woken, ended])
    }
  }
  return {
    log,
    following,
    state: () => state,
    reached,
    snapshot: async (least: bigint) => {
      await reached(least)
      return { index, term: 1n, data: utf8(JSON.stringify(state)) }
    },
  }
}

async function play(work: readonly (readonly Work[])[], turns: readonly number[], fates: readonly Fate[]) {
  const cluster = testCluster()
  let at = 0
  const pause = async (): Promise<void> => {
    at += 1
    for (let left = turns[at % turns.length]!; left > 0; left -= 1) await new Promise((done) => setImmediate(done))
  }
  const fate = (): Fate => fates[at % fates.length]!
  const first = await cluster.create('m0')
  const spare = (nth: number) => ({ id: `spare-${nth}`, publicKey: createMemberKey(seededRandom(nth + 1)).publicKey })
  for (let nth = 0; nth < SPARES; nth += 1) await first.membership.admit(spare(nth))
  const control = new AbortController()
  const managers: (ReturnType<typeof host> & { readonly arrive: () => Promise<void> })[] = []
  for (let nth = 0; nth < MANAGERS; nth += 1) {
    const parts = cluster.parts(`m${nth}`)
    if (nth > 0) await first.membership.admit({ id: `m${nth}`, publicKey: parts.member.key.publicKey })
    const faulty = faultyClient(parts.etcd, fate, pause)
    const log = await openSharedLog({ ...parts, etcd: faulty.client }, call)
    managers.push({ ...host(log, control.signal), arrive: faulty.arrive })
  }

  const outcomes: { readonly what: Work[0]; readonly code: string }[] = []
  const acknowledged: string[] = []
  const one = async ({ log, snapshot }: (typeof managers)[number], [what, nth]: Work, value: string): Promise<void> => {
    switch (what) {
      case 'append':
        await log.append([utf8(value)])
        acknowledged.push(value)
        break
      case 'remove':
        await log.membership.remove(spare(nth % SPARES).id, { snapshot })
        break
      case 'rotate':
        await log.rotateDek({ snapshot })
        break
      case 'admit':
        await log.membership.admit(spare(nth % SPARES))
        break
      case 'snapshot': {
        if (log.lastIndex === 0n) break
        const made = await snapshot(log.lastIndex)
        if (made.index < (log.snapshotAt?.index ?? 0n)) break
        await log.saveSnapshot(made)
        await log.compact(made.index)
      }
    }
  }
  await Promise.all(
    managers.map(async (manager, who) => {
      for (const [nth, each] of (work[who] ?? []).entries()) {
        await one(manager, each, `w${who}-${nth}`).then(
          () => outcomes.push({ what: each[0], code: 'ok' }),
          (error: unknown) => outcomes.push({ what: each[0], code: codeOf(error) }),
        )
      }
    }),
  )
  for (const { arrive } of managers) await arrive()
  // Whatever was cut short is finished by whoever comes next.
  const last = host(first, control.signal)
  await first.rotateDek({ snapshot: last.snapshot })
  const end = (await first.refresh()).index
  for (const { reached } of [last, ...managers]) await reached(end)
  const values = (await cluster.etcd.connect().range({ key: '/', end: '0' }, call)).kvs
  const keyIds = new Set(
    values.filter(({ key }) => !key.endsWith('/roster')).map(({ value }) => decodeValue(value, nodeCipherSuite)?.keyId),
  )
  control.abort(new Error('over'))
  for (const { following } of [last, ...managers]) await following.catch(() => undefined)
  const states = [last, ...managers].map(({ state }) => state())
  for (const { log } of [last, ...managers]) await log.close()
  return { outcomes, acknowledged, states, keyIds }
}

const works = fc.array(fc.array(fc.tuple(fc.constantFrom(...WORK), fc.nat(SPARES)), { maxLength: 5 }), {
  minLength: MANAGERS,
  maxLength: MANAGERS,
})
const turns = fc.array(fc.nat(3), { minLength: 1, maxLength: 60 })

const EXPECTED: Readonly<Record<Work[0], readonly string[]>> = {
  append: ['ok', 'LOG_CONFLICT'],
  // Two of them have removed the same one.
  remove: ['ok', 'MEMBER_UNKNOWN'],
  rotate: ['ok'],
  admit: ['ok'],
  snapshot: ['ok', 'LOG_CONFLICT'],
}
const SILENCE = ['APPEND_UNKNOWN', 'ETCD_UNREACHABLE', 'LOG_CONFLICT']

function expectSound({ acknowledged, states, keyIds }: Awaited<ReturnType<typeof play>>): void {
  const [truth = []] = states
  for (const state of states) expect(state).toEqual(truth)
  expect(acknowledged.filter((value) => !truth.includes(value))).toEqual([])
  expect(new Set(truth).size).toBe(truth.length)
  expect(keyIds.size).toBe(1)
}

describe('managers that append, remove members, change the data key and save snapshots at the same moments', () => {
  it('get what they ask for, or a refusal that says what is the matter', { timeout: 30_000 }, async () => {
    let rotations = 0
    await fc.assert(
      fc.asyncProperty(works, turns, async (work, pauses) => {
        const played = await play(work, pauses, ['fine'])
        for (const { what, code } of played.outcomes) {
          expect(EXPECTED[what], what).toContain(code)
          if (code === 'ok' && (what === 'remove' || what === 'rotate')) rotations += 1
        }
        expectSound(played)
      }),
      { numRuns: 15 },
    )
    expect(rotations).toBeGreaterThan(12)
  })

  it('lose nothing and leave nothing under an old key when requests and answers are lost as well', {
    timeout: 30_000,
  }, async () => {
    const fates = fc.array(
      fc.constantFrom<Fate>('fine', 'fine', 'fine', 'request lost', 'answer lost', 'late', 'before the next'),
      { minLength: 1, maxLength: 40 },
    )
    await fc.assert(
      fc.asyncProperty(works, turns, fates, async (work, pauses, chosen) => {
        const played = await play(work, pauses, chosen.includes('fine') ? chosen : [...chosen, 'fine'])
        for (const { what, code } of played.outcomes) expect([...EXPECTED[what], ...SILENCE], what).toContain(code)
        expectSound(played)
      }),
      { numRuns: 12 },
    )
  })
})
