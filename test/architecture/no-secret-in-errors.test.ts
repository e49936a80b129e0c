import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import * as identity from '@leastwise/identity'
import * as identityNode from '@leastwise/identity/node'
import * as raftlog from '@leastwise/raftlog'
import * as raftlogNode from '@leastwise/raftlog/node'
import * as secrets from '@leastwise/secrets'
import * as secretsNode from '@leastwise/secrets/node'
import * as swarm from '@leastwise/swarm'
import * as swarmNode from '@leastwise/swarm/node'
import * as tokens from '@leastwise/tokens'
import { systemDigest, systemRandom } from '@leastwise/tokens/node'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { tempDir } from '../support/temp-dir.ts'
import { testCluster } from '../support/test-authority.ts'

/** What must never be found: sixteen bytes that are text as well, so that every kind of input can carry them. */
const MARK = 'mArKeD/S3cReT+zQ'
const MARKED = new TextEncoder().encode(MARK)
const NOW = Date.UTC(2026, 10, 21, 12)
/** So many bytes in a row give a mark away; fewer are found by chance. */
const WINDOW = 8

const base36 = (bytes: Uint8Array): string => BigInt(`0x${Buffer.from(bytes).toString('hex')}`).toString(36)

/** The ways in which software writes bytes down, for each part of the mark that is long enough. */
const FORMS: readonly string[] = Array.from({ length: MARKED.length - WINDOW + 1 }, (_, at) =>
  MARKED.subarray(at, at + WINDOW),
)
  .flatMap((part) => {
    const hex = Buffer.from(part).toString('hex')
    const pairs = hex.match(/../g) ?? []
    const cores = [0, 1, 2].map((shift) =>
      Buffer.concat([Buffer.alloc(shift), part])
        .toString('base64')
        .replaceAll('=', '')
        .slice(shift === 0 ? 0 : 4, -1),
    )
    return [
      Buffer.from(part).toString('latin1').toLowerCase(),
      hex,
      pairs.join(' '),
      pairs.join(':'),
      [...part].join(','),
      [...part].join(', '),
      ...cores.map((core) => core.toLowerCase()),
      ...cores.map((core) => core.replaceAll('+', '-').replaceAll('/', '_').toLowerCase()),
    ]
  })
  .concat(base36(MARKED), base36(MARKED).slice(1, -2))

/** Everything that a log, a crash report or a debugger would show of what was thrown. */
function shown(thrown: unknown, seen = new Set<unknown>()): string {
  if (typeof thrown !== 'object' || thrown === null) return String(thrown)
  if (seen.has(thrown)) return ''
  seen.add(thrown)
  const texts = [
    inspect(thrown, {
      showHidden: true,
      getters: true,
      depth: Number.POSITIVE_INFINITY,
      maxArrayLength: null,
      maxStringLength: null,
    }),
    JSON.stringify(thrown),
    // An object without a prototype has no text of its own.
    thrown instanceof Error ? String(thrown) : '',
  ]
  for (
    let at: object | null = thrown;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const name of Reflect.ownKeys(at)) {
      const value: unknown = Reflect.get(at, name, thrown)
      if (typeof value === 'function') continue
      texts.push(shown(value, seen))
    }
  }
  return texts.join('\n')
}

function leaksIn(text: string): readonly string[] {
  const lower = text.toLowerCase().replaceAll(/\s*\n\s*/g, ' ')
  return FORMS.filter((form) => lower.includes(form))
}

/** What an act threw; `null` when it went well. */
async function thrownBy(act: () => unknown): Promise<{ readonly error: unknown } | null> {
  try {
    await act()
    return null
  } catch (error) {
    return { error }
  }
}

/** An act that must be refused, and the refusal shows nothing of the mark. */
async function refusedInSilence(act: () => unknown): Promise<void> {
  const thrown = await thrownBy(act)
  expect(thrown, 'nothing was refused').not.toBeNull()
  expect(thrown?.error).toBeInstanceOf(Error)
  expect(leaksIn(shown(thrown?.error))).toEqual([])
}

