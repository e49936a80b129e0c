// Writes the JavaScript of every package: one file for each entry point and at most two that entry points share, from
// the sources. Types come from `tsc -b`, beside them. It keeps no notes: it bundles anew each time (half a second for
// all), writes what differs, and removes what it does not write, so that nothing in dist is ever stale or left over.
//
//   node tools/bundle.mjs
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { rolldown } from 'rolldown'

/** What is started by its file name and not imported by a package's name: commands and the files of threads. */
const STARTED = {
  identity: ['node/batch/issue-worker'],
  raftlog: ['node/tools/log-command'],
  tokens: ['node/leak-command'],
}

/** Names of what entry points share, pure and not. They are never those of a source file, which is one idea. */
const SHARED = 'shared'
const SHARED_NODE = 'node/shared'

/** `using` is younger than the oldest Node that we support; this is what it becomes, and the one foreign thing inside. */
const isHelper = (id) => id.includes('@oxc-project/runtime/')
const isOutside = (id) => !id.startsWith('.') && !isAbsolute(id) && !isHelper(id)

/** The stems of the files that others import or start: `index`, `node/index`, … */
export function entriesOf(dir, name) {
  const { exports } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
  const exported = Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? [] : [target.default.replace(/^\.\/dist\//, '').replace(/\.js$/, '')],
  )
  return [...exported, ...(STARTED[name] ?? [])]
}

/** The files of one package, by their path below dist. The same sources give the same bytes, wherever they lie. */
export async function bundle(dir, name) {
  const inNode = join(dir, 'src', 'node') + sep
  const entries = entriesOf(dir, name)
  const build = await rolldown({
    cwd: dir, // what is written names sources from here
    input: Object.fromEntries(entries.map((stem) => [stem, join(dir, 'src', `${stem}.ts`)])),
    external: isOutside,
    tsconfig: false,
    transform: { target: 'es2023', typescript: { onlyRemoveTypeImports: true } },
    onLog: (level, { message }) => {
      throw new Error(`${level}: ${message}`)
    },
  })
  try {
    const { output } = await build.generate({
      dir: join(dir, 'dist'),
      format: 'es',
      entryFileNames: '[name].js',
      chunkFileNames: '[name].js',
      minifyInternalExports: false,
      comments: { legal: true, annotation: true, jsdoc: false },
      sourcemap: true,
      sourcemapExcludeSources: true, // the sources are in the package
      codeSplitting: {
        minShareCount: 2,
        groups: [
          { name: SHARED, test: (id) => !id.startsWith(inNode), priority: 1 },
          { name: SHARED_NODE, test: (id) => id.startsWith(inNode) },
        ],
      },
    })
    const expected = new Set([...entries, SHARED, SHARED_NODE].map((stem) => `${stem}.js`))
    for (const { type, fileName } of output)
      if (type === 'chunk' && !expected.has(fileName))
        throw new Error(`${fileName} is no entry point and not what they share`)
    return new Map(output.map((file) => [file.fileName, file.type === 'chunk' ? file.code : file.source]))
  } finally {
    await build.close()
  }
}

const isJavaScript = (path) => /\.js(\.map)?$/.test(path)

function textOf(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** Makes the JavaScript in `dist` what `files` says: nothing else, and untouched where it is so already. */
function write(dist, files) {
  mkdirSync(dist, { recursive: true })
  for (const path of readdirSync(dist, { recursive: true }))
    if (isJavaScript(path) && !files.has(path.replaceAll(sep, '/'))) rmSync(join(dist, path), { force: true })
  for (const [file, text] of files) {
    const path = join(dist, file)
    if (textOf(path) === text) continue
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
  }
}

/** Bundles packages in the repository at `root`, or in a copy of it. */
export async function bundlePackages(root, names = readdirSync(join(root, 'packages'))) {
  for (const name of names) {
    const dir = join(root, 'packages', name)
    try {
      write(join(dir, 'dist'), await bundle(dir, name))
    } catch (error) {
      throw new Error(`${name}: ${stripVTControlCharacters(error.message)}`, { cause: error })
    }
  }
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === import.meta.filename) {
  const root = resolve(import.meta.dirname, '..')
  try {
    await bundlePackages(root)
  } catch (error) {
    console.error(`bundle: ${error.message.replaceAll(`${root}${sep}`, '')}`)
    process.exitCode = 1
  }
}
