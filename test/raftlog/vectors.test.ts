import { createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { clearWrapper, createSealedLog, openSealedLog, type RandomSource, unlockKeyWrapper } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import { openBox } from '../../packages/raftlog/src/keys/secretbox.ts'
import { type CrashDisk, crashDisk } from './crash-disk.ts'
import { partsOn, readAll, text, utf8 } from './log-support.ts'

const FILE = join(import.meta.dirname, '../vectors/raftlog/directory.json')

interface Vector {
  readonly clusterId: string
  readonly logId: string
  readonly unlockKey: string
  readonly wrapperId: string
  readonly dek: string
  readonly keyId: string
  readonly clearRing: string
  readonly lockedRing: string
  readonly files: Readonly<Record<string, string>>
  readonly entries: readonly string[]
  readonly snapshot: { readonly index: string; readonly term: string; readonly text: string }
  readonly refused: readonly {
    readonly why: string
    readonly file: string
    readonly bytes: string
    readonly code: string
  }[]
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, 'hex'))

/** Bytes 01 02 03 …, so that the vectors can be made again by anybody. */
function countingRandom(): RandomSource {
  let next = 0
  return { bytes: (length) => Uint8Array.from({ length }, () => (next += 1) & 0xff) }
}

const unlockKey = Uint8Array.from({ length: 32 }, (_, at) => 0xe0 + at)
const identity = { clusterId: 'cluster-of-the-vectors', logId: 'node-1' }

/** The life that the vectors record. */
async function record(): Promise<{ readonly disk: CrashDisk; readonly clearRing: Uint8Array }> {
  const disk = crashDisk()
  const random = countingRandom()
  const log = await createSealedLog(partsOn(disk, { ...identity, random }))
  const clearRing = disk.ring()!
  await log.append([utf8('first'), utf8('')])
  await log.append([utf8('third')], { term: 2n })
  await log.saveSnapshot({ index: 2n, term: 1n, data: utf8('state after two') })
  await log.append([utf8('fourth')])
  await log.rewrap(unlockKeyWrapper(unlockKey, random))
  await log.close()
  return { disk, clearRing }
}

async function write(): Promise<Vector> {
  const { disk, clearRing } = await record()
  const files = Object.fromEntries([...disk.contents].map(([name, { bytes }]) => [name, hex(bytes)]))
  const dek = clearRing.slice(-32)
  const [first] = Object.keys(files)
  const bytes = unhex(files[first!]!)
  const patched = (at: number, value: number): string =>
    hex(Uint8Array.from(bytes, (byte, nth) => (nth === at ? value : byte)))
  return {
    ...identity,
    unlockKey: hex(unlockKey),
    wrapperId: unlockKeyWrapper(unlockKey, countingRandom()).id,
    dek: hex(dek),
    keyId: hex(clearRing.slice(7 + 5, 7 + 5 + 16)),
    clearRing: hex(clearRing),
    lockedRing: hex(disk.ring()!),
    files,
    entries: ['1:1:first', '2:1:', '3:2:third', '4:2:fourth'],
    snapshot: { index: '2', term: '1', text: 'state after two' },
    refused: [
      { why: 'another version', file: first!, bytes: patched(4, 3), code: 'RECORD_UNSUPPORTED_VERSION' },
      { why: 'no mark', file: first!, bytes: patched(0, 0), code: 'RECORD_MALFORMED' },
      { why: 'a byte of the header changed', file: first!, bytes: patched(20, 9), code: 'RECORD_MALFORMED' },
      {
        why: 'a byte of a frame changed',
        file: first!,
        bytes: patched(bytes.length - 40, 9),
        code: 'RECORD_NOT_AUTHENTIC',
      },
      { why: 'last frame cut short', file: first!, bytes: hex(bytes.slice(0, -1)), code: 'RECORD_TRUNCATED' },
      { why: 'last frame missing', file: first!, bytes: hex(bytes.slice(0, -65)), code: 'RECORD_NOT_AUTHENTIC' },
    ],
  }
}

if (process.env['UPDATE_VECTORS'] === '1') writeFileSync(FILE, `${JSON.stringify(await write(), null, 2)}\n`)
const vector = JSON.parse(readFileSync(FILE, 'utf8')) as Vector

const diskOf = (ring: string): CrashDisk => {
  const disk = crashDisk({ ring: unhex(ring) })
  for (const [name, bytes] of Object.entries(vector.files)) disk.put(name, unhex(bytes))
  return disk
}