const cluster = await testCluster({ now: NOW })
const node = await cluster.issue()
const other = await cluster.issue()
const key = identityNode.createNodeKey()
const csrPem = (await identity.createCsr(key)).pem
const marked = (sizeBytes: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(sizeBytes)
  for (let at = 0; at < sizeBytes; at += 1) bytes[at] = MARKED[at % MARKED.length]!
  return bytes
}
const { token: goodToken } = tokens.createJoinToken({ trustDigest: new Uint8Array(32), random: systemRandom })
/** A token that is in order, and whose secret is the mark. */
const { token: markedToken } = tokens.createJoinToken({
  trustDigest: new Uint8Array(32),
  random: { bytes: (length) => marked(length) },
})
const pemOf = (bytes: Uint8Array, label = 'CERTIFICATE'): string =>
  `-----BEGIN ${label}-----\n${(
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  ).join('\n')}\n-----END ${label}-----\n`
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('the search itself', () => {
  it.each([
    ['a message', new Error(`bad value ${MARK}`)],
    ['a cause of a cause', new Error('x', { cause: new Error('y', { cause: new TypeError(MARK) }) })],
    ['a field', Object.assign(new Error('x'), { input: marked(20) })],
    ['a buffer', Object.assign(new Error('x'), { input: Buffer.from(MARKED) })],
    ['a hidden field', Object.defineProperty(new Error('x'), 'hidden', { value: MARK, enumerable: false })],
    ['a getter', Object.defineProperty(new Error('x'), 'input', { get: () => MARK })],
    ['an error among several', new AggregateError([new Error('x'), new Error(MARK)])],
    ['base64', new Error(`near ${Buffer.from(`ab${MARK}cd`).toString('base64')}`)],
    ['hex', new Error(Buffer.from(MARK).toString('hex'))],
    ['the base 36 of a token', new Error(markedToken)],
    ['half of the mark', new Error(MARK.slice(3, 12))],
    ['another case', new Error(MARK.toUpperCase())],
  ])('finds a mark in %s', (_where, error) => {
    expect(leaksIn(shown(error))).not.toEqual([])
  })

  it('finds nothing where there is nothing', () => {
    expect(leaksIn(shown(new Error('join token does not have its four parts')))).toEqual([])
  })
})

/** Every function that reads something from outside, with an input that it takes. */
const TEXT_PARSERS: readonly (readonly [name: string, good: string, parse: (text: string) => unknown])[] = [
  ['parseJoinToken', goodToken, tokens.parseJoinToken],
  ['parseUnlockKey', tokens.formatUnlockKey(tokens.createUnlockKey(systemRandom)), tokens.parseUnlockKey],
  ['parseId', 'a'.repeat(25), tokens.parseId],
  ['parseNodeId', node.nodeId, identity.parseNodeId],
  ['parseClusterId', cluster.clusterId, identity.parseClusterId],
  ['parseCertificate', node.certificate.pem, identity.parseCertificate],
  ['parseCertificateChain', node.certificateChain, identity.parseCertificateChain],
  ['parseTrustBundle', node.trustBundle, identity.parseTrustBundle],
  ['parseCsr', csrPem, identity.parseCsr],
  ['parseSecretName', 'db-password', secrets.parseSecretName],
  ['parseReference', 'source=db,target=file,uid=1,gid=2,mode=0400', secrets.parseReference],
  ['checkTarget', 'file', secrets.checkTarget],
  ['parseMountInfo', '22 1 8:1 / / rw - ext4 /dev/sda rw\n', secrets.parseMountInfo],
  ['parseSwaps', 'Filename\tType\tSize\tUsed\tPriority\n/dev/x partition 1 0 -2\n', secrets.parseSwaps],
  ['parseManagerAddress', '192.0.2.1:2377', swarm.parseManagerAddress],
]
const BYTE_PARSERS: readonly (readonly [name: string, good: Uint8Array, parse: (bytes: Uint8Array) => unknown])[] = [
  ['parseCertificate', node.certificate.der, identity.parseCertificate],
  ['parseCsr', node.csr.der, identity.parseCsr],
  ['openSigner', node.privateKey, identityNode.openSigner],
  ['decodeKeyring', marked(60), raftlog.decodeKeyring],
  ['decodeHeader', marked(120), (bytes) => raftlog.decodeHeader(bytes, 'file', raftlogNode.nodeCipherSuite)],
  ['unlockKeyWrapper', marked(31), (bytes) => raftlog.unlockKeyWrapper(bytes.subarray(0, 31), systemRandom)],
  [
    'the journal of TLS',
    marked(60),
    (bytes) =>
      identityNode.secureContextOptions({
        privateKey: bytes,
        certificateChain: pemOf(bytes),
        trustBundle: pemOf(bytes),
      }),
  ],
]

