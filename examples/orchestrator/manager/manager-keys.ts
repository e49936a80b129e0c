import type { KeyWrapper } from '@leastwise/identity'
import type { KeyFile, KeyFileContent } from '@leastwise/identity/node'
import type { KeyStore } from '@leastwise/raftlog'

const RING = 'raftlog'

/** A node's key, certificate and trust bundle. */
export type ManagerIdentity = Omit<KeyFileContent, 'companion'>

/** The manager's key file: its identity and the log's data keys, always replaced together, under one wrapper. */
export interface ManagerKeys {
  readonly identity: () => ManagerIdentity
  readonly locked: () => boolean
  /** Where the log keeps its wrapped data keys. */
  readonly keyStore: KeyStore
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

  return {
    identity: () => content,
    locked: () => wrapper.id !== CLEAR,
    keyStore: {
      load: () => Promise.resolve(content.companion[RING] ?? null),
      save: async (keys, nextWrapper) => {
        await replace(() => ({
          content: { ...content, ...staged, companion: { ...content.companion, [RING]: keys } },
          wrapper: nextWrapper,
        }))
        // Kept by now: a later save of the log's keys must not undo what came after it.
        staged = null
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
