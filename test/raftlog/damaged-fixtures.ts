import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  clearWrapper,
  createSealedLog,
  type KeyWrapper,
  openSealedLog,
  type RandomSource,
  unlockKeyWrapper,
} from '@leastwise/raftlog'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { partsOn, readAll, utf8 } from './log-support.ts'
import { type Directory, directoryOf, diskOf } from './tools-support.ts'

const DIRECTORY = join(import.meta.dirname, '../vectors/raftlog/directories')

/** A directory as it is kept with the vectors; bytes in hexadecimal. */
interface Stored {
  readonly unlockKey: string | null
  readonly ring: string
  readonly files: Readonly<Record<string, string>>
  /** What the log holds, `index:term:text`. */
  readonly entries: readonly string[]
  readonly snapshot: string | null
}

/** A directory to damage, and what is in it. */
export interface Fixture extends Directory {
  readonly name: string
  readonly entries: readonly string[]
  readonly snapshot: string | null
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'))

function countingRandom(): RandomSource {
  let next = 0
  return { bytes: (length) => Uint8Array.from({ length }, () => (next += 1) & 0xff) }
}

const UNLOCK_KEY = Uint8Array.from({ length: 32 }, (_, at) => 0xa0 + at)
const wrapperOf = (unlockKey: string | null): KeyWrapper =>
  unlockKey === null ? clearWrapper : unlockKeyWrapper(unhex(unlockKey), countingRandom())

interface Life {
  readonly locked?: true
  /** Zeros that a file takes ahead; only then are files written over. */
  readonly stepBytes?: number
  readonly live: (disk: CrashDisk) => Promise<void>
}

/** One life for each kind of directory that a log can leave. */
const LIVES: Readonly<Record<string, Life>> = {
  fresh: {
    live: async (disk) => {
      await create(disk)
    },
  },
  crashed: {
    live: async (disk) => {
      const log = await create(disk, 300)
      for (const each of ['one', 'two', 'three', 'four', 'five']) await log.append([utf8(each)])
      await log.append([utf8('six'), utf8('')])
    },
  },
  ahead: {
    live: async (disk) => {
      const log = await create(disk)
      await log.append([utf8('one'), utf8('two')])
      const [[name, { bytes }] = ['', { bytes: new Uint8Array(0) }]] = disk.contents
      const longer = new Uint8Array(bytes.length + 500)
      longer.set(bytes)
      disk.put(name, longer)
    },
  },
  snapshot: {
    live: async (disk) => {
      const log = await create(disk, 300)
      for (const each of ['one', 'two', 'three']) await log.append([utf8(each)])
      await log.saveSnapshot({ index: 2n, term: 1n, data: utf8('state after two') })
      await log.append([utf8('four')], { term: 2n })
      await log.close()
    },
  },
  compacted: {
    live: async (disk) => {
      const log = await create(disk, 300)
      for (const each of ['one', 'two', 'three']) await log.append([utf8(each)])
      await log.saveSnapshot({ index: 3n, term: 1n, data: utf8('state after three') })
      await log.append([utf8('four')])
      await log.compact(3n)
      await log.append([utf8('five')])
      await log.close()
    },
  },
  rotated: {
    live: async (disk) => {
      const log = await create(disk)
      await log.append([utf8('one'), utf8('two')])
      await log.rotateDek({ snapshot: () => ({ index: 2n, term: 1n, data: utf8('state after two') }) })
      await log.append([utf8('three')])
      await log.close()
    },
  },
  rotating: {
    live: async (disk) => {
      const log = await create(disk)
      await log.append([utf8('one')])
      const stopped = new Error('the host stops here')
      await log.rotateDek({ snapshot: () => Promise.reject(stopped) }).catch(() => undefined)
      await log.append([utf8('two')])
    },
  },
  locked: {
    locked: true,
    live: async (disk) => {
      const log = await create(disk)
      await log.append([utf8('one')])
      await log.append([utf8('two')])
      await log.rewrap(wrapperOf(hex(UNLOCK_KEY)))
      await log.close()
    },
  },
  pending: {
    live: async (disk) => {
      const log = await create(disk)
      await log.append([utf8('one')])
      await log.close()
      const [bytes] = [...disk.contents.values()].map((inode) => inode.bytes)
      disk.put('00000000000000000002.log.tmp', bytes!.slice(0, 90))
      disk.put('00000000000000000001.snap.tmp', new Uint8Array(0))
      disk.put('notes.txt', utf8('not of the log'))
    },
  },
  over: {
    stepBytes: 128,
    live: async (disk) => {
      const log = await create(disk)
      for (const each of ['one', 'two', 'three', 'four']) await log.append([utf8(each)])
      await log.saveSnapshot({ index: 4n, term: 1n, data: utf8('state after four') })
      await log.compact(4n)
      await log.append([utf8('five')])
      await log.saveSnapshot({ index: 5n, term: 1n, data: utf8('state after five') })
      await log.append([utf8('six')])
      await log.append([utf8('seven')])
    },
  },
  follower: {
    live: async (disk) => {
      const log = await create(disk)
      await log.saveState({ term: 1n, vote: 'n2', commit: 0n })
      await log.append(['one', 'two', 'three'].map(utf8), { term: 1n })
      await log.append([utf8('TWO')], { term: 2n, at: 2n, state: { term: 3n, vote: null, commit: 1n } })
      await log.append([utf8('THREE')], { term: 3n })
    },
  },
  installed: {
    live: async (disk) => {
      const log = await create(disk)
      await log.append([utf8('one')], { state: { term: 1n, vote: 'n2', commit: 1n } })
      await log.installSnapshot({ index: 9n, term: 4n, data: utf8('state after nine') })
      await log.append([utf8('ten')])
      await log.append([utf8('eleven')])
      await log.close()
    },
  },
}

export const IDENTITY = { clusterId: 'c', logId: 'n' } as const

const create = async (disk: CrashDisk, segmentBytes = 1 << 20) =>
  await createSealedLog(partsOn(disk, { ...IDENTITY, random: countingRandom(), segmentBytes }))

/** Lives a life and writes down what it left. */
async function storedOf(name: string): Promise<Stored> {
  const { locked, stepBytes, live } = LIVES[name]!
  const disk = crashDisk({ stepBytes })
  await live(disk)
  const unlockKey = locked === true ? hex(UNLOCK_KEY) : null
  const wrapper = wrapperOf(unlockKey)
  const log = await openSealedLog(partsOn(diskOf(directoryOf(disk)), { ...IDENTITY, wrapper }))
  const snapshot = await log.loadSnapshot()
  return {
    unlockKey,
    ring: hex(disk.ring()!),
    files: Object.fromEntries([...disk.contents].map(([file, { bytes }]) => [file, hex(bytes)])),
    entries: await readAll(log),
    snapshot: snapshot === null ? null : `${snapshot.index}:${Buffer.from(snapshot.data).toString()}`,
  }
}

export const FIXTURE_NAMES: readonly string[] = Object.keys(LIVES)

const path = (name: string): string => join(DIRECTORY, `${name}.json`)

const readStored = (name: string): Stored => JSON.parse(readFileSync(path(name), 'utf8')) as Stored

if (process.env['UPDATE_VECTORS'] === '1') {
  for (const name of FIXTURE_NAMES) writeFileSync(path(name), `${JSON.stringify(await storedOf(name), null, 2)}\n`)
}

export function fixture(name: string): Fixture {
  const { files, ring, unlockKey, entries, snapshot } = readStored(name)
  return {
    name,
    files: new Map(Object.entries(files).map(([file, bytes]) => [file, unhex(bytes)])),
    ring: unhex(ring),
    wrapper: wrapperOf(unlockKey),
    entries,
    snapshot,
  }
}
