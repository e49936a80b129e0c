import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { KeyWrapper } from '@leastwise/identity'
import {
  clearWrapper,
  type KeyFile,
  type KeyFileContent,
  MAX_COMPANIONS,
  MAX_KEY_FILE_BYTES,
  openKeyFile,
} from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { tempDir } from '../support/temp-dir.ts'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'
import { codeOf, DISK_USER, memoryDisk } from './memory-disk.ts'

let cluster: TestCluster
let node: TestNode
let content: KeyFileContent
const companion = { 'log-keys': Uint8Array.of(7, 8, 9), other: new Uint8Array() }
beforeAll(async () => {
  cluster = await testCluster()
  node = await cluster.issue()
  content = {
    privateKey: node.privateKey,
    certificateChain: node.certificateChain,
    trustBundle: node.trustBundle,
    companion,
  }
})

/** Good enough to tell keys apart; what it wraps is 32 bytes, always. */
function wrapper(id: string, key: number): KeyWrapper {
  const tag = Uint8Array.of(key, 0x77)
  return {
    id,
    wrap: async (clear) => Uint8Array.from([...tag, ...clear.map((byte) => byte ^ key)]),
    unwrap: async (wrapped) => (wrapped[0] === key ? wrapped.slice(2).map((byte) => byte ^ key) : null),
  }
}
const unlockKey = wrapper('unlock', 0x5a)
const otherKey = wrapper('unlock', 0x33)

async function fresh(): Promise<{ readonly path: string; readonly file: KeyFile }> {
  const path = join(tempDir(), 'node.key')
  return { path, file: await openKeyFile(path) }
}

describe('a key file', () => {
  it('is absent at first', async () => {
    const { file } = await fresh()
    expect(await file.inspect()).toBeNull()
    expect(await file.load(clearWrapper)).toBeNull()
    await expect(file.update((each) => each, clearWrapper)).rejects.toThrowCode('KEY_FILE_MISSING')
  })

  it('gives back what was saved, under a key and without one', async () => {
    for (const each of [clearWrapper, unlockKey]) {
      const { path, file } = await fresh()
      await file.save(content, each)
      expect(await file.load(each)).toEqual(content)
      expect(await file.inspect()).toEqual({ locked: each !== clearWrapper, wrapperId: each.id })
      expect(await (await openKeyFile(path)).load(each)).toEqual(content)
      expect(statSync(path).mode & 0o777).toBe(0o600)
      expect(readdirSync(join(path, '..'))).toEqual(['node.key'])
    }
  })

  it('may wait for its first certificate', async () => {
    const { file } = await fresh()
    const waiting = { ...content, certificateChain: null }
    await file.save(waiting, clearWrapper)
    expect(await file.load(clearWrapper)).toEqual(waiting)
  })

  it('refuses a chain that is for another key, and leaves what was there', async () => {
    const { file } = await fresh()
    await file.save(content, clearWrapper)
    const other = await cluster.issue()
    await expect(file.save({ ...content, privateKey: other.privateKey }, clearWrapper)).rejects.toThrowCode(
      'KEY_FILE_KEY_MISMATCH',
    )
    await expect(file.save({ ...content, privateKey: Uint8Array.of(1, 2) }, clearWrapper)).rejects.toThrowCode(
      'PRIVATE_KEY_MALFORMED',
    )
    expect(await file.load(clearWrapper)).toEqual(content)
  })

  it('is sealed under a fresh key at each save, and holds no private key in the open, locked or not', async () => {
    const { path, file } = await fresh()
    await file.save(content, unlockKey)
    const first = readFileSync(path, 'utf8')
    await file.save(content, unlockKey)
    const second = readFileSync(path, 'utf8')
    expect(second).not.toBe(first)
    const secret = Buffer.from(node.privateKey)
    for (const text of [first, second]) {
      expect(
        Object.values(JSON.parse(text) as Record<string, unknown>).some(
          (value) => typeof value === 'string' && Buffer.from(value, 'base64').includes(secret.subarray(36, 68)),
        ),
      ).toBe(false)
    }
  })
})

