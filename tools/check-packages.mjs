// Proves what a user would get: builds the packages from a clean copy, packs them, looks the tarballs over, installs
// them into an empty project and imports every entry point there, from JavaScript and from TypeScript.
//
//   node tools/check-packages.mjs              all packages
//   node tools/check-packages.mjs tokens ...   these, and those of ours that they depend on
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const readJson = (...path) => JSON.parse(readFileSync(join(...path), 'utf8'))
const own = (manifest) =>
  Object.keys(manifest.dependencies ?? {}).flatMap((name) =>
    name.startsWith('@leastwise/') ? [name.slice('@leastwise/'.length)] : [],
  )

const faults = []
const fault = (where, what) => faults.push(`${where}: ${what}`)

function run(what, command, args, options = {}) {
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20, ...options })
  const text = `${done.stdout ?? ''}${done.stderr ?? ''}`.trim()
  if (done.status !== 0)
    fault(what, text.split('\n').slice(0, 40).join('\n    ') || done.error?.message || `status ${done.status}`)
  return { ok: done.status === 0, stdout: done.stdout ?? '' }
}

const node = (what, args, options) => run(what, process.execPath, args, options)
const bin = (...path) => join(root, 'node_modules', ...path)

/** npm as it was started, else the one of the PATH; without what an outer `npm run` set for this repository. */
function npm(what, args, cwd) {
  const script = process.env.npm_execpath
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(config_(?!cache|registry|userconfig)|package_|lifecycle_)/i.test(name),
    ),
  )
  const [command, ...first] =
    script !== undefined && basename(script).startsWith('npm-cli.') ? [process.execPath, script] : ['npm']
  return run(what, command, [...first, ...args, '--loglevel=error'], { cwd, env })
}

/** The packages asked for and what they need of ours, what is needed first. */
function selection(names) {
  const chosen = []
  const visit = (name) => {
    for (const needed of own(readJson(root, 'packages', name, 'package.json'))) visit(needed)
    if (!chosen.includes(name)) chosen.push(name)
  }
  for (const name of names) visit(name)
  return chosen
}

/**
 * A copy without any earlier output, in which the packages find each other and everything else is the repository's.
 * Building there disturbs nobody, and nothing that an earlier build left behind can end up in a tarball.
 */
function stage(dir, names) {
  for (const file of ['package.json', 'tsconfig.base.json', 'LICENSE', 'types'])
    cpSync(join(root, file), join(dir, file), { recursive: true })
  const modules = join(dir, 'node_modules')
  mkdirSync(join(modules, '@leastwise'), { recursive: true })
  for (const name of readdirSync(bin()))
    if (name !== '@leastwise' && !name.startsWith('.')) symlinkSync(bin(name), join(modules, name))
  for (const name of names) {
    const from = join(root, 'packages', name)
    const to = join(dir, 'packages', name)
    cpSync(from, to, { recursive: true, filter: (path) => !['dist', 'node_modules'].includes(basename(path)) })
    if (existsSync(join(from, 'node_modules'))) symlinkSync(join(from, 'node_modules'), join(to, 'node_modules'))
    symlinkSync(to, join(modules, '@leastwise', name))
  }
}

function build(dir, names) {
  const projects = names.flatMap((name) =>
    readdirSync(join(dir, 'packages', name))
      .filter((file) => /^tsconfig.*\.json$/.test(file))
      .map((file) => join('packages', name, file)),
  )
  return node('build', [bin('typescript', 'bin', 'tsc'), '-b', ...projects], { cwd: dir }).ok
}

function pack(dir, name) {
  const what = `${name}: npm pack`
  const { ok, stdout } = npm(
    what,
    ['pack', '--json', '--ignore-scripts', '--pack-destination', dir],
    join(dir, 'packages', name),
  )
  if (!ok) return null
  const reported = JSON.parse(stdout)
  const { filename, files } = Array.isArray(reported) ? reported[0] : Object.values(reported)[0]
  return { name, path: join(dir, basename(filename)), files: files.map(({ path }) => path) }
}

function checkFiles(dir, { name, files }) {
  const manifest = readJson(dir, 'packages', name, 'package.json')
  for (const file of files) {
    const wanted = /^(package\.json|README\.md|LICENSE|bin\/.+\.js|src\/.+\.ts|dist\/.+(\.js|\.d\.ts)(\.map)?)$/.test(
      file,
    )
    if (!wanted || /\.(test|laws|bench)\./.test(file)) fault(name, `${file} does not belong into the tarball`)
  }
  const targets = Object.values(manifest.exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  )
  for (const file of ['README.md', 'LICENSE', ...targets.map((target) => target.replace('./', ''))]) {
    if (!files.includes(file)) fault(name, `${file} is missing from the tarball`)
  }
  for (const file of files) {
    const source = /^dist\/(.+?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file)?.[1]
    if (source !== undefined && !files.includes(`src/${source}.ts`)) fault(name, `${file} has no source in the tarball`)
  }
}

