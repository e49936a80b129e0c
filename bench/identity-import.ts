import { spawnSync } from 'node:child_process'
import { rotated, summarize } from './harness.ts'
import type { Area } from './row.ts'

/** Milliseconds that a fresh process takes to import `specifiers`, one after the other. */
function importMs(specifiers: readonly string[]): number {
  const imports = specifiers.map((specifier) => `await import(${JSON.stringify(specifier)})`).join(';')
  const script = `const start = performance.now();${imports};process.stdout.write(String(performance.now() - start))`
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`importing ${specifiers.join(' and ')} failed`)
  return Number(stdout)
}

const CORE: readonly string[] = ['@leastwise/identity']
const WHOLE: readonly string[] = ['@leastwise/identity', '@leastwise/identity/node']
// The library refuses to load without the polyfill.
const THEIRS: readonly string[] = ['reflect-metadata', '@peculiar/x509']

/** Importing the package, in fresh processes that take turns. */
export const importing: Area = async function* (effort) {
  const shares = new Map<readonly string[], number[]>([
    [CORE, []],
    [WHOLE, []],
  ])
  // The first round fills the disk cache and does not count.
  for (let round = -1; round < effort.rounds; round += 1) {
    const took = new Map(rotated([CORE, WHOLE, THEIRS], (round + 3) % 3).map((each) => [each, importMs(each)]))
    if (round >= 0) for (const [ours, all] of shares) all.push(took.get(ours)! / took.get(THEIRS)!)
  }
  for (const [ours, all] of shares) {
    const { median, spread } = summarize(all)
    yield {
      job: `import of ${ours.join(' and ').replace(' and @leastwise/identity', ' and ')}`,
      versus: 'import of @peculiar/x509',
      value: median,
      unit: 'of the time',
      atMost: 0.4,
      median,
      spread,
    }
  }
}
