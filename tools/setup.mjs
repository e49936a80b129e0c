// Makes a clone ready: installs when node_modules does not match the lockfile, builds when a source is newer than its
// output. Plain JavaScript without dependencies, because it runs before there are any.
//
//   node tools/setup.mjs                 install and build everything
//   node tools/setup.mjs examples bench  install, and build only these projects and what they refer to
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const state = join(root, '.leastwise')
const lockFile = join(state, 'setup.lock')
const stampFile = join(state, 'built.json')
const bundler = join(root, 'tools', 'bundle.mjs')
const projects = process.argv.slice(2)
const target = projects.join(' ') || 'all'

/** Of a failed command's output: the first lines name the cause, the rest repeats it. */
const MAX_LINES = 40

class SetupError extends Error {}

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

function checkNode() {
  const wanted = readJson(join(root, 'package.json')).engines.node.replace('>=', '').split('.').map(Number)
  const found = process.versions.node.split('.').map(Number)
  const at = wanted.findIndex((part, i) => part !== found[i])
  if (at >= 0 && found[at] < wanted[at]) {
    throw new SetupError(
      `Node ${wanted.join('.')} or newer is needed, this is ${process.versions.node}: install a newer Node and run again`,
    )
  }
}

// ---- install ----

/** The lockfile's view of what lies in node_modules against npm's own record of what it put there. */
function installed() {
  const record = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return false
  let there
  try {
    there = readJson(record).packages
  } catch {
    return false // an install that was interrupted
  }
  const wanted = readJson(join(root, 'package-lock.json')).packages
  const same = (a, b) => a.version === b.version && a.integrity === b.integrity && Boolean(a.link) === Boolean(b.link)
  const complete = Object.entries(wanted).every(([path, entry]) => {
    if (!path.includes('node_modules/')) return true
    if (there[path] === undefined) return entry.optional === true || entry.devOptional === true || entry.peer === true
    return same(entry, there[path]) && existsSync(join(root, path))
  })
  const surplus = [...Object.keys(there), ...nested()].filter((path) => wanted[path] === undefined)
  return complete && surplus.length === 0
}

/** What lies in the packages' own node_modules, where an outdated version would win over the one above. */
function nested() {
  const list = (path) =>
    existsSync(join(root, path)) ? readdirSync(join(root, path)).filter((name) => !name.startsWith('.')) : []
  return list('packages').flatMap((name) => {
    const modules = `packages/${name}/node_modules`
    return list(modules).flatMap((module) =>
      (module.startsWith('@') ? list(`${modules}/${module}`).map((inner) => `${module}/${inner}`) : [module]).map(
        (full) => `${modules}/${full}`,
      ),
    )
  })
}

/** npm as it was started, else the one that came with this Node, else whatever the PATH has. */
function npmCommand() {
  const own = process.env.npm_execpath
  const beside = [
    '../lib/node_modules/npm/bin/npm-cli.js',
    'node_modules/npm/bin/npm-cli.js',
    '../share/nodejs/npm/bin/npm-cli.js',
  ].map((path) => resolve(dirname(process.execPath), path))
  const script = [own, ...beside].find(
    (path) => path !== undefined && /npm-cli\.[cm]?js$/.test(path) && existsSync(path),
  )
  return script === undefined ? ['npm'] : [process.execPath, script]
}

/** A user without a writable home still needs somewhere to keep what npm downloads. */
function npmCache() {
  const usual = process.env.npm_config_cache ?? join(homedir(), '.npm')
  try {
    mkdirSync(usual, { recursive: true })
    accessSync(usual, constants.W_OK)
    return usual
  } catch {
    return join(state, 'npm-cache')
  }
}

function run(what, [command, ...args], env = process.env) {
  const done = spawnSync(command, args, {
    cwd: root,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 << 20,
  })
  if (done.error) throw new SetupError(`${what} could not start (${done.error.code}): is ${command} on the PATH?`)
  if (done.status === 0) return
  const lines = `${done.stdout}${done.stderr}`.trim().split('\n')
  const rest = lines.length > MAX_LINES ? [`… and ${lines.length - MAX_LINES} lines more`] : []
  throw new SetupError([`${what} failed`, ...lines.slice(0, MAX_LINES), ...rest].join('\n'))
}

function install() {
  const flags = [
    '--ignore-scripts',
    '--include=dev',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--no-progress',
    '--loglevel=error',
  ]
  run('npm ci', [...npmCommand(), 'ci', ...flags], { ...process.env, npm_config_cache: npmCache() })
}

// ---- build ----

function* walk(dir, skip) {
  for (const entry of readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (skip(entry.name)) continue
    const path = join(dir, entry.name)
    if (entry.isDirectory()) yield* walk(path, skip)
    else yield path
  }
}

/** Each project with an output directory: where its sources start, where its output lies, what `tsc` makes of every source. */
function outputs() {
  const packages = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name))
  return [
    // Their JavaScript is bundled, and the bundling itself leaves nothing over.
    ...packages.map((dir) => ({ from: join(dir, 'src'), to: join(dir, 'dist'), gives: ['.d.ts'] })),
    ...['examples', 'bench'].map((name) => ({
      from: join(root, name),
      to: join(root, name, 'dist'),
      gives: ['.js', '.d.ts'],
    })),
    { from: join(root, 'test'), to: join(root, 'test', 'dist'), gives: ['.js', '.d.ts'] }, // run from its sources
  ]
}