describe('the recorded directory', () => {
  it('is what the same life writes today, byte for byte', async () => {
    expect(await write()).toEqual(vector)
  })

  it('opens, locked and unlocked', async () => {
    const lock = unlockKeyWrapper(unhex(vector.unlockKey), countingRandom())
    expect(lock.id).toBe(vector.wrapperId)
    for (const [ring, wrapper] of [
      [vector.clearRing, clearWrapper],
      [vector.lockedRing, lock],
    ] as const) {
      const log = await openSealedLog(partsOn(diskOf(ring), { ...identity, wrapper }))
      expect(await readAll(log)).toEqual(vector.entries)
      const snapshot = (await log.loadSnapshot())!
      expect([String(snapshot.index), String(snapshot.term), text(snapshot.data)]).toEqual(
        Object.values(vector.snapshot),
      )
    }
  })

  it.each(vector.refused)('is refused with $why', async ({ file, bytes, code }) => {
    const disk = diskOf(vector.clearRing)
    disk.put(file, unhex(bytes))
    await expect(openSealedLog(partsOn(disk, identity))).rejects.toThrowCode(code)
  })
})

interface ReadFile {
  readonly kind: number
  readonly first: bigint
  readonly lines: string[]
  readonly state: string | null
  readonly lastTag: string
  readonly previous: string
}

/** A second reader, written from docs/log-format.md alone, on node:crypto and a DataView. */
function readFile(bytes: Uint8Array, dek: Uint8Array): ReadFile {
  const buffer = Buffer.from(bytes)
  const headerLength = buffer.readUInt16BE(6)
  const isOver = buffer.readUInt8(4) === 2
  const ids = buffer.subarray(isOver ? 100 : 96, headerLength)
  const clusterLength = ids.readUInt8(0)
  const cluster = ids.subarray(1, 1 + clusterLength)
  const log = ids.subarray(2 + clusterLength, 2 + clusterLength + ids.readUInt8(1 + clusterLength))
  const life = isOver ? buffer.readUIntBE(48, 3) : 0
  const label = Buffer.from('leastwise raftlog file key v1')
  const context = [
    buffer.subarray(5, 6),
    buffer.subarray(8, 16),
    Buffer.of(cluster.length),
    cluster,
    Buffer.of(log.length),
    log,
  ]
  const key = Buffer.from(hkdfSync('sha256', dek, buffer.subarray(48, 80), Buffer.concat([label, ...context]), 32))
  const open = (counter: number, associated: Buffer, body: Buffer, tag: Buffer): Buffer => {
    const nonce = Buffer.alloc(12)
    nonce.writeBigUInt64BE(BigInt(counter), 4)
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
      .setAAD(associated)
      .setAuthTag(tag)
    return Buffer.concat([decipher.update(body), decipher.final()])
  }
  let previous = buffer.subarray(headerLength - 20, headerLength - 4)
  open(0, buffer.subarray(0, headerLength - 20), Buffer.alloc(0), previous)
  const headerHash = createHash('sha256').update(buffer.subarray(0, headerLength)).digest()
  const lines: string[] = []
  let state: string | null = null
  for (let at = headerLength, number = 0; at < buffer.length; number += 1) {
    // Zeros that were written ahead of the next frames, or behind the last one over an older file; a frame begins with its mark.
    if (buffer.subarray(at, isOver ? at + 40 : buffer.length).every((byte) => byte === 0)) break
    const head = buffer.subarray(at, at + 40)
    if (head.readUIntBE(5, 3) !== life) throw new Error('head is of another file')
    if (head.readUInt32BE(36) !== crc32(head.subarray(0, 36))) throw new Error('head does not match its checksum')
    if (!head.subarray(32, 36).equals(previous.subarray(0, 4))) throw new Error('head follows another tag')
    const bodyLength = head.readUInt32BE(12)
    const tag = buffer.subarray(at + 40 + bodyLength, at + 56 + bodyLength)
    const place = Buffer.alloc(8)
    place.writeBigUInt64BE(BigInt(number))
    const body = open(
      number + 1,
      Buffer.concat([headerHash, place, head, previous]),
      buffer.subarray(at + 40, at + 40 + bodyLength),
      tag,
    )
    if (head[4] === 1 || head[4] === 5) {
      let from = 0
      for (let nth = 0; nth < head.readUInt32BE(8); nth += 1) {
        const length = body.readUInt32BE(from)
        const index = head.readBigUInt64BE(16) + BigInt(nth)
        lines.push(`${index}:${head.readBigUInt64BE(24)}:${body.subarray(from + 4, from + 4 + length).toString()}`)
        from += 4 + length
      }
      if (head[4] === 5) {
        const vote = body.subarray(from + 17, from + 17 + body.readUInt8(from + 16)).toString()
        state = `${body.readBigUInt64BE(from)}/${vote || '-'}/${body.readBigUInt64BE(from + 8)}`
        from += 17 + vote.length
      }
      if (from !== body.length) throw new Error('body goes on after its end')
    } else if (head[4] !== 2) lines.push(body.toString())
    previous = tag
    at += 56 + bodyLength
  }
  return {
    kind: buffer.readUInt8(5),
    first: buffer.readBigUInt64BE(16),
    lines,
    state,
    lastTag: hex(previous),
    previous: hex(buffer.subarray(80, 96)),
  }
}

