import type { KeyWrapper } from '@leastwise/identity'
import type { KeyFile, KeyFileContent } from '@leastwise/identity/node'
import type { KeyStore } from '@leastwise/raftlog'
import { OrchestratorError } from '../errors.ts'

/** Name of the log's wrapped data keys among the companions. */
export const RING = 'raftlog'

/** A node's key, certificate and trust bundle. */
export type ManagerIdentity = Omit<KeyFileContent, 'companion'>

/** The manager's key file: its identity and the log's data keys, always replaced together, under one wrapper. */
export interface ManagerKeys {
  readonly identity: () => ManagerIdentity
  readonly locked: () => boolean
  /** What the file is saved under now; what else is kept in it has to be wrapped with it by whoever keeps it. */
  readonly wrapper: () => KeyWrapper
  /** Where the log keeps its wrapped data keys. */
  readonly keyStore: KeyStore
  /** What else this manager keeps, by name; null if there is no such thing. */
  readonly companion: (name: string) => Uint8Array | null
  /** Keeps it in the same file, under another wrapper if one is given, together with the identity of {@link withIdentity}. */
  readonly saveCompanion: (name: string, bytes: Uint8Array, wrapper?: KeyWrapper) => Promise<void>
  /** What nobody but this manager may read, by name; null if there is no such thing. */
  readonly sealed: (name: string) => Uint8Array | null
  /** Keeps it in the same file, or no longer; each write wraps it anew, under whatever the file is under from then on. */
  readonly saveSealed: (name: string, bytes: Uint8Array | null) => Promise<void>
  /** Replaces the identity; durable when it resolves. */
  readonly saveIdentity: (identity: ManagerIdentity) => Promise<void>
  /** Runs `change`, in which the log re-wraps its keys; the very write that does so also carries `identity`. */
  readonly withIdentity: <T>(identity: ManagerIdentity, change: () => Promise<T>) => Promise<T>
}

export interface ManagerKeysStart {
  readonly file: KeyFile
  readonly wrapper: KeyWrapper
  readonly content: KeyFileContent
  /** What {@link openSealed} found. */
  readonly sealed?: ReadonlyMap<string, Uint8Array>
}

const CLEAR = 'clear'
// The key file authenticates what hosts keep in it and does not hide it.
const SEALED_PREFIX = 'sealed-'

/**
 * Opens what {@link ManagerKeys.saveSealed} kept.
 *
 * @throws OrchestratorError `JOURNAL_UNREADABLE` when the file is under one key and this under another.
 */
export async function openSealed(
  { companion }: KeyFileContent,
  wrapper: KeyWrapper,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const opened = new Map<string, Uint8Array>()
  for (const [name, wrapped] of Object.entries(companion)) {
    if (!name.startsWith(SEALED_PREFIX)) continue
    const bytes = await wrapper.unwrap(wrapped)
    if (bytes === null)
      throw new OrchestratorError(
        'JOURNAL_UNREADABLE',
        'the key file holds something that its own key does not open; restore it from a backup',
      )
    opened.set(name.slice(SEALED_PREFIX.length), bytes)
  }
  return opened
}

/** The companions with what is sealed among them wrapped by `wrapper`, and nothing else of that kind. */
async function withSealed(
  companion: KeyFileContent['companion'],
  sealed: ReadonlyMap<string, Uint8Array>,
  wrapper: KeyWrapper,
): Promise<KeyFileContent['companion']> {
  const plain = Object.entries(companion).filter(([name]) => !name.startsWith(SEALED_PREFIX))
  const wrapped = [...sealed].map(async ([name, bytes]) => [SEALED_PREFIX + name, await wrapper.wrap(bytes)] as const)
  return Object.fromEntries([...plain, ...(await Promise.all(wrapped))])
}

export function managerKeys({
  file,
  wrapper: startWrapper,
  content: startContent,
  sealed: startSealed = new Map(),
}: ManagerKeysStart): ManagerKeys {
  let content = startContent
  let sealed = startSealed
  let wrapper = startWrapper
  let staged: ManagerIdentity | null = null
  let last: Promise<unknown> = Promise.resolve()

  interface Change {
    readonly content: KeyFileContent
    readonly wrapper: KeyWrapper
    readonly sealed?: ReadonlyMap<string, Uint8Array>
  }
  const replace = async (change: () => Change): Promise<void> => {
    // One writer at a time: each starts from what the one before it left.
    const write = last
      .catch(() => undefined)
      .then(async () => {
        const next = change()
        const secret = next.sealed ?? sealed
        const written = { ...next.content, companion: await withSealed(next.content.companion, secret, next.wrapper) }
        await file.save(written, next.wrapper)
        content = written
        wrapper = next.wrapper
        sealed = secret
      })
    last = write
    await write
  }

  const saveCompanion = async (name: string, bytes: Uint8Array, nextWrapper?: KeyWrapper): Promise<void> => {
    await replace(() => ({
      content: { ...content, ...staged, companion: { ...content.companion, [name]: bytes } },
      wrapper: nextWrapper ?? wrapper,
    }))
    // Kept by now: a later save must not undo what came after it.
    staged = null
  }

  return {
    identity: () => content,
    locked: () => wrapper.id !== CLEAR,
    wrapper: () => wrapper,
    companion: (name) => content.companion[name] ?? null,
    saveCompanion,
    sealed: (name) => sealed.get(name)?.slice() ?? null,
    saveSealed: async (name, bytes) => {
      await replace(() => {
        const others = [...sealed].filter(([other]) => other !== name)
        return { content, wrapper, sealed: new Map(bytes === null ? others : [...others, [name, bytes.slice()]]) }
      })
    },
    keyStore: {
      load: () => Promise.resolve(content.companion[RING] ?? null),
      save: async (keys, nextWrapper) => {
        await saveCompanion(RING, keys, nextWrapper)
      },
    },
    saveIdentity: async (identity) => {
      await replace(() => ({ content: { ...identity, companion: content.companion }, wrapper }))
    },
    withIdentity: async (identity, change) => {
      staged = identity
      try {
        return await change()
      } finally {
        staged = null
      }
    },
  }
}
