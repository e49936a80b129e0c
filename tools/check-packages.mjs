// Proves what a user would get: builds the packages from a clean copy, packs them, looks the tarballs over, installs
// them into an empty project and uses them there: every entry point from JavaScript, from TypeScript and through a
// bundler, every command, and a thread.
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
import { isBuiltin } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, join, relative, resolve } from 'node:path'
import { rolldown } from 'rolldown'
import { parseAst } from 'rolldown/parseAst'
import { bundle, bundlePackages, entriesOf } from './bundle.mjs'

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

async function build(dir, names) {
  const projects = names.flatMap((name) =>
    readdirSync(join(dir, 'packages', name))
      .filter((file) => /^tsconfig.*\.json$/.test(file))
      .map((file) => join('packages', name, file)),
  )
  if (!node('build', [bin('typescript', 'bin', 'tsc'), '-b', ...projects], { cwd: dir }).ok) return false
  await bundlePackages(dir, names)
  return true
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
    const source = /^dist\/(.+?)\.d\.ts(?:\.map)?$/.exec(file)?.[1]
    if (source !== undefined && !files.includes(`src/${source}.ts`)) fault(name, `${file} has no source in the tarball`)
  }
}

/** A core alone, the same beside what it shares with `/node`, and that with what `/node` shares with threads and commands. */
const MAX_FILES_LOADED = 3

/** The files below dist that importing `file` loads, what they import from elsewhere, and what of that only for its effects. */
function reach(dist, file) {
  const files = new Set()
  const outside = new Set()
  const effects = new Set()
  const visit = (path) => {
    if (files.has(path)) return
    files.add(path)
    const { body } = parseAst(readFileSync(path, 'utf8'))
    for (const { type, source, specifiers } of body) {
      if (!source) continue
      if (source.value.startsWith('.')) visit(join(path, '..', source.value))
      else {
        outside.add(source.value)
        if (type === 'ImportDeclaration' && specifiers.length === 0) effects.add(source.value)
      }
    }
  }
  visit(join(dist, file))
  return { files, outside, effects }
}

