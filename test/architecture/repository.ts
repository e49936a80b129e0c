import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const ROOT: string = resolve(import.meta.dirname, '../..')

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly type?: string
  readonly license?: string
  readonly private?: boolean
  readonly engines?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly files?: readonly string[]
  readonly sideEffects?: boolean | readonly string[]
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

export const readText = (...path: readonly string[]): string => readFileSync(join(ROOT, ...path), 'utf8')
export const has = (...path: readonly string[]): boolean => existsSync(join(ROOT, ...path))
export const readManifest = (...path: readonly string[]): Manifest =>
  JSON.parse(readText(...path, 'package.json')) as Manifest

/** The folder names of the published packages. */
export const PACKAGES: readonly string[] = readdirSync(join(ROOT, 'packages')).toSorted()

export interface EntryPoint {
  /** As it is imported: `@leastwise/tokens/node`. */
  readonly specifier: string
  /** Its source file, from the top of the repository. */
  readonly source: string
}

/** Every public entry point of a package. */
export function entryPoints(name: string): readonly EntryPoint[] {
  const manifest = readManifest('packages', name)
  return Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) => {
    const source = typeof target === 'string' ? undefined : target['@leastwise/source']
    if (source === undefined) return []
    return [{ specifier: join(manifest.name, subpath), source: join('packages', name, source) }]
  })
}

export const ENTRY_POINTS: readonly EntryPoint[] = PACKAGES.flatMap(entryPoints)