const isOutput = (path) => /(\.js|\.d\.ts|\.map)$/.test(path)
const isCompiled = (path) => path.endsWith('.ts') && !path.endsWith('.d.ts')
const isForeign = (name) => name === 'node_modules' || name === 'dist' || name.startsWith('.')
const isInput = (path) => /\.ts$|(^|\/)(tsconfig[^/]*|package)\.json$/.test(path)

/** One line a file; names, sizes and times together change whenever a build could. */
function digest(paths) {
  const hash = createHash('sha256').update(process.versions.node)
  for (const path of paths) {
    const { size, mtimeMs } = statSync(path)
    hash.update(`${relative(root, path)} ${size} ${mtimeMs}\n`)
  }
  return hash.digest('hex')
}

function* inputFiles() {
  for (const name of ['package-lock.json', 'tsconfig.json', 'tsconfig.base.json']) yield join(root, name)
  yield bundler
  for (const top of ['packages', 'types', 'examples', 'bench', 'test']) {
    for (const path of walk(join(root, top), isForeign)) if (isInput(path)) yield path
  }
}

function* outputFiles() {
  for (const { to } of outputs()) {
    if (!existsSync(to)) continue
    for (const path of walk(to, () => false)) if (isOutput(path)) yield path
  }
}

function stamps() {
  try {
    return readJson(stampFile)
  } catch {
    return {} // the first build of this clone
  }
}

function built() {
  const stamp = stamps()[target]
  return stamp !== undefined && stamp.inputs === digest(inputFiles()) && stamp.outputs === digest(outputFiles())
}

/**
 * `tsc -b` trusts its own notes: it never deletes the output of a source that went away (which would still be imported,
 * packed and tested), and never writes again an output that somebody deleted.
 */
function mendOutputs() {
  for (const { from, to, gives } of outputs()) {
    if (!existsSync(to)) continue
    for (const path of walk(to, () => false)) {
      const ending = gives.find((each) => path.replace(/\.map$/, '').endsWith(each))
      if (ending === undefined) continue
      const source = join(from, relative(to, path))
        .replace(/\.map$/, '')
        .slice(0, -ending.length)
      if (!existsSync(`${source}.ts`)) rmSync(path, { force: true })
    }
    const lost = [...walk(from, isForeign)].some(
      (path) =>
        isCompiled(path) &&
        gives.some((ending) => !existsSync(join(to, relative(from, path)).replace(/\.ts$/, ending))),
    )
    if (lost)
      for (const name of readdirSync(to)) if (name.endsWith('.tsbuildinfo')) rmSync(join(to, name), { force: true })
  }
}

function build() {
  const inputs = digest(inputFiles()) // before, so that what is edited meanwhile counts as not built yet
  mendOutputs()
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  run('the build (tsc -b)', [process.execPath, tsc, '-b', ...projects])
  run('the build (bundles)', [process.execPath, bundler])
  const fresh = `${stampFile}.${process.pid}`
  writeFileSync(fresh, JSON.stringify({ ...stamps(), [target]: { inputs, outputs: digest(outputFiles()) } }))
  renameSync(fresh, stampFile)
}

// ---- one set-up at a time ----

/** What the lock says, or null when it was let go meanwhile. */
function lockOwner(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM' // there, but another user's
  }
}

/** Of several that see the same dead owner one takes its lock away, and never the lock of a live one. */
function removeLockOf(dead) {
  const grave = `${lockFile}.${process.pid}`
  try {
    renameSync(lockFile, grave)
    if (lockOwner(grave) !== dead) linkSync(grave, lockFile)
  } catch {
    // another one was faster
  }
  rmSync(grave, { force: true })
}

function lock() {
  mkdirSync(state, { recursive: true })
  const mine = `${lockFile}.new.${process.pid}`
  writeFileSync(mine, String(process.pid))
  try {
    for (let told = false; ; told = true) {
      try {
        linkSync(mine, lockFile) // appears with its content or not at all
        return
      } catch (error) {
        if (error.code !== 'EEXIST') throw error
      }
      const owner = lockOwner(lockFile)
      if (owner !== null && !isAlive(Number(owner))) {
        removeLockOf(owner)
        continue
      }
      if (!told) console.error('setup: another set-up of this clone is running, waiting for it')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
    }
  } finally {
    rmSync(mine, { force: true })
  }
}

function main() {
  checkNode()
  const started = performance.now()
  if (installed() && built()) {
    console.error(`setup: nothing to do (${seconds(started)})`)
    return
  }
  lock()
  const release = () => rmSync(lockFile, { force: true })
  process.once('exit', release)
  const did = []
  if (!installed()) {
    const since = performance.now()
    console.error('setup: installing the locked packages (npm ci)')
    install()
    did.push(`installed in ${seconds(since)}`)
  }
  if (!built()) {
    const since = performance.now()
    build()
    did.push(`built in ${seconds(since)}`)
  }
  console.error(`setup: ${did.join(', ') || `ready after ${seconds(started)}`}`)
}

try {
  main()
} catch (error) {
  if (error instanceof SetupError) console.error(`setup: ${error.message}`)
  else if (error.code === 'EACCES' || error.code === 'EROFS')
    console.error(`setup: cannot write ${relative(root, error.path ?? '') || 'here'}: run as the owner of this clone`)
  else throw error
  process.exitCode = 1
}
