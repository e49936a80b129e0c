import type { KeyWrapper } from '@leastwise/identity'
import type { KeyFile, KeyFileContent } from '@leastwise/identity/node'
import type { KeyStore } from '@leastwise/raftlog'

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
  /** Replaces the identity; durable when it resolves. */
  readonly saveIdentity: (identity: ManagerIdentity) => Promise<void>
  /** Runs `change`, in which the log re-wraps its keys; the very write that does so also carries `identity`. */
  readonly withIdentity: <T>(identity: ManagerIdentity, change: () => Promise<T>) => Promise<T>
}

export interface ManagerKeysStart {
  readonly file: KeyFile
  readonly wrapper: KeyWrapper
  readonly content: KeyFileContent
}

const CLEAR = 'clear'

export function managerKeys({ file, wrapper: startWrapper, content: startContent }: ManagerKeysStart): ManagerKeys {
  let content = startContent
  let wrapper = startWrapper
  let staged: ManagerIdentity | null = null
  let last: Promise<unknown> = Promise.resolve()

  const replace = async (
    change: () => { readonly content: KeyFileContent; readonly wrapper: KeyWrapper },
  ): Promise<void> => {
    // One writer at a time: each starts from what the one before it left.
    const write = last
      .catch(() => undefined)
      .then(async () => {
        const next = change()
        await file.save(next.content, next.wrapper)
        content = next.content
        wrapper = next.wrapper
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