describe('update', () => {
  it('changes one part and keeps the rest; updates at the same time are not lost', async () => {
    const { file } = await fresh()
    await file.save(content, clearWrapper)
    const next = await cluster.issue()
    await Promise.all([
      file.update(
        (each) => ({ ...each, privateKey: next.privateKey, certificateChain: next.certificateChain }),
        clearWrapper,
      ),
      file.update(
        async (each) => ({ ...each, companion: { ...each.companion, 'log-keys': Uint8Array.of(1) } }),
        clearWrapper,
      ),
    ])
    expect(await file.load(clearWrapper)).toEqual({
      ...content,
      privateKey: next.privateKey,
      certificateChain: next.certificateChain,
      companion: { ...companion, 'log-keys': Uint8Array.of(1) },
    })
  })

  it('locks, changes the key and unlocks; an old key opens nothing any more', async () => {
    const { file } = await fresh()
    await file.save(content, clearWrapper)
    await file.update((each) => each, clearWrapper, unlockKey)
    await expect(file.load(clearWrapper)).rejects.toThrowCode('KEY_FILE_LOCKED')
    await file.update((each) => each, unlockKey, otherKey)
    await expect(file.load(unlockKey)).rejects.toThrowCode('KEY_FILE_WRONG_KEY')
    expect(await file.load(otherKey)).toEqual(content)
    await file.update((each) => each, otherKey, clearWrapper)
    expect(await file.load(clearWrapper)).toEqual(content)
  })

  it('that fails changes nothing and does not block the next one', async () => {
    const { file } = await fresh()
    await file.save(content, clearWrapper)
    await expect(
      file.update(() => {
        throw new Error('changed my mind')
      }, clearWrapper),
    ).rejects.toThrow('changed my mind')
    expect(await file.load(clearWrapper)).toEqual(content)
  })
})

describe('keys', () => {
  it('one face for a wrong key, whatever is wrong about it', async () => {
    const { file } = await fresh()
    await file.save(content, unlockKey)
    const short: KeyWrapper = { ...unlockKey, unwrap: () => Uint8Array.of(1) }
    const wrong: KeyWrapper = { ...unlockKey, unwrap: () => new Uint8Array(32) }
    for (const each of [otherKey, short, wrong]) await expect(file.load(each)).rejects.toThrowCode('KEY_FILE_WRONG_KEY')
    await expect(file.load(clearWrapper)).rejects.toThrowCode('KEY_FILE_LOCKED')
  })

  it('a clear file is not taken in the place of a locked one', async () => {
    const { file } = await fresh()
    await file.save(content, clearWrapper)
    await expect(file.load(unlockKey)).rejects.toThrowCode('KEY_FILE_WRONG_KEY')
  })

  it('errors of the wrapper come through as they are', async () => {
    const { file } = await fresh()
    const away: KeyWrapper = {
      id: 'kms',
      wrap: async () => {
        throw new Error('kms is away')
      },
      unwrap: () => null,
    }
    await expect(file.save(content, away)).rejects.toThrow('kms is away')
  })

  it('nothing secret is in what a refusal prints', async () => {
    const disk = memoryDisk()
    const random = seededRandom(1)
    const file = await openKeyFile('/disk/node.key', { files: disk.files(), random })
    await file.save(content, unlockKey)
    const [fileKey] = random.draws
    const marks = [Buffer.from(node.privateKey), Buffer.from(fileKey!)].flatMap((bytes) => [
      bytes.toString('base64'),
      bytes.toString('hex'),
      bytes.join(', '),
    ])
    const good = disk.bytesOf('/disk/node.key')!
    const texts: string[] = []
    for (let at = 0; at < good.length; at += 37) {
      const bad = good.slice()
      bad[at] = bad[at]! ^ 1
      disk.put('/disk/node.key', bad)
      texts.push(
        await file.load(unlockKey).then(
          () => 'opened',
          (error: unknown) => inspect(error, { depth: 9, showHidden: true }),
        ),
      )
    }
    expect(texts).not.toContain('opened')
    for (const text of texts) for (const mark of marks) expect(text.includes(mark)).toBe(false)
  })
})

