import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { tempDir } from '../support/temp-dir.ts'

const SOURCES = fileURLToPath(new URL('../../packages/secrets/src', import.meta.url))
const NOBODY = 65534

/** The package's sources as plain JavaScript that any user may read. */
function compiled(): string {
  const out = tempDir()
  chmodSync(out, 0o755)
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  for (const name of readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const { outputText } = ts.transpileModule(readFileSync(join(SOURCES, name), 'utf8'), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        rewriteRelativeImportExtensions: true,
      },
    })
    const file = join(out, name.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, outputText)
  }
  // The one dependency, for the entry point's sake.
  cpSync(fileURLToPath(new URL('../../node_modules/lru-cache', import.meta.url)), join(out, 'node_modules/lru-cache'), {
    recursive: true,
    dereference: true,
  })
  return out
}

/** Whether this process can start others as an ordinary user. */
export const canDropUser = (): boolean =>
  process.geteuid?.() === 0 &&
  spawnSync('setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', process.execPath, '--version'])
    .status === 0

/**
 * Runs a module as an ordinary user, with the package's entry points as `core` and `edge`.
 *
 * @returns What it printed, read as JSON.
 */
export function asOrdinaryUser(script: string): unknown {
  const out = compiled()
  const main = join(out, 'main.js')
  writeFileSync(main, `import * as core from './index.js'\nimport * as edge from './node/index.js'\n${script}`)
  const run = spawnSync(
    'setpriv',
    [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', process.execPath, main],
    { encoding: 'utf8', cwd: '/', timeout: 20_000 },
  )
  if (run.status !== 0) throw new Error(`the ordinary user's process failed: ${run.stderr}`)
  return JSON.parse(run.stdout)
}