describe('a second reader', () => {
  const dek = unhex(vector.dek)
  const names = Object.keys(vector.files).sort()
  const read = (name: string) => readFile(unhex(vector.files[name]!), dek)
  const segments = names.filter((name) => name.endsWith('.log'))

  it('reads the same entries, from segments that hang together', () => {
    expect(segments.flatMap((name) => read(name).lines)).toEqual(vector.entries)
    let tag = '00'.repeat(16)
    for (const name of segments) {
      expect(read(name).previous).toBe(tag)
      tag = read(name).lastTag
    }
  })

  it('reads the snapshot', () => {
    expect(names.filter((name) => name.endsWith('.snap')).map((name) => read(name).lines)).toEqual([
      [vector.snapshot.text],
    ])
  })

  it('derives the id of the data key (RFC 5869 by hand)', () => {
    const extracted = createHmac('sha256', Buffer.alloc(32)).update(dek).digest()
    const id = createHmac('sha256', extracted).update('leastwise raftlog key id v1\x01').digest().subarray(0, 16)
    expect(hex(id)).toBe(vector.keyId)
  })

  it('unwraps the locked key ring', () => {
    const ring = Buffer.from(unhex(vector.lockedRing))
    const idLength = ring.readUInt8(6)
    expect(ring.subarray(7, 7 + idLength).toString()).toBe(vector.wrapperId)
    const wrapped = ring.subarray(7 + idLength + 18)
    expect(wrapped.length).toBe(ring.readUInt16BE(7 + idLength + 16))
    const opened = openBox(
      new Uint8Array(wrapped.subarray(24)),
      new Uint8Array(wrapped.subarray(0, 24)),
      unhex(vector.unlockKey),
    )
    expect(hex(opened!)).toBe(vector.dek)
  })
})

const FOLLOWER_FILE = join(import.meta.dirname, '../vectors/raftlog/follower.json')

/** Two states of a follower's log: with entries that were replaced, then with a snapshot from elsewhere. */
interface FollowerVector {
  readonly clusterId: string
  readonly logId: string
  readonly dek: string
  readonly clearRing: string
  readonly states: readonly {
    readonly files: Readonly<Record<string, string>>
    readonly entries: readonly string[]
    readonly snapshot: string | null
    readonly hardState: string
  }[]
}

async function writeFollower(): Promise<FollowerVector> {
  const disk = crashDisk()
  const log = await createSealedLog(partsOn(disk, { ...identity, random: countingRandom() }))
  const files = () => Object.fromEntries([...disk.contents].map(([name, { bytes }]) => [name, hex(bytes)]))
  await log.saveState({ term: 1n, vote: 'node-2', commit: 0n })
  await log.append(['first', 'second', 'third'].map(utf8), { term: 1n })
  await log.append([utf8('SECOND')], { term: 2n, at: 2n, state: { term: 3n, vote: null, commit: 1n } })
  await log.append([utf8('THIRD')], { term: 3n })
  const replaced = files()
  await log.installSnapshot({ index: 9n, term: 4n, data: utf8('state after nine') })
  await log.append([utf8('tenth')])
  return {
    ...identity,
    dek: hex(disk.ring()!.slice(-32)),
    clearRing: hex(disk.ring()!),
    states: [
      { files: replaced, entries: ['1:1:first', '2:2:SECOND', '3:3:THIRD'], snapshot: null, hardState: '3/-/1' },
      { files: files(), entries: ['10:4:tenth'], snapshot: '9:4:state after nine', hardState: '3/-/1' },
    ],
  }
}

