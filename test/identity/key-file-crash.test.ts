import { clearWrapper, type KeyFileContent, openKeyFile } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { testCluster } from '../support/test-authority.ts'
import { AFTERMATHS, codeOf, type MemoryDisk, memoryDisk } from './memory-disk.ts'

const PATH = '/disk/node.key'
let older: KeyFileContent
let newer: KeyFileContent

beforeAll(async () => {
  const cluster = await testCluster()
  const [first, second] = [await cluster.issue(), await cluster.issue()]
  const contentOf = ({ privateKey, certificateChain, trustBundle }: typeof first, mark: number): KeyFileContent => ({
    privateKey,
    certificateChain,
    trustBundle,
    companion: { 'log-keys': Uint8Array.of(mark) },
  })
  older = contentOf(first, 1)
  newer = contentOf(second, 2)
})

async function diskWith(content: KeyFileContent | null): Promise<MemoryDisk> {
  const disk = memoryDisk()
  if (content !== null) await (await openKeyFile(PATH, { files: disk.files() })).save(content, clearWrapper)
  return disk
}

async function stepsOfASave(before: KeyFileContent | null): Promise<number> {
  const files = (await diskWith(before)).files()
  await (await openKeyFile(PATH, { files })).save(newer, clearWrapper)
  return files.steps()
}

const opened = async (disk: MemoryDisk): Promise<KeyFileContent | null> =>
  await (await openKeyFile(PATH, { files: disk.files() })).load(clearWrapper)

describe.each(['nothing', 'an older content'] as const)('a save over %s', (before) => {
  const old = (): KeyFileContent | null => (before === 'nothing' ? null : older)

  it('cut off by a power failure at any step leaves old or new, whatever the disk kept; nothing stays beside it', async () => {
    const steps = await stepsOfASave(old())
    expect(steps).toBe(6)
    const outcomes = new Set<string>()
    for (let at = 0; at <= steps; at += 1) {
      for (const aftermath of AFTERMATHS) {
        const disk = await diskWith(old())
        const file = await openKeyFile(PATH, { files: disk.files({ at, kind: 'power' }) })
        const answer = await file.save(newer, clearWrapper).then(() => 'saved', codeOf)
        expect(answer).toBe(at === steps ? 'saved' : 'KEY_FILE_WRITE_FAILED')
        const left = disk.after(aftermath)
        const found = await opened(left)
        const isNew = found?.companion['log-keys']?.[0] === 2
        expect(found).toEqual(isNew ? newer : old())
        if (answer === 'saved') expect(isNew).toBe(true)
        outcomes.add(isNew ? 'new' : 'old')
        expect(left.names()).toEqual(found === null ? [] : ['node.key'])
      }
    }
    expect(outcomes).toEqual(new Set(['old', 'new']))
  })

  it('in which any one step fails leaves old or new in the same process, no temporary file, and can be repeated', async () => {
    const steps = await stepsOfASave(old())
    for (let at = 0; at < steps; at += 1) {
      const disk = await diskWith(old())
      const file = await openKeyFile(PATH, { files: disk.files({ at, kind: 'fail', code: 'ENOSPC' }) })
      await expect(file.save(newer, clearWrapper)).rejects.toThrowCode('KEY_FILE_WRITE_FAILED')
      const found = await file.load(clearWrapper)
      expect(found).toEqual(found?.companion['log-keys']?.[0] === 2 ? newer : old())
      expect(disk.names()).toEqual(found === null ? [] : ['node.key'])
      await file.save(newer, clearWrapper)
      expect(await file.load(clearWrapper)).toEqual(newer)
    }
  })
})
