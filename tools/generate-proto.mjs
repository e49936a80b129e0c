// Generates src/gen from proto in every package that has a proto folder. With --check it writes nothing and fails when the
// committed output is not what would be generated. Uses the plugins in node_modules only.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = join(root, 'node_modules/.bin')

const packages = readdirSync(join(root, 'packages')).filter((name) => existsSync(join(root, 'packages', name, 'proto')))

const filesOf = (dir) =>
  existsSync(dir)
    ? readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
        .sort()
    : []

function generate(proto, into) {
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

function differences(fresh, committed) {
  const names = [...new Set([...filesOf(fresh), ...filesOf(committed)])].sort()
  return names.filter((name) => {
    const [a, b] = [join(fresh, name), join(committed, name)]
    return !existsSync(a) || !existsSync(b) || !readFileSync(a).equals(readFileSync(b))
  })
}

const check = process.argv.includes('--check')
const fresh = mkdtempSync(join(tmpdir(), 'leastwise-gen-'))
try {
  for (const name of packages) {
    const into = join(fresh, name)
    const committed = join(root, 'packages', name, 'src/gen')
    generate(join(root, 'packages', name, 'proto'), into)
    const stale = differences(into, committed)
    if (check && stale.length > 0) {
      for (const file of stale) console.error(`not current: packages/${name}/src/gen/${file}`)
      console.error('run: npm run generate')
      process.exitCode = 1
    } else if (check) {
      console.log(`${name}: generated code is current (${filesOf(into).length} files)`)
    } else {
      rmSync(committed, { recursive: true, force: true })
      cpSync(into, committed, { recursive: true })
      console.log(`${name}: generated ${filesOf(committed).length} files, ${stale.length} changed`)
    }
  }
} finally {
  rmSync(fresh, { recursive: true, force: true })
}
