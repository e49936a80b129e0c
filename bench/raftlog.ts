import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { clearWrapper, FRAME_TYPE, type FrameContext, type SealedLog, sealFrame } from '@leastwise/raftlog'
import { createLog, fileKeyStore, nodeCipherSuite } from '@leastwise/raftlog/node'
import nacl from 'tweetnacl'
import { type Contestant, type Effort, race, type Standing } from './harness.ts'
import { type Area, ratioRow } from './row.ts'

const FRAME_RECORDS = 64
const LENGTH_BYTES = 4

/** One sealed frame of all records: lengths and records copied into its body, one key, a counter as nonce. */
function frameSealer(records: readonly Uint8Array[]): Contestant {
  const context: FrameContext = { key: nodeCipherSuite.aead(randomBytes(32)), headerHash: randomBytes(32) }
  const bodyBytes = records.reduce((sum, record) => sum + LENGTH_BYTES + record.length, 0)
  let previous: Uint8Array = randomBytes(16)
  let number = 0
  return {
    name: 'leastwise',
    units: records.length,
    run: () => {
      const body = new Uint8Array(bodyBytes)
      const view = new DataView(body.buffer)
      let at = 0
      for (const record of records) {
        view.setUint32(at, record.length)
        body.set(record, at + LENGTH_BYTES)
        at += LENGTH_BYTES + record.length
      }
      const index = BigInt(number * records.length + 1)
      const head = { type: FRAME_TYPE.entries, count: records.length, bodyBytes, index, term: 1n }
      previous = sealFrame(context, { number, previous }, head, body, nodeCipherSuite).tag
      number += 1
    },
  }
}

/** Each record sealed on its own, the nonce a counter: drawing random ones would cost more. */
function recordSealer(records: readonly Uint8Array[]): Contestant {
  const key = new Uint8Array(randomBytes(nacl.secretbox.keyLength))
  const nonce = new Uint8Array(nacl.secretbox.nonceLength)
  const view = new DataView(nonce.buffer)
  let number = 0
  return {
    name: 'tweetnacl, record by record',
    units: records.length,
    run: () => {
      for (const record of records) {
        view.setUint32(0, number)
        number += 1
        nacl.secretbox(record, nonce, key)
      }
    },
  }
}

const recordsOf = (count: number, bytes: number): readonly Uint8Array[] =>
  Array.from({ length: count }, () => new Uint8Array(randomBytes(bytes)))

/** Sealing what one group commit holds. */
export const seal: Area = async function* (effort) {
  for (const { bytes, size, atLeast } of [
    { bytes: 128, size: '128 B', atLeast: 15 },
    { bytes: 1024, size: '1 KiB', atLeast: 12 },
  ]) {
    const records = recordsOf(FRAME_RECORDS, bytes)
    const standings = await race([frameSealer(records), recordSealer(records)], effort)
    const [ours, theirs] = standings as [Standing, Standing]
    yield ratioRow(
      { job: `seal: a frame of ${FRAME_RECORDS} records of ${size}`, unit: 'records/s', atLeast },
      ours,
      theirs,
    )
  }
}

const RECORD_BYTES = 1024
const CLIENTS = 256
const RAW_FILE_BYTES = 64 << 20
const TMPFS = 0x01021994

/** A directory on the disk that holds this clone: a temporary one may lie in memory, where syncing costs nothing. */
function diskDirectory(): string {
  const parent = resolve(import.meta.dirname, '../../.leastwise')
  mkdirSync(parent, { recursive: true })
  if (statfsSync(parent).type === TMPFS)
    console.error('bench: this clone lies in memory, so appends say nothing about a disk')
  return mkdtempSync(join(parent, 'bench-'))
}

/** What the disk does when each write is followed by a sync. */
function rawAppends(name: string, fd: number, records: number): Contestant {
  const data = randomBytes(records * RECORD_BYTES)
  let written = 0
  return {
    name,
    units: records,
    run: () => {
      if (written > RAW_FILE_BYTES) {
        ftruncateSync(fd, 0)
        written = 0
      }
      writeSync(fd, data, 0, data.length, written)
      fdatasyncSync(fd)
      written += data.length
    },
  }
}

/** Clients that each append one record and wait until it is durable. */
function logClients(log: SealedLog, count: number): Contestant {
  const records = recordsOf(count, RECORD_BYTES).map((record) => [record])
  return {
    name: 'leastwise',
    units: count,
    run: async () => {
      await Promise.all(records.map(async (record) => await log.append(record)))
    },
  }
}

/** Durable appends to a sealed log, against what the same disk does at the same time. */
export const append: Area = async function* (effort) {
  // A fast disk takes half a gigabyte a second from 256 clients.
  const short: Effort = { ...effort, sliceMs: Math.min(effort.sliceMs, 100), warmUpMs: Math.min(effort.warmUpMs, 100) }
  const directory = diskDirectory()
  const fd = openSync(join(directory, 'raw'), 'w')
  try {
    await using log = await createLog({
      directory: join(directory, 'log'),
      clusterId: 'bench',
      logId: 'bench',
      keys: fileKeyStore(join(directory, 'keys')),
      wrapper: clearWrapper,
    })
    const raw = rawAppends('raw write + fdatasync each', fd, 1)
    const one = (await race([logClients(log, 1), raw], short)) as [Standing, Standing]
    yield ratioRow({ job: 'append: 1 client, 1 KiB', unit: 'records/s', atLeast: 0.75 }, ...one)

    const batch = rawAppends(`raw, ${CLIENTS} records a sync`, fd, CLIENTS)
    const [ours, single, plain] = (await race([logClients(log, CLIENTS), raw, batch], short)) as [
      Standing,
      Standing,
      Standing,
    ]
    const job = `append: ${CLIENTS} clients, 1 KiB`
    yield ratioRow({ job, unit: 'records/s', atLeast: 20 }, ours, single)
    yield ratioRow({ job, unit: 'records/s', atLeast: 0.2 }, ours, plain)
  } finally {
    closeSync(fd)
    rmSync(directory, { recursive: true, force: true })
  }
}