async function lint(dir, { name, path }) {
  const { publint } = await import('publint')
  const { formatMessage } = await import('publint/utils')
  const tarball = readFileSync(path)
  const { messages, pkg } = await publint({
    strict: true,
    pack: { tarball: tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength) },
  })
  for (const message of messages)
    fault(`${name}: publint`, formatMessage(message, pkg, { color: false }) ?? message.code)
  // `node10` cannot read subpath exports and `require` of an ES module is the caller's affair: the packages are ESM only.
  node(
    `${name}: attw`,
    [
      bin('@arethetypeswrong', 'cli', 'dist', 'index.js'),
      '--profile',
      'esm-only',
      '--format',
      'ascii',
      '--no-emoji',
      path,
    ],
    { cwd: dir, env: { ...process.env, NO_COLOR: '1' } },
  )
}

const identifier = (specifier) => specifier.replaceAll(/[^a-z0-9]+/gi, '_')

function consume(dir, names, tarballs) {
  mkdirSync(dir)
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  const types = `@types/node@${readJson(root, 'package.json').devDependencies['@types/node']}`
  const flags = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund']
  if (!npm('install into an empty project', ['install', ...flags, types, ...tarballs.map(({ path }) => path)], dir).ok)
    return
  for (const name of names) {
    if (realpathSync(join(dir, 'node_modules', '@leastwise', name)).startsWith(root))
      fault(name, 'came from the repository, not from its tarball')
  }

  const specifiers = names.flatMap((name) => {
    const manifest = readJson(root, 'packages', name, 'package.json')
    return Object.keys(manifest.exports)
      .filter((subpath) => subpath !== './package.json')
      .map((subpath) => `${manifest.name}${subpath.slice(1)}`)
  })
  for (const specifier of specifiers) {
    const script = `const loaded = await import('${specifier}'); if (Object.keys(loaded).length === 0) throw new Error('exports nothing')`
    node(`import of ${specifier} from JavaScript`, ['--input-type=module', '--eval', script], { cwd: dir })
  }
  const closed = specifiers.map(
    (specifier) =>
      `import('${specifier}/index.js').then(() => { throw new Error('${specifier}/index.js is reachable') }, (error) => { if (error.code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error })`,
  )
  node(
    'what is not exported stays closed',
    ['--input-type=module', '--eval', `await Promise.all([${closed.join(', ')}])`],
    { cwd: dir },
  )

  writeFileSync(
    join(dir, 'consumer.ts'),
    specifiers
      .map(
        (specifier) =>
          `import * as ${identifier(specifier)} from '${specifier}'\nexport const _${identifier(specifier)}: object = ${identifier(specifier)}\n`,
      )
      .join(''),
  )
  const compilerOptions = {
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable', 'dom'],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
  }
  writeFileSync(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consumer.ts'] }))
  node('import from TypeScript', [bin('typescript', 'bin', 'tsc'), '-p', '.'], { cwd: dir })
  console.log(`check-packages: ${specifiers.length} entry points imported from JavaScript and TypeScript`)
}

const asked = process.argv.slice(2)
const names = selection(asked.length > 0 ? asked : readdirSync(join(root, 'packages')))
const dir = realpathSync(mkdtempSync(join(tmpdir(), 'leastwise-packages-')))
try {
  stage(dir, names)
  if (build(dir, names)) {
    const tarballs = names.map((name) => pack(dir, name)).filter((tarball) => tarball !== null)
    for (const tarball of tarballs) {
      checkFiles(dir, tarball)
      await lint(dir, tarball)
      console.log(`check-packages: ${tarball.name}: ${tarball.files.length} files`)
    }
    if (tarballs.length === names.length) consume(join(dir, 'consumer'), names, tarballs)
  }
} finally {
  rmSync(dir, { recursive: true, force: true })
}
for (const line of faults) console.error(`check-packages: ${line}`)
console.log(
  faults.length === 0 ? `check-packages: ${names.join(', ')}: good` : `check-packages: ${faults.length} faults`,
)
process.exitCode = faults.length === 0 ? 0 : 1