if (process.env['UPDATE_VECTORS'] === '1')
  writeFileSync(FOLLOWER_FILE, `${JSON.stringify(await writeFollower(), null, 2)}\n`)
const follower = JSON.parse(readFileSync(FOLLOWER_FILE, 'utf8')) as FollowerVector

describe('the recorded follower', () => {
  it('is what the same life writes today, byte for byte', async () => {
    expect(await writeFollower()).toEqual(follower)
  })

  it.each(follower.states)('opens with $entries', async ({ files, entries, snapshot, hardState }) => {
    const disk = crashDisk({ ring: unhex(follower.clearRing) })
    for (const [name, bytes] of Object.entries(files)) disk.put(name, unhex(bytes))
    const log = await openSealedLog(partsOn(disk, identity))
    expect(await readAll(log)).toEqual(entries)
    expect(`${log.state?.term}/${log.state?.vote ?? '-'}/${log.state?.commit}`).toBe(hardState)
    const found = await log.loadSnapshot()
    expect(found === null ? null : `${found.index}:${found.term}:${text(found.data)}`).toBe(snapshot)
  })

  it.each(follower.states)('is read by the second reader as $entries', ({ files, entries, snapshot, hardState }) => {
    const read = Object.keys(files)
      .sort()
      .map((name) => readFile(unhex(files[name]!), unhex(follower.dek)))
    const segments = read.filter(({ kind }) => kind !== 2)
    const seen = new Map<bigint, string>()
    let state: string | null = null
    for (const segment of segments) {
      // A restart begins the log anew; any other segment replaces what is there from its first index on.
      for (const index of [...seen.keys()]) if (segment.kind === 3 || index >= segment.first) seen.delete(index)
      for (const line of segment.lines) seen.set(BigInt(line.split(':')[0]!), line)
      state = segment.state ?? state
    }
    expect([...seen.values()]).toEqual(entries)
    expect(state).toBe(hardState)
    const found = read.filter(({ kind }) => kind === 2).map(({ first, lines }) => `${first}:4:${lines.join('')}`)
    expect(found).toEqual(snapshot === null ? [] : [snapshot])
  })
})

/** A file as it may look behind its last frame. */
interface TailState {
  readonly why: string
  readonly files: Readonly<Record<string, string>>
  readonly droppedBytes: number
  readonly code: string | null
}

/** A log that was not closed, with different things behind its last frame. */
interface TailVector {
  readonly clusterId: string
  readonly logId: string
  readonly dek: string
  readonly clearRing: string
  readonly entries: readonly string[]
  readonly states: readonly TailState[]
}

/** Opens as its state says: refused, or with the entries and without what was torn. */
async function opensAsRecorded(
  { clearRing, entries }: TailVector,
  { files, droppedBytes, code }: TailState,
  from = 1n,
): Promise<void> {
  const disk = crashDisk({ ring: unhex(clearRing) })
  for (const [name, bytes] of Object.entries(files)) disk.put(name, unhex(bytes))
  const opening = openSealedLog(partsOn(disk, identity))
  if (code !== null) {
    await expect(opening).rejects.toThrowCode(code)
    return
  }
  const log = await opening
  expect(await readAll(log, from)).toEqual(entries)
  expect(log.repair?.droppedBytes ?? 0).toBe(droppedBytes)
}

const AHEAD_FILE = join(import.meta.dirname, '../vectors/raftlog/ahead.json')

/** Zeros behind the last frame: whole, and with half of a further frame. */

async function writeAhead(): Promise<TailVector> {
  const disk = crashDisk({ stepBytes: 2048 })
  const log = await createSealedLog(partsOn(disk, { ...identity, random: countingRandom() }))
  const file = '00000000000000000001.log'
  const bytes = (): Uint8Array => disk.contents.get(file)!.bytes.slice()
  await log.append([utf8('first'), utf8('second')])
  await log.append([utf8('third')], { term: 2n })
  const whole = bytes()
  const end = whole.findLastIndex((byte) => byte !== 0) + 1
  await log.append([utf8('fourth')])
  const more = bytes()
  const half = whole.slice()
  half.set(more.subarray(end, end + 50), end)
  const hidden = more.slice()
  hidden.fill(0, end - 65, end)
  const state = (why: string, content: Uint8Array, droppedBytes: number, code: string | null) => ({
    why,
    files: { [file]: hex(content) },
    droppedBytes,
    code,
  })
  return {
    ...identity,
    dek: hex(disk.ring()!.slice(-32)),
    clearRing: hex(disk.ring()!),
    entries: ['1:1:first', '2:1:second', '3:2:third'],
    states: [
      state('zeros alone', whole, 0, null),
      state('half of a frame, then zeros', half, whole.length - end, null),
      state('zeros in the place of a frame', hidden, 0, 'RECORD_NOT_AUTHENTIC'),
    ],
  }
}

