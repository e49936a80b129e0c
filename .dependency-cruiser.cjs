// Who may import whom. `npm run arrows` and the test command both check it.

/** What each package may import of ours; everything else is forbidden. */
const ARROWS = {
  tokens: [],
  identity: [],
  secrets: [],
  raftlog: [],
  'raftlog-etcd': ['raftlog'],
  swarm: ['tokens', 'identity'],
}

/** Outside code that only one place may touch, so that it can be replaced there. */
const DOORS = [
  { module: '@peculiar/x509', from: '^packages/identity/src/x509/' },
  { module: 'reflect-metadata', from: '^packages/identity/src/x509/' },
  { module: '@peculiar/webcrypto', from: '^packages/identity/src/x509/' },
  { module: 'tweetnacl', from: '^packages/(raftlog|raftlog-etcd|secrets)/src/' },
  { module: 'lru-cache', from: '^packages/[^/]+/src/' },
  { module: '@connectrpc', from: '^packages/(swarm|raftlog-etcd)/src/' },
  { module: '@bufbuild', from: '^packages/(swarm|raftlog-etcd)/src/' },
  { module: 'age-encryption', from: '^packages/raftlog/src/node/' },
  { module: 'node-webcrypto-p11', from: '^packages/identity/src/node/' },
]

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

const arrows = Object.entries(ARROWS).map(([name, allowed]) => ({
  name: `arrows-of-${name}`,
  comment: `packages/${name} imports ${allowed.length === 0 ? 'none of ours' : allowed.join(', ')}`,
  severity: 'error',
  from: { path: `^packages/${name}/` },
  to: { path: '^(packages|examples|test|bench)/', pathNot: `^packages/(${[name, ...allowed].join('|')})/` },
}))

const doors = DOORS.map(({ module, from }) => ({
  name: `door-of-${module.replace(/[@/]/g, '')}`,
  comment: `${module} has one door`,
  severity: 'error',
  from: { path: '^packages/', pathNot: from },
  to: { path: `(^|/)node_modules/${escape(module)}(/|$)` },
}))

module.exports = {
  forbidden: [
    ...arrows,
    ...doors,
    {
      name: 'core-is-pure',
      comment: 'pure code never imports what touches the world',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/', pathNot: '^packages/[^/]+/src/(node|x509)/' },
      to: { path: '^packages/[^/]+/src/(node|x509)/' },
    },
    {
      name: 'node-only-at-the-edge',
      comment: 'Node built-ins belong in src/node',
      severity: 'error',
      from: { path: '^packages/[^/]+/src/', pathNot: '^packages/[^/]+/src/node/' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'public-entry-points-only',
      comment: 'packages, examples and bench use another package through its entry points',
      severity: 'error',
      from: { path: '^(packages/([^/]+)|examples|bench)/' },
      to: {
        path: '^packages/[^/]+/',
        pathNot: ['^packages/$2/', '^packages/[^/]+/(src|dist)/(index|node/index|x509/index)\\.(ts|js|d\\.ts)$'],
      },
    },
    {
      name: 'tests-read-sources',
      comment: 'a test takes the entry points, or a unit from its source file; never what was built',
      severity: 'error',
      from: { path: '^test/' },
      to: { path: '^packages/', pathNot: '^packages/[^/]+/src/' },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: { pathNot: '/gen/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared',
      comment: 'what a published package imports stands in its package.json',
      severity: 'error',
      from: { path: '^packages/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(packages/[^/]+|examples|bench|test)/dist/' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@leastwise/source', 'import', 'types', 'node', 'default'],
      extensions: ['.ts', '.js', '.d.ts', '.json'],
    },
  },
}
