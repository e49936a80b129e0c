import { spawnSync } from 'node:child_process'
import { rotated, type Standing, summarize } from './harness.ts'
import { type Area, ratioRow } from './row.ts'

const RENEWALS = 1_000_000

interface Taken {
  readonly addMs: number
  readonly bytes: number
}

/**
 * Schedules renewals of certificates that live 20 days (a month would be too long for a timer), drawn as they are drawn, in a
 * process of its own: a million timers leave a heap behind that slows whatever comes after them.
 */
const script = (setUp: string, schedule: string): string => `
  ${setUp}
  const life = 20 * 86400000
  const delays = Float64Array.from({ length: ${RENEWALS} }, () => Math.floor(life * (0.5 + 0.3 * Math.random())))
  const renew = () => { throw new Error('too early') }
  // Buffers that were grown out of are given back in the background.
  const used = async () => {
    for (let round = 0; round < 5; round += 1) { gc(); await new Promise((resolve) => setTimeout(resolve, 20)) }
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const now = Date.now()
  const run = (target, count) => { for (let id = 0; id < count; id += 1) ${schedule} }
  // The first ones are for the compiler.
  for (let round = 0; round < 5; round += 1) run(make(), 2000)
  const target = make()
  const before = await used()
  const start = performance.now()
  run(target, ${RENEWALS})
  const addMs = performance.now() - start
  process.stdout.write(JSON.stringify({ addMs, bytes: (await used() - before) / ${RENEWALS} }))
  process.exit(0)
`

const OURS: string = script(
  "const { createSchedule } = await import('@leastwise/identity'); const make = () => createSchedule()",
  'target.add(id, now + delays[id])',
)
const TIMERS: string = script('const make = () => null', 'setTimeout(renew, delays[id], id)')

function measured(program: string): Taken {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--expose-gc', '--input-type=module', '--eval', program],
    { cwd: import.meta.dirname, encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`scheduling failed: ${stderr}`)
  return JSON.parse(stdout) as Taken
}

const standing = (name: string, taken: readonly Taken[]): Standing => ({
  name,
  rates: taken.map(({ addMs }) => (RENEWALS * 1000) / addMs),
})

/** One million scheduled renewals: how fast they are added, and what each takes, in fresh processes that take turns. */
export const renewals: Area = async function* (effort) {
  const taken = new Map<string, Taken[]>([
    [OURS, []],
    [TIMERS, []],
  ])
  for (let round = 0; round < effort.rounds; round += 1)
    for (const program of rotated([OURS, TIMERS], round % 2)) taken.get(program)!.push(measured(program))
  const ours = taken.get(OURS)!
  const timers = taken.get(TIMERS)!
  const job = 'one million scheduled renewals: add'
  yield ratioRow({ job, unit: 'renewals/s', atLeast: 20 }, standing('leastwise', ours), standing('setTimeout', timers))
  const each = summarize(ours.map(({ bytes }) => bytes))
  const theirs = summarize(timers.map(({ bytes }) => bytes)).median
  yield {
    job: 'one million scheduled renewals: memory of each',
    versus: `the limit (setTimeout: ${Math.round(theirs)})`,
    value: each.median,
    unit: 'bytes',
    atMost: 48,
    ...each,
  }
}