describe('a parser', () => {
  it.each(TEXT_PARSERS)('%s keeps a mark that stands anywhere in its input to itself', async (_name, good, parse) => {
    parse(good)
    const place = fc.tuple(fc.nat(good.length), fc.nat(good.length), fc.string({ maxLength: 4 }))
    await fc.assert(
      fc.asyncProperty(place, async ([from, cut, more]) => {
        const input = good.slice(0, from) + more + MARK + good.slice(Math.max(from, cut))
        const thrown = await thrownBy(() => parse(input))
        if (thrown !== null) expect(leaksIn(shown(thrown.error))).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it.each(TEXT_PARSERS)('%s refuses what is nothing but marks, and says none of it', async (_name, _good, parse) => {
    await refusedInSilence(() => parse(`/${MARK.repeat(3)}\u0000`))
    await refusedInSilence(() => parse(`\u0000${MARK.repeat(20_000)}`))
  })

  it.each(['CERTIFICATE', 'CERTIFICATE REQUEST', 'PRIVATE KEY', MARK])(
    'of PEM says nothing of what was in a block of %s',
    async (label) => {
      for (const size of [16, 64, 300]) {
        const pem = pemOf(marked(size), label)
        for (const parse of [
          identity.parseCertificate,
          identity.parseCertificateChain,
          identity.parseTrustBundle,
          identity.parseCsr,
        ])
          await refusedInSilence(() => parse(pem))
      }
    },
  )

  it.each(BYTE_PARSERS)('%s keeps marked bytes to itself', async (_name, good, parse) => {
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length), fc.nat(40), async (from, over) => {
        const input = Buffer.concat([good.subarray(0, from), MARKED, good.subarray(Math.min(good.length, from + over))])
        const thrown = await thrownBy(() => parse(input))
        if (thrown !== null) expect(leaksIn(shown(thrown.error))).toEqual([])
      }),
      { numRuns: 60 },
    )
    await refusedInSilence(() => parse(marked(5_000)))
  })
})

describe('a decider', () => {
  it('of tokens says nothing of hashes, ids and keys that it refuses', async () => {
    const terms = {
      id: 'a'.repeat(25),
      role: 'worker' as const,
      secretHash: MARK as tokens.TokenHash,
      now: NOW,
      ttlMs: null,
      maxUses: null,
    }
    const decide = (command: tokens.TokenCommand): unknown =>
      tokens.tokenRegistry.decide(tokens.tokenRegistry.initial, command)
    await refusedInSilence(() => decide({ type: 'mint', ...terms }))
    await refusedInSilence(() => decide({ type: 'mint', ...terms, id: MARK }))
    await refusedInSilence(() => decide({ type: 'rotate', ...terms, overlapMs: 0 }))
    await refusedInSilence(() => decide({ type: 'revoke', id: MARK, now: NOW }))
    await refusedInSilence(() =>
      decide({ type: 'redeem', secretHash: MARK as tokens.TokenHash, publicKeyHash: MARK, nodeId: MARK, now: NOW }),
    )
    const { secret } = tokens.parseJoinToken(markedToken)
    const secretHash = tokens.hashTokenSecret(secret, systemDigest)
    await refusedInSilence(() =>
      decide({ type: 'redeem', secretHash, publicKeyHash: 'a'.repeat(64), nodeId: 'a'.repeat(25), now: NOW }),
    )
  })

  it('of secrets says nothing of values, names and labels that it refuses', async () => {
    const value = marked(32)
    const create = { type: 'create', id: 's1', name: 'db', value, labels: {}, now: NOW } as const
    const state = secrets.secretCatalogue
      .decide(secrets.secretCatalogue.initial, create)
      .reduce(secrets.secretCatalogue.evolve, secrets.secretCatalogue.initial)
    const decide = (command: secrets.SecretCatalogueCommand): unknown => secrets.secretCatalogue.decide(state, command)
    const reference = { secretId: 's1', target: 'file', uid: null, gid: null, mode: 0o400 }
    for (const command of [
      create,
      { ...create, id: 's2' },
      { ...create, id: MARK, name: MARK },
      { ...create, id: 's2', name: `/${MARK}` },
      { ...create, id: 's2', name: 'x', value: marked(600_000) },
      { ...create, id: 's2', name: 'x', labels: { [`\u0000${MARK}`]: MARK } },
      { ...create, id: 's2', name: 'x', labels: { a: `${MARK}\u0000` } },
      { ...create, id: 's2', name: 'x', labels: { a: MARK.repeat(5_000) } },
      { type: 'remove', id: MARK },
      { type: 'update-labels', id: 's1', labels: { a: MARK }, version: 99, now: NOW },
      { type: 'grant', taskId: 't', nodeId: 'n', references: [{ ...reference, target: `../${MARK}` }] },
      { type: 'grant', taskId: 't', nodeId: 'n', references: [reference, reference] },
      { type: 'grant', taskId: 't', nodeId: 'n', references: [{ ...reference, secretId: MARK }] },
    ] as const)
      await refusedInSilence(() => decide(command))
  })

  it('of the authority says nothing of the root key', async () => {
    const command = {
      type: 'found',
      clusterId: cluster.clusterId,
      certificate: node.certificate.pem,
      privateKey: marked(64),
      lifetimeMs: 3_600_000,
      now: NOW,
    } as const
    const { decide, evolve, initial } = identity.authorityLife
    await refusedInSilence(() => decide(initial, command))
    await refusedInSilence(() => decide(initial, { ...command, certificate: MARK }))
    await refusedInSilence(() => decide(initial, { ...command, lifetimeMs: 5 }))
    const good = { ...command, certificate: cluster.root.pem }
    const state = decide(initial, good).reduce(evolve, initial)
    await refusedInSilence(() => decide(state, good))
    await refusedInSilence(() => decide(state, { type: 'set-lifetime', lifetimeMs: 1 }))
  })

  it('of the membership says nothing of requests and hashes', async () => {
    const { decide, evolve, initial } = identity.membership
    const admit = {
      type: 'admit',
      nodeId: node.nodeId,
      role: 'worker',
      csr: MARK,
      publicKeyHash: MARK,
      now: NOW,
    } as const
    const state = decide(initial, { ...admit, csr: `${csrPem}${MARK}` }).reduce(evolve, initial)
    await refusedInSilence(() => decide(state, admit))
    await refusedInSilence(() => decide(state, { type: 'renew', nodeId: node.nodeId, csr: MARK, publicKeyHash: MARK }))
    await refusedInSilence(() => decide(state, { type: 'renew', nodeId: other.nodeId, csr: MARK, publicKeyHash: MARK }))
    await refusedInSilence(() =>
      decide(state, {
        type: 'record-certificate',
        nodeId: node.nodeId,
        csr: MARK,
        certificate: MARK,
        serial: MARK,
        notAfter: NOW,
      }),
    )
    await refusedInSilence(() =>
      decide(state, { type: 'evict', nodeId: node.nodeId, reason: MARK.repeat(500), now: NOW }),
    )
  })
})

describe('what a node keeps', () => {
  it('as a key file: every damaged byte, wrong key and refused save is silent about it', async () => {
    const path = join(tempDir(), 'node.key')
    const file = await identityNode.openKeyFile(path)
    const content = {
      privateKey: node.privateKey,
      certificateChain: node.certificateChain,
      trustBundle: node.trustBundle,
      companion: { ring: marked(40) },
    }
    await refusedInSilence(async () => {
      await file.save({ ...content, privateKey: marked(120) }, identityNode.clearWrapper)
    })
    await refusedInSilence(async () => {
      await file.save({ ...content, privateKey: other.privateKey }, identityNode.clearWrapper)
    })
    const wrapper = raftlog.unlockKeyWrapper(marked(32), systemRandom)
    await file.save(content, wrapper)
    const wrong = raftlog.unlockKeyWrapper(marked(33).subarray(1), systemRandom)
    await refusedInSilence(async () => await file.load(wrong))
    await refusedInSilence(async () => await file.load(identityNode.clearWrapper))
    const bytes = readFileSync(path)
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 60)) {
      const damaged = Buffer.from(bytes)
      damaged[at]! ^= 0x20
      writeFileSync(path, damaged)
      await refusedInSilence(async () => await file.load(wrapper))
      writeFileSync(path, bytes.subarray(0, at))
      await refusedInSilence(async () => await file.load(wrapper))
    }
    writeFileSync(path, Buffer.concat([MARKED, bytes]))
    await refusedInSilence(async () => await file.load(wrapper))
    writeFileSync(path, JSON.stringify({ version: MARK, privateKey: MARK }))
    await refusedInSilence(async () => await file.load(wrapper))
  })

  it('as a sealed log: opening it damaged, with a wrong key or under another name is silent about entries and keys', async () => {
    const home = tempDir()
    const directory = join(home, 'log')
    mkdirSync(directory, { mode: 0o700 })
    const keys = raftlogNode.fileKeyStore(join(home, 'keys'))
    const wrapper = raftlog.unlockKeyWrapper(marked(32), systemRandom)
    const parts = { directory, keys, clusterId: 'c1', logId: 'n1', wrapper }
    const log = await raftlogNode.createLog(parts)
    await log.append([marked(100), marked(40)])
    await log.saveSnapshot({ index: 1n, term: 1n, data: marked(80) })
    await refusedInSilence(async () => await log.append([marked(17 * 1024 * 1024)]))
    await log.close()
    await refusedInSilence(async () => await log.append([marked(5)]))
    const open = async (changes: Partial<typeof parts> = {}): Promise<void> => {
      const opened = await raftlogNode.openLog({ ...parts, ...changes })
      try {
        await opened.loadSnapshot()
        for await (const entry of opened.entries()) expect(entry.data.length).toBeGreaterThan(0)
      } finally {
        await opened.close()
      }
    }
    await refusedInSilence(async () => {
      await open({ wrapper: raftlog.clearWrapper })
    })
    await refusedInSilence(async () => {
      await open({ wrapper: raftlog.unlockKeyWrapper(marked(33).subarray(1), systemRandom) })
    })
    await refusedInSilence(async () => {
      await open({ clusterId: 'c2' })
    })
    await refusedInSilence(async () => {
      await open({
        keys: {
          load: async () => await Promise.resolve(marked(90)),
          save: async () => {
            await Promise.resolve()
          },
        },
      })
    })
    let refused = 0
    for (const name of readdirSync(directory).filter((file) => /^\d/.test(file))) {
      const path = join(directory, name)
      const bytes = readFileSync(path)
      for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 25)) {
        const damaged = Buffer.from(bytes)
        damaged.set(MARKED.subarray(0, Math.min(MARKED.length, bytes.length - at)), at)
        writeFileSync(path, damaged)
        const thrown = await thrownBy(async () => {
          await open()
        })
        if (thrown === null) continue
        refused += 1
        expect(leaksIn(shown(thrown.error))).toEqual([])
      }
      writeFileSync(path, bytes)
    }
    expect(refused).toBeGreaterThan(20)
  })

  it('as secrets in memory and on their way to files', async () => {
    const task = { id: 't1', secretIds: ['s1'] }
    const secret = { id: 's1', name: 'db', value: new secrets.Secret(marked(64)) }
    using hold = secrets.createHold()
    await refusedInSilence(() =>
      hold.apply({ ...secrets.completeSet({ secrets: [secret], tasks: [task] }), appliesTo: MARK }),
    )
    await refusedInSilence(() => hold.apply({ type: 'incremental', appliesTo: MARK, resultsIn: '9', changes: [] }))
    await refusedInSilence(() =>
      hold.apply(secrets.completeSet({ secrets: [{ ...secret, id: `/${MARK}` }], tasks: [] })),
    )
    await refusedInSilence(() =>
      hold.apply(
        secrets.completeSet({ secrets: [{ ...secret, value: new secrets.Secret(marked(600_000)) }], tasks: [] }),
      ),
    )
    hold.apply(secrets.completeSet({ secrets: [secret], tasks: [task] }))
    const { signal } = new AbortController()
    await refusedInSilence(async () => await hold.reader('t1').read(MARK, { signal }))
    await refusedInSilence(async () => await hold.reader(MARK).read('s1', { signal }))
    await refusedInSilence(async () => await secrets.restrict(hold.reader('t1'), []).read('s1', { signal }))

    const reference = { secretId: 's1', target: 'file', uid: null, gid: null, mode: 0o400 }
    const mount = secrets.memoryMount({ capacityBytes: 10 })
    await refusedInSilence(
      async () =>
        await secrets.deliver(mount, secrets.planDelivery('t1', [reference], null), hold.reader('t1'), { signal }),
    )
    await refusedInSilence(() => secrets.planDelivery('t1', [{ ...reference, target: `../${MARK}` }], null))
    const stopped = AbortSignal.abort(new Error('the worker stops'))
    await refusedInSilence(
      async () =>
        await secrets.deliver(secrets.memoryMount(), secrets.planDelivery('t1', [reference], null), hold.reader('t1'), {
          signal: stopped,
        }),
    )

    const wiped = new secrets.Secret(marked(64))
    expect(leaksIn(shown(wiped))).toEqual([])
    wiped[Symbol.dispose]()
    await refusedInSilence(() => wiped.expose(() => null))
    await refusedInSilence(() => wiped.clone())
  })

  it('as the environment of a task that cannot be started so', async () => {
    const capabilities = {
      root: false,
      levels: ['directory'],
      runSecrets: false,
      programs: { mount: null, setpriv: null, sh: null, unshare: null },
    } as never
    const request = { deliveryRoot: '/dev/shm/x', taskId: 't1', command: MARK, args: [MARK], env: {} }
    const plan = (more: object): unknown => secretsNode.planIsolation(capabilities, { ...request, ...more })
    await refusedInSilence(() => plan({ env: { [`${MARK}=`]: MARK } }))
    await refusedInSilence(() => plan({ env: { NAME: `${MARK}\0` } }))
    await refusedInSilence(() => plan({ cwd: MARK }))
    await refusedInSilence(() => plan({ level: 'namespace', env: { NAME: MARK } }))
    await refusedInSilence(() => plan({ user: { uid: 1, gid: 1 }, env: { NAME: MARK } }))
  })
})

