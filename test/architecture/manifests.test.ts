import { describe, expect, it } from 'vitest'
import { has, PACKAGES, readManifest, readText } from './repository.ts'

const OLDEST = [20, 19, 0] as const

const compare = (a: readonly number[], b: readonly number[]): number => {
  const at = [0, 1, 2].find((part) => (a[part] ?? 0) !== (b[part] ?? 0))
  return at === undefined ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}

/** One comparator of an `engines` range: `>=18`, `^20.19.0`, `20`, `>= 0.4`, `*`. */
function admits(comparator: string, version: readonly number[]): boolean {
  if (comparator === '*') return true
  const parsed = /^(>=|>|<=|<|\^|~|=)?v?(\d+)(?:\.(\d+|[x*]))?(?:\.(\d+|[x*]))?$/.exec(comparator)
  if (parsed === null) throw new Error(`cannot read the engines range ${comparator}`)
  const bound = parsed.slice(2).map((part) => Number.parseInt(part, 10) || 0)
  const order = compare(version, bound)
  const operator: string = parsed[1] ?? '^'
  switch (operator) {
    case '>=':
      return order >= 0
    case '>':
      return order > 0
    case '<=':
      return order <= 0
    case '<':
      return order < 0
    default:
      return order >= 0 && version[0] === bound[0]
  }
}

const inRange = (range: string, version: readonly number[]): boolean =>
  range.split('||').some((set) =>
    set
      .trim()
      .replaceAll(/([<>=^~])\s+/g, '$1')
      .split(/\s+/)
      .every((comparator) => admits(comparator, version)),
  )

interface Locked {
  readonly version?: string
  readonly dev?: boolean
  readonly link?: boolean
  readonly integrity?: string
  readonly engines?: Readonly<Record<string, string>>
}
const locked = (JSON.parse(readText('package-lock.json')) as { readonly packages: Readonly<Record<string, Locked>> })
  .packages

describe.each(PACKAGES)('the manifest of %s', (name) => {
  const manifest = readManifest('packages', name)

  it('says what is published and for which Node', () => {
    expect(manifest).toMatchObject({
      name: `@leastwise/${name}`,
      version: readManifest().version,
      type: 'module',
      license: 'Apache-2.0',
      engines: { node: '>=20.19.0' },
    })
    expect(manifest.private).toBeUndefined()
    expect(manifest.devDependencies).toBeUndefined()
  })

  it('offers each entry point as source, types and JavaScript, in this order', () => {
    const targets = Object.entries(manifest.exports ?? {}).filter(([subpath]) => subpath !== './package.json')
    expect(targets.map(([subpath]) => subpath)).toEqual(expect.arrayContaining(['.', './node']))
    for (const [subpath, target] of targets) {
      const stem = subpath === '.' ? 'index' : `${subpath.slice(2)}/index`
      expect(Object.entries(target)).toEqual([
        ['@leastwise/source', `./src/${stem}.ts`],
        ['types', `./dist/${stem}.d.ts`],
        ['default', `./dist/${stem}.js`],
      ])
      expect(has('packages', name, 'src', `${stem}.ts`)).toBe(true)
    }
  })

  it('pins each dependency to one version', () => {
    for (const [dependency, version] of Object.entries(manifest.dependencies ?? {})) {
      expect(version, dependency).toMatch(/^\d+\.\d+\.\d+$/)
      const ours = dependency.startsWith('@leastwise/')
      const own = locked[`packages/${name}/node_modules/${dependency}`] ?? locked[`node_modules/${dependency}`]
      const entry = ours ? readManifest('packages', dependency.replace('@leastwise/', '')) : own
      expect(entry?.version, dependency).toBe(version)
    }
  })
})

describe('the lockfile', () => {
  it('holds, for running, only what the oldest supported Node may run', () => {
    const running = Object.entries(locked).filter(
      ([path, entry]) => path !== '' && entry.dev !== true && entry.link !== true,
    )
    expect(running.length).toBeGreaterThan(10)
    const refused = running.filter(
      ([, { engines }]) => engines?.['node'] !== undefined && !inRange(engines['node'], OLDEST),
    )
    expect(refused.map(([path]) => path)).toEqual([])
  })

  it('names what it locks by hash and never by the host it came from', () => {
    expect(readText('package-lock.json')).not.toMatch(/"resolved": "https?:/)
    const unhashed = Object.entries(locked).filter(
      ([path, entry]) =>
        path.includes('node_modules/') && entry.dev !== true && entry.link !== true && entry.integrity === undefined,
    )
    expect(unhashed.map(([path]) => path)).toEqual([])
  })
})

describe('a range of engines', () => {
  it.each([
    ['>=18', true],
    ['20 || >=22', true],
    ['^20.19.0 || >=22.12.0', true],
    ['>= 0.4', true],
    ['>=20.20', false],
    ['^22.12.0 || ^24', false],
    ['>=18 <20', false],
    ['*', true],
  ])('%s is read as npm reads it', (range, admitted) => {
    expect(inRange(range, OLDEST)).toBe(admitted)
  })
})
