import { parseArgs } from 'node:util'
import { QUICK, THOROUGH } from './harness.ts'
import { type Area, isMissed, type Row } from './row.ts'
import { table } from './table.ts'

const AREAS: Readonly<Record<string, () => Promise<Area>>> = {
  issue: async () => (await import('./identity.ts')).issue,
  request: async () => (await import('./identity-request.ts')).request,
  authorize: async () => (await import('./identity-authorize.ts')).authorize,
  batch: async () => (await import('./identity-batch.ts')).batch,
  cfssl: async () => (await import('./identity-cfssl.ts')).cfssl,
  swap: async () => (await import('./identity-swap.ts')).swap,
  import: async () => (await import('./identity-import.ts')).importing,
  eviction: async () => (await import('./identity-eviction.ts')).eviction,
  renewals: async () => (await import('./identity-renewals.ts')).renewals,
  seal: async () => (await import('./raftlog.ts')).seal,
  append: async () => (await import('./raftlog-append.ts')).append,
  replay: async () => (await import('./raftlog-replay.ts')).replay,
}

/** Areas that belong together. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  identity: ['issue', 'request', 'authorize', 'batch', 'cfssl', 'swap', 'import', 'eviction', 'renewals'],
  raftlog: ['seal', 'append', 'replay'],
  all: Object.keys(AREAS),
}

const USAGE = `usage: npm run bench -- AREA [--json] [--quick] [--check]

  AREA     one or more of ${Object.keys(AREAS).join(', ')}; identity for the first nine, raftlog for the last three, or all
  --json   one JSON object a line
  --quick  short rounds: a look, not a measurement
  --check  fail when a goal is missed`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
    },
  })
  const names = [...new Set(positionals.flatMap((name) => (Object.hasOwn(GROUPS, name) ? GROUPS[name]! : [name])))]
  const unknown = names.filter((name) => !Object.hasOwn(AREAS, name))
  if (names.length === 0 || unknown.length > 0) {
    console.error(unknown.length > 0 ? `bench: no area ${unknown.join(', ')}\n\n${USAGE}` : USAGE)
    return 2
  }
  const rows: Row[] = []
  for (const name of names) {
    const area = await AREAS[name]!()
    if (!values.json) console.error(`bench: ${name} …`)
    for await (const row of area(values.quick ? QUICK : THOROUGH)) {
      rows.push(row)
      if (values.json) console.log(JSON.stringify(row))
    }
  }
  if (!values.json) console.log(table(rows))
  const missed = rows.filter(isMissed)
  if (values.check) for (const { job, versus } of missed) console.error(`bench: missed: ${job}, against ${versus}`)
  return values.check && missed.length > 0 ? 1 : 0
}

process.exitCode = await main()