describe('what goes over the wire', () => {
  const clock = {
    now: () => NOW,
    sleep: async (): Promise<void> => {
      await Promise.resolve()
    },
  }
  const { signal } = new AbortController()

  it('a join that fails says nothing of its token', async () => {
    for (const addresses of [['127.0.0.1:1'], [MARK], ['127.0.0.1:99999']] as const)
      await refusedInSilence(
        async () => await swarmNode.joinCluster({ addresses, token: markedToken, clock, random: systemRandom, signal }),
      )
    await refusedInSilence(
      async () =>
        await swarmNode.joinCluster({
          addresses: ['127.0.0.1:1'],
          token: `SWMTKN-1-${MARK}`,
          clock,
          random: systemRandom,
          signal,
        }),
    )
    await refusedInSilence(
      async () => await swarmNode.fetchTrustBundle({ address: '127.0.0.1:1', token: markedToken, clock, signal }),
    )
    await refusedInSilence(() => tokens.verifyTrustBundle(tokens.parseJoinToken(markedToken), utf8(MARK), systemDigest))
  })

  it('an answer carries the code of an error and a fixed text, whatever the error says', () => {
    for (const error of [
      new swarm.SwarmError('JOIN_TOKEN_REJECTED', `the token ${MARK}`, { cause: new Error(MARK) }),
      new tokens.TokenError('TOKEN_UNKNOWN', MARK),
      Object.assign(new Error(MARK), { code: MARK }),
      new Error(MARK),
      MARK,
    ]) {
      // Messages of our own errors are proven silent above; what others threw stays inside.
      const own = error instanceof swarm.SwarmError || error instanceof tokens.TokenError
      const { message, code } = swarm.wireStatusOf(error)
      expect(leaksIn(own ? code : `${message} ${code}`)).toEqual([])
    }
  })

  it('a caller is refused without a word of who it claims to be', async () => {
    const peer = { nodeId: MARK, clusterId: MARK, role: 'worker', serial: MARK } as never
    const evicted = identity.allOf(
      identity.inCluster(cluster.clusterId),
      identity.member(() => identity.membership.initial),
    )
    await refusedInSilence(() => {
      swarm.checkAccess('docker.swarmkit.v1.CA/GetUnlockKey', peer, { authorize: () => undefined })
    })
    await refusedInSilence(() => {
      swarm.checkAccess('docker.swarmkit.v1.NodeCA/IssueNodeCertificate', peer, { authorize: evicted })
    })
    await refusedInSilence(() => {
      identity.member(() => identity.membership.initial)(peer)
    })
    await refusedInSilence(() => {
      identity.allowRoles('manager')(peer)
    })
  })

  it('a certificate that is refused is not shown', async () => {
    const trust = {
      roots: [cluster.root],
      clusterId: cluster.clusterId,
      now: NOW,
      verifier: identityNode.systemVerifier,
    }
    await refusedInSilence(() => identity.verifyPeerSync([], trust))
    await refusedInSilence(() => identity.verifyPeerSync([node.certificate], { ...trust, now: NOW + 10 ** 12 }))
    await refusedInSilence(() => identity.verifyPeerSync([node.certificate], { ...trust, clusterId: MARK as never }))
    await refusedInSilence(
      async () =>
        await identity.openAuthority(
          { certificate: cluster.root, signer: identityNode.openSigner(node.privateKey) },
          { verifier: identityNode.systemVerifier },
        ),
    )
    await refusedInSilence(() =>
      identityNode.clientContextOptions({
        privateKey: other.privateKey,
        certificateChain: node.certificateChain,
        trustBundle: MARK,
      }),
    )
  })
})
