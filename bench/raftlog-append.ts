import { randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type CipherSuite, clearWrapper, createSealedLog, type SealedLog } from '@leastwise/raftlog'
import {
  createLog,
  dataKeyCache,
  fileKeyStore,
  nodeCipherSuite,
  nodeFiles,
  systemClock,
  systemRandom,
} from '@leastwise/raftlog/node'
import { diskDirectory } from './disk-directory.ts'
import { type Contestant, type Effort, race, type Standing } from './harness.ts'
import { recordsOf } from './raftlog.ts'
import { levelClients, type Peer, sqliteTransactions } from './raftlog-peers.ts'
import { type Area, type Row, ratioRow } from './row.ts'

const RECORD_BYTES = 1024
const CLIENTS = 256
const RAW_FILE_BYTES = 64 << 20

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

/** After so many entries a host saves its state and lets go of them; it was etcd's default up to 3.5. */
const KEPT_ENTRIES = 100_000n
const STATE = randomBytes(64 * 1024)

/** What a host of a log does now and then: it saves its state, and lets go of the entries that are in it. */
async function compact(log: SealedLog): Promise<void> {
  const { lastIndex: index, lastTerm: term } = log
  await log.saveSnapshot({ index, term, data: STATE })
  await log.compact(index)
}

/** Clients that each append one record and wait until it is durable; their host compacts, or has the log grow for ever. */
function logClients(name: string, log: SealedLog, count: number, compacts = true): Contestant {
  const records = recordsOf(count, RECORD_BYTES).map((record) => [record])
  let compacting: Promise<void> | null = null
  return {
    name,
    units: count,
    run: async () => {
      await Promise.all(records.map(async (record) => await log.append(record)))
      if (!compacts || compacting !== null || log.lastIndex - (log.snapshotAt?.index ?? 0n) < KEPT_ENTRIES) return
      // Beside the clients, as in a host.
      compacting = compact(log).finally(() => {
        compacting = null
      })
    },
  }
}

/** Lets a log live until old segments are written over: from then on it goes on as it will for good. */
async function settle(log: SealedLog): Promise<void> {
  const { run } = logClients('', log, CLIENTS)
  while ((log.snapshotAt?.index ?? 0n) < 2n * KEPT_ENTRIES) await run()
}

/** The suite with a checksum in the place of encryption. */
const unsealed: CipherSuite = {
  ...nodeCipherSuite,
  aead: () => {
    const tagOf = (associated: Uint8Array, body: Uint8Array): Uint8Array => {
      const tag = new Uint8Array(16)
      new DataView(tag.buffer).setUint32(0, nodeCipherSuite.crc32(body, nodeCipherSuite.crc32(associated)))
      return tag
    }
    return {
      seal: (_nonce, associated, plain) => ({ body: plain, tag: tagOf(associated, plain) }),
      open: (_nonce, associated, body, tag) =>
        tagOf(associated, body).every((byte, at) => tag[at] === byte) ? new Uint8Array(body) : null,
    }
  },
}

const createSealed = async (directory: string): Promise<SealedLog> =>
  await createLog({
    directory,
    clusterId: 'bench',
    logId: 'bench',
    keys: fileKeyStore(`${directory}.keys`),
    wrapper: clearWrapper,
  })

const createUnsealed = async (directory: string): Promise<SealedLog> =>
  await createSealedLog({
    clusterId: 'bench',
    logId: 'bench',
    keys: fileKeyStore(`${directory}.keys`),
    wrapper: clearWrapper,
    files: nodeFiles(directory),
    suite: unsealed,
    random: systemRandom,
    cache: dataKeyCache({ maxKeys: 2, maxAgeMs: 600_000, clock: systemClock }),
    turn: async () => {
      await new Promise<void>((resolve) => setImmediate(resolve))
    },
  })

/** The same clients against a peer, in turns; or the word that there is none. */
async function* against(
  log: SealedLog,
  { versus, atLeast }: { readonly versus: string; readonly atLeast: number },
  peer: Peer,
  effort: Effort,
): AsyncGenerator<Row, void, void> {
  const job = `append: ${CLIENTS} clients, 1 KiB`
  if ('absent' in peer) {
    yield { job, versus, absent: peer.absent }
    return
  }
  try {
    const standings = await race([logClients('leastwise', log, CLIENTS), peer.contestant], effort)
    yield ratioRow({ job, unit: 'records/s', atLeast }, ...(standings as [Standing, Standing]))
  } finally {
    await peer.close()
  }
}

/** Durable appends to a sealed log, against what the same disk does at the same time. */
export const append: Area = async function* (effort) {
  // A fast disk takes half a gigabyte a second from 256 clients.
  const short: Effort = { ...effort, sliceMs: Math.min(effort.sliceMs, 100), warmUpMs: Math.min(effort.warmUpMs, 100) }
  // A disk's rate wanders more than a processor's: shorter turns, more of them.
  const many: Effort = { ...short, rounds: effort.rounds * 3, sliceMs: short.sliceMs / 2 }
  const directory = diskDirectory()
  const fd = openSync(join(directory, 'raw'), 'w')
  try {
    await using log = await createSealed(join(directory, 'log'))
    await settle(log)
    const raw = rawAppends('raw write + fdatasync each', fd, 1)
    const one = (await race([logClients('leastwise', log, 1), raw], many)) as [Standing, Standing]
    yield ratioRow({ job: 'append: 1 client, 1 KiB', unit: 'records/s', atLeast: 0.8 }, ...one)

    const batch = rawAppends(`raw, ${CLIENTS} records a sync`, fd, CLIENTS)
    await using plain = await createUnsealed(join(directory, 'unsealed'))
    await settle(plain)
    await using growing = await createSealed(join(directory, 'growing'))
    const contestants = [
      logClients('leastwise', log, CLIENTS),
      raw,
      batch,
      logClients('the same log, not sealed', plain, CLIENTS),
      logClients('a log that is never compacted', growing, CLIENTS, false),
    ]
    const standings = await race(contestants, short)
    const [ours, single, together, bare, grown] = standings as [Standing, Standing, Standing, Standing, Standing]
    const job = `append: ${CLIENTS} clients, 1 KiB`
    yield ratioRow({ job, unit: 'records/s', atLeast: 20 }, ours, single)
    yield ratioRow({ job, unit: 'records/s', atLeast: 0.2 }, ours, together)
    yield ratioRow({ job, unit: 'records/s', atLeast: 0.5 }, ours, bare)
    // Below that, old segments would better be removed than written over.
    yield ratioRow({ job, unit: 'records/s', atLeast: 1 }, ours, grown)

    const level = await levelClients(directory, CLIENTS, RECORD_BYTES)
    const sqlite = await sqliteTransactions(directory, CLIENTS, RECORD_BYTES)
    yield* against(log, { versus: 'classic-level, sync', atLeast: 20 }, level, short)
    yield* against(log, { versus: 'better-sqlite3 in WAL mode', atLeast: 2.5 }, sqlite, short)
  } finally {
    closeSync(fd)
    rmSync(directory, { recursive: true, force: true })
  }
}