if (process.env['UPDATE_VECTORS'] === '1') writeFileSync(AHEAD_FILE, `${JSON.stringify(await writeAhead(), null, 2)}\n`)
const ahead = JSON.parse(readFileSync(AHEAD_FILE, 'utf8')) as TailVector

describe('the recorded zeros', () => {
  it('are what the same life writes today, byte for byte', async () => {
    expect(await writeAhead()).toEqual(ahead)
  })

  it.each(ahead.states)('behind the last frame: $why', async (state) => {
    await opensAsRecorded(ahead, state)
  })

  it('are passed over by the second reader', () => {
    const [bytes] = Object.values(ahead.states[0]!.files)
    expect(readFile(unhex(bytes!), unhex(ahead.dek)).lines).toEqual(ahead.entries)
  })
})

const OVER_FILE = join(import.meta.dirname, '../vectors/raftlog/over.json')

/** A log whose last segment is written over an older one: with nothing begun behind its last frame, and with half of a frame. */
interface OverVector extends TailVector {
  readonly last: string
}

async function writeOver(): Promise<OverVector> {
  const disk = crashDisk({ stepBytes: 256 })
  const log = await createSealedLog(partsOn(disk, { ...identity, random: countingRandom() }))
  for (const each of ['first', 'second', 'third', 'fourth', 'fifth']) await log.append([utf8(each)])
  await log.saveSnapshot({ index: 5n, term: 1n, data: utf8('state after five') })
  await log.compact(5n)
  await log.saveSnapshot({ index: 5n, term: 1n, data: utf8('state after five') })
  await log.append([utf8('sixth')])
  await log.saveSnapshot({ index: 6n, term: 1n, data: utf8('state after six') })
  await log.append([utf8('seventh')])
  const last = [...disk.contents.keys()]
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1)!
  const bytes = (): Uint8Array => disk.contents.get(last)!.bytes.slice()
  const whole = bytes()
  const files = Object.fromEntries([...disk.contents].map(([name, inode]) => [name, hex(inode.bytes)]))
  await log.append([utf8('eighth')])
  const more = bytes()
  const begun = more.findIndex((byte, at) => byte !== whole[at])
  const half = whole.slice()
  half.set(more.subarray(begun, begun + 50), begun)
  const hidden = more.slice()
  hidden.fill(0, begun - 67, begun)
  const state = (why: string, content: Uint8Array, droppedBytes: number, code: string | null) => ({
    why,
    files: { ...files, [last]: hex(content) },
    droppedBytes,
    code,
  })
  return {
    ...identity,
    dek: hex(disk.ring()!.slice(-32)),
    clearRing: hex(disk.ring()!),
    last,
    entries: ['7:1:seventh'],
    states: [
      state('what is left of the older segment', whole, 0, null),
      state('half of a frame, then the older segment', half, 56 + 4 + 6, null),
      state('zeros in the place of a frame', hidden, 0, 'RECORD_NOT_AUTHENTIC'),
    ],
  }
}

if (process.env['UPDATE_VECTORS'] === '1') writeFileSync(OVER_FILE, `${JSON.stringify(await writeOver(), null, 2)}\n`)
const over = JSON.parse(readFileSync(OVER_FILE, 'utf8')) as OverVector

describe('the recorded segment over an older one', () => {
  it('is what the same life writes today, byte for byte', async () => {
    expect(await writeOver()).toEqual(over)
    expect(unhex(over.states[0]!.files[over.last]!)[4]).toBe(2)
  })

  it.each(over.states)('behind the last frame: $why', async (state) => {
    await opensAsRecorded(over, state, 7n)
  })

  it('is read by the second reader', () => {
    const { files } = over.states[0]!
    expect(readFile(unhex(files[over.last]!), unhex(over.dek)).lines).toEqual(over.entries)
  })
})
