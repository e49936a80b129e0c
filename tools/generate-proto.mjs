// Generates packages/swarm/src/gen from packages/swarm/proto. With --check it writes nothing and fails when the committed output
// is not what would be generated. Uses the plugins in node_modules only.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const proto = join(root, 'packages/swarm/proto')
const committed = join(root, 'packages/swarm/src/gen')
const bin = join(root, 'node_modules/.bin')

const filesOf = (dir) =>
  existsSync(dir)
    ? readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
        .sort()
    : []

function generate(into) {
  const template = {
    version: 'v2',
    plugins: [
      {
        local: join(bin, process.platform === 'win32' ? 'protoc-gen-es.cmd' : 'protoc-gen-es'),
        out: into,
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  }
  const run = spawnSync(
    process.execPath,
    [join(root, 'node_modules/@bufbuild/buf/bin/buf'), 'generate', '--template', JSON.stringify(template)],
    {
      cwd: proto,
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}` },
      encoding: 'utf8',
    },
  )
  if (run.status !== 0) throw new Error(`buf generate failed:\n${run.stderr}${run.error?.message ?? ''}`)
}

function differences(fresh) {
  const names = [...new Set([...filesOf(fresh), ...filesOf(committed)])].sort()
  return names.filter((name) => {
    const [a, b] = [join(fresh, name), join(committed, name)]
    return !existsSync(a) || !existsSync(b) || !readFileSync(a).equals(readFileSync(b))
  })
}

const fresh = mkdtempSync(join(tmpdir(), 'leastwise-gen-'))
try {
  generate(fresh)
  const stale = differences(fresh)
  if (process.argv.includes('--check')) {
    for (const name of stale) console.error(`not current: packages/swarm/src/gen/${name}`)
    if (stale.length > 0) {
      console.error('run: npm run generate')
      process.exitCode = 1
    } else {
      console.log(`generated code is current (${filesOf(fresh).length} files)`)
    }
  } else {
    rmSync(committed, { recursive: true, force: true })
    cpSync(fresh, committed, { recursive: true })
    console.log(`generated ${filesOf(committed).length} files, ${stale.length} changed`)
  }
} finally {
  rmSync(fresh, { recursive: true, force: true })
}