describe('a damaged file', () => {
  it('is refused at every byte where it is cut off, and for every changed byte', async () => {
    for (const each of [clearWrapper, unlockKey]) {
      const disk = memoryDisk()
      const file = await openKeyFile('/disk/node.key', { files: disk.files() })
      await file.save(content, each)
      const good = disk.bytesOf('/disk/node.key')!
      const allowed =
        each === clearWrapper
          ? ['KEY_FILE_MALFORMED', 'KEY_FILE_WRONG_KEY', 'KEY_FILE_LOCKED']
          : ['KEY_FILE_MALFORMED', 'KEY_FILE_WRONG_KEY']
      const seen = new Set<string>()
      for (let at = 0; at < good.length; at += 1) {
        const flipped = good.slice()
        flipped[at] = flipped[at]! ^ (1 << (at % 8))
        for (const bad of [good.slice(0, at), flipped]) {
          disk.put('/disk/node.key', bad)
          const code = await file.load(each).then(() => 'opened', codeOf)
          seen.add(code)
        }
      }
      expect(allowed).toEqual(expect.arrayContaining([...seen]))
      expect(seen.has('KEY_FILE_MALFORMED')).toBe(true)
    }
  })

  it('is refused in any other spelling, and with parts of another save', async () => {
    const disk = memoryDisk()
    const file = await openKeyFile('/disk/node.key', { files: disk.files() })
    await file.save(content, clearWrapper)
    const good = Buffer.from(disk.bytesOf('/disk/node.key')!).toString()
    const members = JSON.parse(good) as Record<string, unknown>
    await file.save({ ...content, companion: {} }, clearWrapper)
    const others = JSON.parse(Buffer.from(disk.bytesOf('/disk/node.key')!).toString()) as Record<string, unknown>
    const spelled = (value: unknown): string => `${JSON.stringify(value)}\n`
    const bad = [
      '',
      'null\n',
      '[]\n',
      'garbage',
      good.trimEnd(),
      `${good}\n`,
      ` ${good}`,
      good.replace('":"', '": "'),
      good.replace('leastwise', '\\u006ceastwise'),
      spelled(Object.fromEntries(Object.entries(members).reverse())),
      spelled({ ...members, extra: 1 }),
      spelled({ ...members, version: 2 }),
      spelled({ ...members, format: 'another' }),
      spelled({ ...members, wrapper: '' }),
      spelled({ ...members, trustBundle: 'ü' }),
      spelled({ ...members, trustBundle: null }),
      spelled({ ...members, certificateChain: 1 }),
      spelled({ ...members, companion: null }),
      spelled({ ...members, companion: { UPPER: '' } }),
      spelled({ ...members, companion: { a: 1 } }),
      spelled({ ...members, nonce: 'AAAA' }),
      spelled({ ...members, sealedKey: '' }),
      ...Object.keys(members).map((name) => spelled({ ...members, [name]: undefined })),
      ...['fileKey', 'companion', 'nonce', 'sealedKey'].map((name) => spelled({ ...members, [name]: others[name] })),
    ]
    for (const text of bad) {
      disk.put('/disk/node.key', Uint8Array.from(Buffer.from(text)))
      await expect(file.load(clearWrapper), text.slice(0, 60)).rejects.toThrowCode('KEY_FILE_MALFORMED')
    }
    disk.put('/disk/node.key', Uint8Array.from(Buffer.from(good)))
    expect(await file.load(clearWrapper)).toEqual(content)
  })

  it('is not even read when it is too large', async () => {
    const disk = memoryDisk()
    disk.put('/disk/node.key', new Uint8Array(MAX_KEY_FILE_BYTES + 1))
    const file = await openKeyFile('/disk/node.key', { files: disk.files() })
    await expect(file.inspect()).rejects.toThrowCode('KEY_FILE_MALFORMED')
  })
})

it('what does not belong in a key file is a mistake of the caller', async () => {
  const { file } = await fresh()
  const many = Object.fromEntries(Array.from({ length: MAX_COMPANIONS + 1 }, (_, at) => [`c${at}`, new Uint8Array()]))
  const wrong: readonly KeyFileContent[] = [
    { ...content, companion: many },
    { ...content, companion: { 'Not a name': new Uint8Array() } },
    { ...content, companion: { big: new Uint8Array(MAX_KEY_FILE_BYTES) } },
    { ...content, trustBundle: 'ü' },
  ]
  for (const each of wrong) await expect(file.save(each, clearWrapper)).rejects.toThrow(RangeError)
  await expect(file.save(content, { ...clearWrapper, id: 'two words' })).rejects.toThrow(RangeError)
  expect(await file.inspect()).toBeNull()
})

