// A registry that does not carry the builds of every platform makes npm leave those optional packages out of the
// lockfile, and `npm ci` then refuses it everywhere. This puts the missing entries back, marked with their platform, so
// that no other platform asks for them. Run it after every change of a dependency.
//
//   node tools/complete-lock.mjs          add what is missing
//   node tools/complete-lock.mjs --check  fail if something is missing
import { readFileSync, writeFileSync } from 'node:fs'

const path = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(path, 'utf8'))
const entries = lock.packages

const OS = {
  android: 'android',
  darwin: 'darwin',
  freebsd: 'freebsd',
  linux: 'linux',
  openharmony: 'openharmony',
  openbsd: 'openbsd',
  netbsd: 'netbsd',
  sunos: 'sunos',
  win32: 'win32',
  aix: 'aix',
}
const CPU = {
  arm: 'arm',
  armv7: 'arm',
  arm64: 'arm64',
  ia32: 'ia32',
  loong64: 'loong64',
  ppc64: 'ppc64',
  riscv64: 'riscv64',
  s390x: 's390x',
  wasm32: 'wasm32',
  x64: 'x64',
  mips64el: 'mips64el',
}
const LIBC = { gnu: 'glibc', gnueabihf: 'glibc', musl: 'musl', musleabihf: 'musl' }

const pick = (table, name) =>
  name
    .split(/[-/]/)
    .map((part) => table[part])
    .filter((value) => value !== undefined)

/** The way Node looks for a dependency: beside the package, then one folder up each time. */
function isLocked(from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/')))) {
    const base = at.replace(/\/$/, '')
    if (entries[`${base === '' ? '' : `${base}/`}node_modules/${name}`] !== undefined) return true
    if (base === '') return false
  }
}

const missing = Object.entries(entries).flatMap(([from, entry]) =>
  Object.entries(entry.optionalDependencies ?? {})
    .filter(([name]) => !isLocked(from, name))
    .map(([name, version]) => ({ from, name, version, dev: entry.dev === true })),
)
const unclear = missing.filter(
  ({ name, version }) =>
    !/^\d+\.\d+\.\d+[\w.+-]*$/.test(version) || pick(OS, name).length + pick(CPU, name).length === 0,
)
for (const { from, name, version } of unclear)
  console.error(`complete-lock: ${name}@${version} (of ${from}) names no exact version and platform: add it by hand`)

if (process.argv.includes('--check')) {
  for (const { from, name, version } of missing)
    console.error(`complete-lock: ${name}@${version} (of ${from}) is missing: run node tools/complete-lock.mjs`)
} else {
  for (const { name, version, dev } of missing) {
    const platform = Object.entries({
      cpu: pick(CPU, name),
      dev,
      libc: pick(LIBC, name),
      optional: true,
      os: pick(OS, name),
    })
    entries[`node_modules/${name}`] = {
      version,
      ...Object.fromEntries(platform.filter(([, value]) => value !== false && value.length !== 0)),
    }
  }
  lock.packages = Object.fromEntries(Object.entries(entries).sort(([a], [b]) => a.localeCompare(b, 'en')))
  if (missing.length > 0) writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
  console.error(`complete-lock: ${missing.length} entries added`)
}
process.exitCode = unclear.length > 0 || (process.argv.includes('--check') && missing.length > 0) ? 1 : 0
