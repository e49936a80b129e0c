import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { tempDir } from '../support/temp-dir.ts'
import { ROOT } from './repository.ts'

interface Cruise {
  readonly modules: readonly {
    readonly source: string
    readonly dependencies: readonly { readonly resolved: string; readonly dependencyTypes: readonly string[] }[]
  }[]
  readonly summary: {
    readonly totalCruised: number
    readonly violations: readonly {
      readonly from: string
      readonly to: string
      readonly rule: { readonly name: string }
    }[]
  }
}

function cruise(cwd: string, folders: readonly string[]): Cruise {
  const bin = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs')
  const config = join(ROOT, '.dependency-cruiser.cjs')
  const done = spawnSync(process.execPath, [bin, '--config', config, '--output-type', 'json', ...folders], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 256 << 20,
  })
  if (done.stdout === '') throw new Error(done.stderr)
  return JSON.parse(done.stdout) as Cruise
}

describe('the arrows between the packages', () => {
  let real: Cruise
  beforeAll(() => {
    real = cruise(ROOT, ['packages', 'examples', 'test', 'bench'])
  })

  it('all point the allowed way', () => {
    expect(real.summary.totalCruised).toBeGreaterThan(100)
    expect(real.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`)).toEqual([])
  })

  it.each(['tweetnacl', 'lru-cache', '@peculiar/x509', '@peculiar/webcrypto', 'reflect-metadata'])(
    'reach %s through one file in each package',
    (module) => {
      const doors = real.modules
        .filter(({ source }) => source.startsWith('packages/'))
        .filter(({ dependencies }) => dependencies.some(({ resolved }) => resolved.includes(`node_modules/${module}/`)))
        .map(({ source }) => source)
      const packages = doors.map((source) => source.split('/')[1])
      expect(new Set(packages).size, doors.join(', ')).toBe(packages.length)
      expect(doors, 'a declared dependency is really used').not.toEqual([])
    },
  )
})

describe('the rules about arrows', () => {
  const files: Readonly<Record<string, string>> = {
    'packages/tokens/src/index.ts': "import '../../identity/src/index.ts'\n",
    'packages/identity/src/index.ts': "import './node/index.ts'\nimport 'tweetnacl'\nimport './loop.ts'\n",
    'packages/identity/src/loop.ts': "import './index.ts'\n",
    'packages/identity/src/node/index.ts': "import 'node:fs'\n",
    'packages/identity/src/node/extra.ts': "import '@peculiar/x509'\nimport './absent.ts'\n",
    'packages/raftlog/src/index.ts': "import 'node:crypto'\nimport '../../secrets/src/index.ts'\n",
    'packages/secrets/src/index.ts': "import '../../../test/support.ts'\n",
    'packages/swarm/src/index.ts': "import '../../raftlog/src/frame.ts'\n",
    'packages/raftlog/src/frame.ts': "import '@bufbuild/protobuf'\n",
    'node_modules/@bufbuild/protobuf/dist/index.js': '',
    'node_modules/@bufbuild/protobuf/package.json': '{ "name": "@bufbuild/protobuf", "main": "dist/index.js" }',
    'test/support.ts': "import '../packages/tokens/package.json'\n",
    'node_modules/tweetnacl/index.js': '',
    'node_modules/tweetnacl/package.json': '{ "name": "tweetnacl", "main": "index.js" }',
    'node_modules/@peculiar/x509/index.js': '',
    'node_modules/@peculiar/x509/package.json': '{ "name": "@peculiar/x509", "main": "index.js" }',
    'packages/tokens/package.json': '{}',
    'package.json': '{}',
  }

  it('notice each kind of wrong arrow', () => {
    const dir = tempDir()
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true })
      writeFileSync(join(dir, path), text)
    }
    const seen = cruise(dir, ['packages', 'test']).summary.violations.map(({ rule, from }) => `${rule.name} ${from}`)
    expect(new Set(seen)).toEqual(
      new Set([
        'arrows-of-swarm packages/swarm/src/index.ts',
        'arrows-of-tokens packages/tokens/src/index.ts',
        'arrows-of-raftlog packages/raftlog/src/index.ts',
        'arrows-of-secrets packages/secrets/src/index.ts',
        'core-is-pure packages/identity/src/index.ts',
        'door-of-tweetnacl packages/identity/src/index.ts',
        'door-of-bufbuild packages/raftlog/src/frame.ts',
        'declared packages/raftlog/src/frame.ts',
        'door-of-peculiarx509 packages/identity/src/node/extra.ts',
        'declared packages/identity/src/index.ts',
        'declared packages/identity/src/node/extra.ts',
        'node-only-at-the-edge packages/raftlog/src/index.ts',
        'no-cycles packages/identity/src/index.ts',
        'nothing-imports-tests packages/secrets/src/index.ts',
        'public-entry-points-only packages/swarm/src/index.ts',
        'resolvable packages/identity/src/node/extra.ts',
        'tests-read-sources test/support.ts',
      ]),
    )
  })
})
