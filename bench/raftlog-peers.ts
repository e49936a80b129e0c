import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import type { Contestant } from './harness.ts'
import { recordsOf } from './raftlog.ts'

/** How the native logs and databases of the comparison get here; they are no dependency of anything. */
export const INSTALL_PEERS = 'npm install --prefix bench/peers --ignore-scripts=false'

/** A peer that takes appends until it is closed, or the reason why it is not here. */
export type Peer =
  | { readonly contestant: Contestant; readonly close: () => Promise<void> }
  | { readonly absent: string }

interface Level {
  readonly open: () => Promise<void>
  readonly put: (key: Uint8Array, value: Uint8Array, options: { readonly sync: boolean }) => Promise<void>
  readonly close: () => Promise<void>
}

type LevelClass = new (
  location: string,
  options: { readonly keyEncoding: 'view'; readonly valueEncoding: 'view'; readonly compression: boolean },
) => Level

interface Database {
  readonly pragma: (text: string, options: { readonly simple: true }) => unknown
  readonly exec: (sql: string) => void
  readonly prepare: (sql: string) => { readonly run: (data: Uint8Array) => void }
  readonly transaction: (work: () => void) => () => void
  readonly close: () => void
}

type DatabaseClass = new (path: string) => Database

const requirePeer = createRequire(resolve(import.meta.dirname, '../peers/package.json'))

/** The module, or null if it was not installed, or not for this machine. */
function load(name: string): unknown {
  try {
    return requirePeer(name)
  } catch {
    return null
  }
}

const absent = (name: string): Peer => ({ absent: `${name} is not installed: ${INSTALL_PEERS}` })

/** Clients that each put one record into LevelDB and wait until it is durable. */
export async function levelClients(directory: string, count: number, recordBytes: number): Promise<Peer> {
  const found = load('classic-level') as { readonly ClassicLevel: LevelClass } | null
  if (found === null) return absent('classic-level')
  // Random records do not shrink, so trying would only cost.
  const options = { keyEncoding: 'view', valueEncoding: 'view', compression: false } as const
  const level = new found.ClassicLevel(join(directory, 'level'), options)
  await level.open()
  const records = recordsOf(count, recordBytes)
  let next = 0n
  const key = (): Uint8Array => {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, next)
    next += 1n
    return bytes
  }
  return {
    contestant: {
      name: 'classic-level, sync',
      units: count,
      run: async () => {
        await Promise.all(
          records.map(async (record) => {
            await level.put(key(), record, { sync: true })
          }),
        )
      },
    },
    close: async () => {
      await level.close()
    },
  }
}

/** SQLite with a write-ahead log and a flush for each transaction, as many records in one as there are clients. */
export async function sqliteTransactions(directory: string, count: number, recordBytes: number): Promise<Peer> {
  const Found = load('better-sqlite3') as DatabaseClass | null
  if (Found === null) return absent('better-sqlite3')
  const database = new Found(join(directory, 'sqlite'))
  const mode = database.pragma('journal_mode = WAL', { simple: true })
  if (mode !== 'wal') throw new Error(`better-sqlite3: journal mode is ${String(mode)}`)
  // Anything less does not flush at the end of a transaction.
  database.pragma('synchronous = FULL', { simple: true })
  database.exec('CREATE TABLE entry (id INTEGER PRIMARY KEY, data BLOB NOT NULL)')
  const insert = database.prepare('INSERT INTO entry (data) VALUES (?)')
  const records = recordsOf(count, recordBytes)
  const append = database.transaction(() => {
    for (const record of records) insert.run(record)
  })
  return await Promise.resolve({
    contestant: { name: `better-sqlite3 in WAL mode, ${count} a transaction`, units: count, run: append },
    close: async () => {
      database.close()
      await Promise.resolve()
    },
  })
}
