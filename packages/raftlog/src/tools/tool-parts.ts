import { RaftLogError } from '../errors.ts'
import { type LogContext, proveHeader } from '../files/log-context.ts'
import { decodeHeader, MAX_HEADER_BYTES } from '../format/file-header.ts'
import { parseFileName } from '../format/file-names.ts'
import { openLogKeys } from '../keys/log-keys.ts'
import type { CipherSuite, DataKeyCache, KeyStore, KeyWrapper, LogFiles, RandomSource, ReadHandle } from '../ports.ts'
import { mendHeader } from './mend-header.ts'
import { isSalvageName } from './salvage-name.ts'

/** What opens the files of a log. */
export interface ToolKeys {
  /** The key ring; it is read, never saved. */
  readonly store: Pick<KeyStore, 'load'>
  readonly wrapper: KeyWrapper
  readonly cache: DataKeyCache
  readonly random: RandomSource
}

/** Whose log it should be. What is not given is taken from the first file that proves itself, and is part of the report. */
export interface ToolIdentity {
  readonly clusterId?: string | undefined
  readonly logId?: string | undefined
}

/** Names of segments and snapshots, in order. */
export const logFileNames = (names: readonly string[]): readonly string[] =>
  names.filter((name) => ['segment', 'snapshot'].includes(parseFileName(name)?.kind ?? '')).sort()

const sealedStore = ({ load }: Pick<KeyStore, 'load'>): KeyStore => ({
  load,
  save: () => Promise.reject(new TypeError('a tool changes no key ring')),
})

/**
 * The ids that files name which were sealed under a key of the ring. If there are none, the ids that a file claims: under
 * another ring nothing is proven, and the key is what is wrong with every file.
 */
async function provenIdentity(
  log: LogContext,
  names: readonly string[],
): Promise<{ readonly clusterId: string; readonly logId: string } | null> {
  let claimed: { readonly clusterId: string; readonly logId: string } | null = null
  for (const name of names) {
    let handle: ReadHandle | null = null
    try {
      handle = await log.files.open(name)
      if (handle === null) continue
      const { clusterId, logId } = decodeHeader(await handle.read(0, MAX_HEADER_BYTES), name, log.suite)
      claimed ??= { clusterId, logId }
      await proveHeader({ ...log, clusterId, logId }, handle, name)
      return { clusterId, logId }
    } catch (error) {
      if (!(error instanceof RaftLogError)) throw error
      const mended = handle === null ? null : await mendHeader(log, handle, name)
      if (mended !== null) return mended.header
    } finally {
      await handle?.close()
    }
  }
  return claimed
}

/**
 * Opens the keys of a log for reading.
 *
 * @throws {@link RaftLogError} `KEYS_LOCKED`, `KEYS_WRONG`, `KEYS_MALFORMED`, or `LOG_MISSING` if there is no ring.
 */
export async function openForReading(
  { files, suite }: { readonly files: LogFiles; readonly suite: CipherSuite },
  { store, wrapper, cache, random }: ToolKeys,
  identity: ToolIdentity,
): Promise<LogContext> {
  const keys = await openLogKeys({ store: sealedStore(store), wrapper, cache, random, suite })
  const log: LogContext = { files, suite, random, keys, clusterId: '', logId: '' }
  const { clusterId, logId } = identity
  if (clusterId !== undefined && logId !== undefined) return { ...log, clusterId, logId }
  const names = await files.list()
  const proven = await provenIdentity(log, [...logFileNames(names), ...names.filter(isSalvageName).sort()])
  return { ...log, clusterId: clusterId ?? proven?.clusterId ?? '', logId: logId ?? proven?.logId ?? '' }
}
