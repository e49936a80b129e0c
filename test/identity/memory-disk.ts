import { basename, dirname } from 'node:path'
import type { Files } from '@leastwise/identity/node'

interface Inode {
  bytes: Uint8Array<ArrayBuffer>
  /** What survives a power failure for certain. */
  synced: Uint8Array<ArrayBuffer>
  mode: number
  owner: number
}

/** What a power failure leaves of what was not made durable. */
export interface Aftermath {
  readonly names: 'as-synced' | 'as-seen'
  readonly content: 'synced' | 'half' | 'seen'
}

export const AFTERMATHS: readonly Aftermath[] = (['as-synced', 'as-seen'] as const).flatMap((names) =>
  (['synced', 'half', 'seen'] as const).map((content) => ({ names, content })),
)

/** What goes wrong at step number `at`, counted from 0. */
export interface Trouble {
  readonly at: number
  /** `fail`: this step alone fails, with EIO or `code`. `power`: nothing works from this step on; a write is done by half. */
  readonly kind: 'fail' | 'power'
  readonly code?: string
}

/** A disk in memory which knows what would survive a power failure. One directory, `/disk`. */
export interface MemoryDisk {
  readonly files: (trouble?: Trouble) => Files & { readonly steps: () => number }
  /** A disk as it may be after a power failure now. */
  readonly after: (aftermath: Aftermath) => MemoryDisk
  readonly names: () => readonly string[]
  readonly bytesOf: (path: string) => Uint8Array<ArrayBuffer> | null
  readonly put: (
    path: string,
    bytes: Uint8Array<ArrayBuffer>,
    facts?: { readonly mode?: number; readonly owner?: number },
  ) => void
  readonly directory: { mode: number; owner: number }
}

export const DISK_USER = 1000
const DIRECTORY = '/disk'

const systemError = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code })

export function memoryDisk(seen: ReadonlyMap<string, Inode> = new Map()): MemoryDisk {
  const names = new Map(seen)
  let syncedNames: ReadonlyMap<string, Inode> = new Map(seen)
  const directory = { mode: 0o700, owner: DISK_USER }

  const contentAfter = ({ bytes, synced }: Inode, content: Aftermath['content']): Uint8Array<ArrayBuffer> => {
    if (content === 'seen') return bytes.slice()
    if (content === 'synced') return synced.slice()
    return bytes.slice(0, synced.length + Math.ceil((bytes.length - synced.length) / 2))
  }

  return {
    directory,
    names: () => [...names.keys()].map((path) => basename(path)),
    bytesOf: (path) => names.get(path)?.bytes.slice() ?? null,
    put: (path, bytes, { mode = 0o600, owner = DISK_USER } = {}) => {
      names.set(path, { bytes, synced: bytes, mode, owner })
      syncedNames = new Map(names)
    },
    after: (aftermath) => {
      const left = aftermath.names === 'as-seen' ? names : syncedNames
      return memoryDisk(
        new Map(
          [...left].map(([path, inode]) => {
            const bytes = contentAfter(inode, aftermath.content)
            return [path, { ...inode, bytes, synced: bytes }]
          }),
        ),
      )
    },
    files: (trouble) => {
      let step = -1
      let off = false
      /** Runs before each step; says whether this is the one during which power fails. */
      const next = (): boolean => {
        if (off) throw systemError('EIO')
        step += 1
        if (step !== trouble?.at) return false
        if (trouble.kind === 'fail') throw systemError(trouble.code ?? 'EIO')
        off = true
        return true
      }
      const perform = async (work: () => void): Promise<void> => {
        await Promise.resolve()
        if (next()) throw systemError('EIO')
        work()
      }
      const looking = async <Value>(work: () => Value): Promise<Value> => {
        await Promise.resolve()
        if (off) throw systemError('EIO')
        return work()
      }
      return {
        steps: () => step + 1,
        user: () => DISK_USER,
        facts: async (path) => await looking(() => (path === DIRECTORY ? { ...directory, kind: 'directory' } : null)),
        read: async (path, maxBytes) =>
          await looking(() => {
            const inode = names.get(path)
            if (inode === undefined) return null
            const bytes = inode.bytes.length <= maxBytes ? inode.bytes.slice() : null
            return { mode: inode.mode, owner: inode.owner, kind: 'file', bytes }
          }),
        create: async (path) => {
          const inode: Inode = { bytes: new Uint8Array(), synced: new Uint8Array(), mode: 0o600, owner: DISK_USER }
          await perform(() => {
            if (dirname(path) !== DIRECTORY) throw systemError('ENOENT')
            if (names.has(path)) throw systemError('EEXIST')
            names.set(path, inode)
          })
          return {
            write: async (bytes) => {
              await Promise.resolve()
              const cut = next()
              inode.bytes = Uint8Array.from([...inode.bytes, ...(cut ? bytes.subarray(0, bytes.length / 2) : bytes)])
              if (cut) throw systemError('EIO')
            },
            sync: async () => {
              await perform(() => {
                inode.synced = inode.bytes
              })
            },
            close: async () => {
              await perform(() => undefined)
            },
          }
        },
        rename: async (from, to) => {
          await perform(() => {
            const inode = names.get(from)
            if (inode === undefined) throw systemError('ENOENT')
            names.delete(from)
            names.set(to, inode)
          })
        },
        syncDirectory: async () => {
          await perform(() => {
            syncedNames = new Map(names)
          })
        },
        list: async (path) =>
          await looking(() => {
            if (path !== DIRECTORY) throw systemError('ENOENT')
            return [...names.keys()].map((each) => basename(each))
          }),
        remove: async (path) => {
          await perform(() => {
            names.delete(path)
          })
        },
      }
    },
  }
}

/** The code of whatever was thrown. */
export const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'no code'