describe('an unsafe place', () => {
  it('a file that others may read, or that is a link or a directory', async () => {
    const { path, file } = await fresh()
    await file.save(content, clearWrapper)
    for (const mode of [0o640, 0o604, 0o660, 0o601]) {
      chmodSync(path, mode)
      await expect(file.load(clearWrapper)).rejects.toThrowCode('KEY_FILE_UNSAFE')
    }
    chmodSync(path, 0o600)
    renameSync(path, `${path}.real`)
    symlinkSync(`${path}.real`, path)
    await expect(file.load(clearWrapper)).rejects.toThrowCode('KEY_FILE_UNSAFE')
    const directory = join(tempDir(), 'node.key')
    mkdirSync(directory)
    await expect((await openKeyFile(directory)).inspect()).rejects.toThrowCode('KEY_FILE_UNSAFE')
  })

  it('a file or a directory of somebody else', async () => {
    const disk = memoryDisk()
    disk.put('/disk/node.key', Uint8Array.of(1), { owner: DISK_USER + 1 })
    await expect((await openKeyFile('/disk/node.key', { files: disk.files() })).inspect()).rejects.toThrowCode(
      'KEY_FILE_UNSAFE',
    )
    disk.directory.owner = DISK_USER + 1
    await expect(openKeyFile('/disk/node.key', { files: disk.files() })).rejects.toThrowCode('KEY_FILE_UNSAFE')
    disk.directory.owner = 0
    await expect(openKeyFile('/disk/node.key', { files: disk.files() })).resolves.toBeDefined()
  })

  it('a directory in which others may write, unless it is sticky', async () => {
    const directory = tempDir()
    chmodSync(directory, 0o777)
    await expect(openKeyFile(join(directory, 'node.key'))).rejects.toThrowCode('KEY_FILE_UNSAFE')
    chmodSync(directory, 0o1777)
    await expect(openKeyFile(join(directory, 'node.key'))).resolves.toBeDefined()
  })
})

describe('a disk that does not do its work', () => {
  it.each([
    ['ENOSPC', 'no space is left'],
    ['EDQUOT', 'quota'],
    ['EACCES', 'no right'],
    ['EPERM', 'no right'],
    ['EROFS', 'read-only'],
    ['EIO', 'the system reported an error'],
  ])('%s is told in words of its own, with the cause', async (code, words) => {
    const disk = memoryDisk()
    const file = await openKeyFile('/disk/node.key', { files: disk.files({ at: 1, kind: 'fail', code }) })
    const error = await file.save(content, clearWrapper).catch((each: unknown) => each)
    expect(error).toMatchObject({ code: 'KEY_FILE_WRITE_FAILED', cause: { code } })
    expect(String(error)).toContain(words)
    expect(disk.names()).toEqual([])
  })

  it('a missing directory is told when the file is saved, and one that cannot be looked at when it is opened', async () => {
    const missing = await openKeyFile(join(tempDir(), 'missing', 'node.key'))
    expect(await missing.inspect()).toBeNull()
    await expect(missing.save(content, clearWrapper)).rejects.toThrowCode('KEY_FILE_WRITE_FAILED')
    const inFile = join(tempDir(), 'file')
    writeFileSync(inFile, '')
    await expect(openKeyFile(join(inFile, 'node.key'))).rejects.toThrowCode('KEY_FILE_READ_FAILED')
  })
})

it('clears away what interrupted writes left, and nothing else', async () => {
  const directory = tempDir()
  for (const name of ['.node.key.tmp-0011', '.other.key.tmp-0011', 'node.key.old'])
    writeFileSync(join(directory, name), '')
  await openKeyFile(join(directory, 'node.key'))
  expect(readdirSync(directory).sort()).toEqual(['.other.key.tmp-0011', 'node.key.old'])
})