/** Few files, each source in one of them, no built-in outside of `node/`, and the same bytes from another directory. */
async function checkBundles(dir, { name, files }) {
  const dist = join(dir, 'packages', name, 'dist')
  const entries = entriesOf(join(dir, 'packages', name), name).map((stem) => `${stem}.js`)
  const loaded = new Set()
  for (const entry of entries) {
    if (!files.includes(`dist/${entry}`)) fault(name, `dist/${entry} is missing from the tarball`)
    const reached = reach(dist, entry)
    for (const file of reached.files) loaded.add(file)
    if (reached.files.size > MAX_FILES_LOADED)
      fault(name, `${entry} loads ${reached.files.size} files, at most ${MAX_FILES_LOADED} are wanted`)
    const builtins = [...reached.outside].filter((specifier) => isBuiltin(specifier))
    if (!entry.startsWith('node/') && builtins.length > 0) fault(name, `${entry} reaches ${builtins.join(', ')}`)
  }
  const home = new Map()
  for (const file of files.filter((each) => /^dist\/.+\.js$/.test(each))) {
    const path = join(dir, 'packages', name, file)
    if (!loaded.has(path)) fault(name, `${file} is reached from no entry point`)
    for (const source of readJson(`${path}.map`).sources) {
      const from = relative(join(dir, 'packages', name), join(path, '..', source))
      if (!files.includes(from)) fault(name, `${file} was made from ${from}, which is not in the tarball`)
      if (home.has(from)) fault(name, `${from} is in ${file} and in ${home.get(from)}`)
      home.set(from, file)
    }
  }
  const again = await bundle(join(root, 'packages', name), name)
  for (const [file, text] of again)
    if (readFileSync(join(dist, file), 'utf8') !== text) fault(name, `${file} differs when it is built elsewhere`)
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

/** Ends well only if a thread of its own has issued: without one the pool would issue on this thread. */
const THREAD = `
  import { createCsr, DEFAULT_LIFETIME_MS, openAuthority, parseClusterId, parseNodeId } from '@leastwise/identity'
  import { createIssuePool, createNodeKey, openSigner, systemRandom, systemVerifier } from '@leastwise/identity/node'
  import { createRoot } from '@leastwise/identity/x509'
  const now = Date.now()
  const root = await createRoot({ now, serial: systemRandom.bytes(20) })
  const parts = { certificate: root.certificate, signer: openSigner(root.privateKey) }
  const authority = await openAuthority(parts, { verifier: systemVerifier })
  let answers = 0
  process.once('worker', (worker) => worker.on('message', () => { answers += 1 }))
  const pool = createIssuePool(authority, { workers: 1, random: systemRandom })
  const ids = { nodeId: parseNodeId('n'.repeat(25)), clusterId: parseClusterId('c'.repeat(25)) }
  const request = { csr: (await createCsr(createNodeKey())).pem, grant: { ...ids, role: 'worker', lifetimeMs: DEFAULT_LIFETIME_MS } }
  const [result] = await pool.issue([request], { now, signal: new AbortController().signal })
  await pool.close()
  if (result.certificate === undefined || answers !== 1) throw new Error('no thread has issued a certificate')
`

/** What a host's bundler keeps of an import that nothing uses: only what the package says has an effect. */
async function checkEffects(dir, specifiers) {
  const entry = join(dir, 'unused.js')
  for (const specifier of specifiers) {
    const [, , subpath = ''] = specifier.split('/')
    const dist = join(dir, 'node_modules', ...specifier.split('/').slice(0, 2), 'dist', subpath)
    writeFileSync(entry, `import '${specifier}'\n`)
    const build = await rolldown({
      cwd: dir,
      input: entry,
      external: (id) => !/^(\.|\/|@leastwise\/)/.test(id),
      tsconfig: false,
      logLevel: 'silent',
    })
    const { output } = await build.generate({ format: 'es' })
    await build.close()
    const kept = parseAst(output[0].code).body.map(({ type, source }) => (source ? source.value : type))
    const wanted = [...reach(dist, 'index.js').effects]
    if (wanted.some((effect) => !kept.includes(effect)) || (wanted.length === 0 && kept.length > 0))
      fault(specifier, `sideEffects is not true: a bundler keeps ${kept.join(', ') || 'nothing'} of an unused import`)
  }
}

const identifier = (specifier) => specifier.replaceAll(/[^a-z0-9]+/gi, '_')

async function consume(dir, names, tarballs) {
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
  await checkEffects(dir, specifiers)
  const commands = names.flatMap((name) => Object.keys(readJson(root, 'packages', name, 'package.json').bin ?? {}))
  for (const command of commands)
    node(`${command} --help`, [join(dir, 'node_modules', '.bin', command), '--help'], { cwd: dir })
  if (names.includes('identity')) {
    writeFileSync(join(dir, 'thread.js'), THREAD) // from a file: a thread takes over the flags of --eval and cannot start
    node('a thread that issues', ['thread.js'], { cwd: dir })
  }

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
  console.log(
    `check-packages: ${specifiers.length} entry points imported from JavaScript and TypeScript, ${commands.length} commands run`,
  )
}

const asked = process.argv.slice(2)
const names = selection(asked.length > 0 ? asked : readdirSync(join(root, 'packages')))
const dir = realpathSync(mkdtempSync(join(tmpdir(), 'leastwise-packages-')))
try {
  stage(dir, names)
  if (await build(dir, names)) {
    const tarballs = names.map((name) => pack(dir, name)).filter((tarball) => tarball !== null)
    for (const tarball of tarballs) {
      checkFiles(dir, tarball)
      await checkBundles(dir, tarball)
      await lint(dir, tarball)
      console.log(`check-packages: ${tarball.name}: ${tarball.files.length} files`)
    }
    if (tarballs.length === names.length) await consume(join(dir, 'consumer'), names, tarballs)
  }
} finally {
  rmSync(dir, { recursive: true, force: true })
}
for (const line of faults) console.error(`check-packages: ${line}`)
console.log(
  faults.length === 0 ? `check-packages: ${names.join(', ')}: good` : `check-packages: ${faults.length} faults`,
)
process.exitCode = faults.length === 0 ? 0 : 1
