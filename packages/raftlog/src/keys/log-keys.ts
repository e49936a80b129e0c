import { closedLog } from '../append-rules.ts'
import { RaftLogError } from '../errors.ts'
import { formatHex } from '../format/hex.ts'
import type { Aead, CipherSuite, DataKeyCache, KeyStore, KeyWrapper, RandomSource } from '../ports.ts'
import { createDek, dekId, deriveFileKey, type FileKeyContext } from './data-key.ts'
import {
  decodeKeyring,
  encodeKeyring,
  type Keyring,
  type OpenKeyring,
  openKeyring,
  unwrapKey,
  wrapKeyring,
} from './keyring.ts'
import { type DekState, stepRotation } from './rotation.ts'

/** What the keys of a log are made from. */
export interface LogKeyParts {
  readonly store: KeyStore
  readonly wrapper: KeyWrapper
  readonly cache: DataKeyCache
  readonly random: RandomSource
  readonly suite: CipherSuite
}

/** The keys of one log: file keys for reading and writing, and the steps of a rotation. */
export interface LogKeys {
  readonly state: () => DekState
  /** Id of the key under which new files are sealed. */
  readonly writeKeyId: () => string
  /** The key of one file. `RECORD_UNKNOWN_KEY` if the ring does not hold its data key, `LOG_CLOSED` after closing. */
  readonly fileKey: (keyId: string, at: FileKeyContext) => Promise<Aead>
  /** Keeps a fresh pending key, unless there is one, all under `wrapper` if given; one save. */
  readonly beginRotation: (wrapper?: KeyWrapper) => Promise<void>
  /** The pending key becomes the only one. */
  readonly finishRotation: () => Promise<void>
  readonly rewrap: (wrapper: KeyWrapper) => Promise<void>
  /** Wipes what is unwrapped; nothing is unwrapped afterwards. */
  readonly close: () => void
}

const wipe = (keys: OpenKeyring): void => {
  keys.current.dek.fill(0)
  keys.pending?.dek.fill(0)
}

/** Saves a ring with one fresh key, or takes the ring that an earlier, unfinished creation left behind. */
export async function createLogKeys(parts: LogKeyParts): Promise<LogKeys> {
  if ((await parts.store.load()) === null) {
    const dek = createDek(parts.random)
    const fresh = { current: { id: '', dek }, pending: null }
    const ring = await wrapKeyring(fresh, parts.wrapper, parts.suite)
    wipe(fresh)
    await parts.store.save(encodeKeyring(ring), parts.wrapper)
  }
  return await openLogKeys(parts)
}

/**
 * Opens the ring that the store holds.
 *
 * @throws {@link RaftLogError} `LOG_MISSING` if there is none, `KEYS_LOCKED`, `KEYS_WRONG`, `KEYS_MALFORMED`.
 */
export async function openLogKeys({ store, wrapper: first, cache, random, suite }: LogKeyParts): Promise<LogKeys> {
  const bytes = await store.load()
  if (bytes === null)
    throw new RaftLogError('LOG_MISSING', 'no keys are kept for this log; give its key ring, or create the log first')
  let ring = decodeKeyring(bytes)
  let use: 'open' | 'closed' = 'open'
  const isClosed = (): boolean => use === 'closed'
  let wrapper = first
  const opened = await openKeyring(ring, wrapper, suite)
  cache.set(opened.current.id, opened.current.dek)
  if (opened.pending !== null) cache.set(opened.pending.id, opened.pending.dek)

  const stateOf = ({ current, pending }: Keyring): DekState =>
    pending === null
      ? { phase: 'stable', current: formatHex(current.id) }
      : { phase: 'rotating', current: formatHex(current.id), pending: formatHex(pending.id), again: false }

  const derivedAead = (dek: Uint8Array, at: FileKeyContext): Aead => {
    const bytes = deriveFileKey(dek, at, suite)
    const key = suite.aead(bytes)
    bytes.fill(0)
    return key
  }

  const save = async (keys: OpenKeyring, next: KeyWrapper): Promise<void> => {
    const wrapped = await wrapKeyring(keys, next, suite)
    await store.save(encodeKeyring(wrapped), next)
    ring = wrapped
    wrapper = next
  }

  return {
    state: () => stateOf(ring),
    writeKeyId: () => formatHex((ring.pending ?? ring.current).id),
    fileKey: async (keyId, at) => {
      // Whoever still reads would bring the keys back into memory that closing has wiped.
      if (isClosed()) throw closedLog()
      const cached = cache.get(keyId)
      if (cached !== undefined) return derivedAead(cached, at)
      const kept = [ring.current, ring.pending].find((key) => key !== null && formatHex(key.id) === keyId)
      if (kept === undefined || kept === null) {
        throw new RaftLogError(
          'RECORD_UNKNOWN_KEY',
          'file is sealed under a data key that is not kept; restore the keys',
        )
      }
      const { dek } = await unwrapKey(ring, kept, wrapper, suite)
      const key = derivedAead(dek, at)
      if (isClosed()) dek.fill(0)
      else cache.set(keyId, dek)
      return key
    },
    beginRotation: async (next = wrapper) => {
      const keys = await openKeyring(ring, wrapper, suite)
      const dek = createDek(random)
      const state = stepRotation(stateOf(ring), { type: 'rotation-requested', fresh: formatHex(dekId(dek, suite)) })
      // A rotation that a crash cut short goes on with the key that it had chosen.
      const pending = keys.pending ?? { id: state.phase === 'rotating' ? state.pending : '', dek }
      try {
        await save({ current: keys.current, pending }, next)
      } finally {
        wipe({ current: keys.current, pending })
        dek.fill(0)
      }
    },
    finishRotation: async () => {
      const keys = await openKeyring(ring, wrapper, suite)
      if (keys.pending === null) return
      try {
        await save({ current: keys.pending, pending: null }, wrapper)
        cache.delete(keys.current.id)
      } finally {
        wipe(keys)
      }
    },
    rewrap: async (next) => {
      const keys = await openKeyring(ring, wrapper, suite)
      try {
        await save(keys, next)
      } finally {
        wipe(keys)
      }
    },
    close: () => {
      use = 'closed'
      cache.clear()
    },
  }
}
