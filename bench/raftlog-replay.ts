import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { SealedLog } from '@leastwise/raftlog'
import nacl from 'tweetnacl'
import { diskDirectory } from './disk-directory.ts'
import { type Contestant, type Effort, race, type Standing, THOROUGH } from './harness.ts'
import { fillBenchLog, openBenchLog, RECORD_BYTES } from './raftlog-fixture.ts'
import { type Area, ratioRow } from './row.ts'

const WINDOW_BYTES = 1 << 20
const HEAD_BYTES = 8

/** What a reader may not optimize away. */
let sink = 0

function expectRecords(seen: number, wanted: number): void {
  if (seen !== wanted) throw new Error(`read ${seen} records instead of ${wanted}`)
}

function replayOf(name: string, log: SealedLog, records: number): Contestant {
  return {
    name,
    units: records,
    run: async () => {
      let seen = 0
      for await (const batch of log.batches({ to: BigInt(records) })) {
        for (const { data } of batch) sink ^= data[0]!
        seen += batch.length
      }
      expectRecords(seen, records)
    },
  }
}

/** Gives the stretches of a file one after the other: length(4) ‖ CRC-32(4), then as many bytes as that. */
async function eachStretch(path: string, use: (view: DataView, body: Uint8Array) => void): Promise<void> {
  const file = await open(path)
  try {
    const buffer = new Uint8Array(WINDOW_BYTES)
    let held = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, held, buffer.length - held, null)
      if (bytesRead === 0) break
      held += bytesRead
      let at = 0
      while (held - at >= HEAD_BYTES) {
        const view = new DataView(buffer.buffer, at, HEAD_BYTES)
        const end = at + HEAD_BYTES + view.getUint32(0)
        if (end > held) break
        use(view, buffer.subarray(at + HEAD_BYTES, end))
        at = end
      }
      buffer.copyWithin(0, at, held)
      held -= at
    }
  } finally {
    await file.close()
  }
}

function writeStretches(path: string, stretches: number, body: Uint8Array): void {
  const fd = openSync(path, 'w')
  const head = new Uint8Array(HEAD_BYTES)
  const view = new DataView(head.buffer)
  view.setUint32(0, body.length)
  view.setUint32(4, crc32(body))
  for (let nth = 0; nth < stretches; nth += 1) {
    writeSync(fd, head)
    writeSync(fd, body)
  }
  fdatasyncSync(fd)
  closeSync(fd)
}

/** The same records with a checksum each, as logs that do not encrypt keep them, each handed out as a view. */
function plainReplay(path: string, records: number): Contestant {
  writeStretches(path, records, new Uint8Array(randomBytes(RECORD_BYTES)))
  return {
    name: 'read plain, CRC-32 a record',
    units: records,
    run: async () => {
      let seen = 0
      await eachStretch(path, (view, data) => {
        if (view.getUint32(4) !== crc32(data)) throw new Error('checksum')
        sink ^= data[0]!
        seen += 1
      })
      expectRecords(seen, records)
    },
  }
}

/** Each record sealed on its own. */
function recordReplay(path: string, records: number): Contestant {
  const key = new Uint8Array(randomBytes(nacl.secretbox.keyLength))
  const nonce = new Uint8Array(nacl.secretbox.nonceLength)
  writeStretches(path, records, nacl.secretbox(new Uint8Array(randomBytes(RECORD_BYTES)), nonce, key))
  return {
    name: 'tweetnacl, record by record',
    units: records,
    run: async () => {
      let seen = 0
      await eachStretch(path, (_, bytes) => {
        const opened = nacl.secretbox.open(bytes, nonce, key)
        if (opened === null) throw new Error('does not open')
        sink ^= opened[0]!
        seen += 1
      })
      expectRecords(seen, records)
    },
  }
}

/** How far a fresh process grows while it replays the log once. */
function grownMiB(directory: string, records: number): number {
  const child = spawnSync(process.execPath, [join(import.meta.dirname, 'raftlog-memory.js'), directory], {
    encoding: 'utf8',
  })
  if (child.status !== 0) throw new Error(`the replaying process failed: ${child.stderr}`)
  const { seen, grownBytes } = JSON.parse(child.stdout) as { seen: number; grownBytes: number }
  expectRecords(seen, records)
  return grownBytes / (1 << 20)
}

const MEMORY_RUNS = 3

/** Reading a log back, opening it behind a snapshot, and what it costs in memory. */
export const replay: Area = async function* (effort) {
  const isQuick = effort.sliceMs < THOROUGH.sliceMs
  // 1 GiB and a good million entries, of which 256 MiB are raced over; a quarter of it for a look.
  const records = isQuick ? 1 << 18 : 1 << 20
  const part = records / 4
  const size = `${(part * RECORD_BYTES) >> 20} MiB`
  // One replay takes longer than a slice.
  const once: Effort = { ...effort, sliceMs: 1, warmUpMs: 1 }
  const directory = diskDirectory()
  try {
    await fillBenchLog(directory, records)
    const grown = Array.from({ length: MEMORY_RUNS }, () => grownMiB(directory, records)).sort((a, b) => a - b)
    yield {
      job: `memory while replaying ${(records * RECORD_BYTES) >> 20} MiB`,
      versus: 'the start',
      value: grown[1]!,
      unit: 'MiB',
      atMost: 100,
      median: grown[1]!,
      spread: (grown[2]! - grown[0]!) / grown[1]!,
    }

    const log = await openBenchLog(directory)
    const plain = plainReplay(join(directory, 'plain'), part)
    const boxed = recordReplay(join(directory, 'boxed'), part / 16)
    const [ours, bare, slow] = (await race([replayOf('leastwise', log, part), plain, boxed], once)) as [
      Standing,
      Standing,
      Standing,
    ]
    yield ratioRow({ job: `replay: ${size} of 1 KiB`, unit: 'records/s', atLeast: 0.85 }, ours, bare)
    yield ratioRow({ job: `replay: ${size} of 1 KiB`, unit: 'records/s', atLeast: 20 }, ours, slow)

    await log.saveSnapshot({ index: log.lastIndex, term: log.lastTerm, data: new Uint8Array(1 << 20) })
    const whole = replayOf('replaying it whole', log, records)
    const replayed = (await race([whole], { ...once, rounds: 3 }))[0]!
    await log.close()
    const opening: Contestant = {
      name: 'leastwise',
      units: records,
      run: async () => {
        await (await openBenchLog(directory)).close()
      },
    }
    const opened = (await race([opening], { ...once, rounds: 3 }))[0]!
    const job = `open: ${records.toLocaleString('en-US')} entries behind a snapshot`
    yield ratioRow({ job, unit: 'entries/s', atLeast: 10 }, opened, replayed)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  if (sink === -1) throw new Error('unreachable: the records were read')
}
