import {
  type AppendHandle,
  type KeyStore,
  type LogFiles,
  RaftLogError,
  type ReadHandle,
  type WriteAhead,
} from '@leastwise/raftlog'
import type { CrashDisk } from './crash-disk.ts'

/**
 * What one call does instead of its work. `error` and `full`: nothing, and says so. `after`: its work, and then it says
 * that it failed. `short`: half of its work, and then that the disk is full; only where there are halves.
 */
export type FaultKind = 'error' | 'full' | 'after' | 'short'

/** Calls, counted from 1, in the order in which they are made. */
export interface CallFault {
  readonly at: number
  readonly kind: FaultKind
}

/** A disk of which a single call fails, of all that there are: also those that only read, lock or close. */
export interface FaultyDisk {
  readonly files: LogFiles
  readonly keys: KeyStore
  /** Names of the calls so far. */
  readonly calls: readonly string[]
  /** Handles that are open, but for one whose closing failed. */
  readonly handles: () => number
  readonly isLocked: () => boolean
}

/** Calls that can do half of their work. */
export const HALVES: ReadonlySet<string> = new Set(['append', 'fill'])

const failed = (): RaftLogError => new RaftLogError('LOG_FAILED', 'disk failed')
const full = (): RaftLogError => new RaftLogError('DISK_FULL', 'disk is full')

export function faultyDisk({ files, keys }: Pick<CrashDisk, 'files' | 'keys'>, fault: CallFault | null): FaultyDisk {
  const calls: string[] = []
  let handles = 0
  let isLocked = false

  const run = async <T>(name: string, work: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> => {
    calls.push(name)
    if (fault?.at !== calls.length) return await work()
    if (fault.kind === 'error') throw failed()
    if (fault.kind === 'full') throw full()
    if (fault.kind === 'short') {
      await half?.()
      throw full()
    }
    await work()
    throw failed()
  }
  /** Closing a second time does nothing, as with the handles of Node. */
  const closing = (handle: { readonly close: () => Promise<void> }): (() => Promise<void>) => {
    let isClosed = false
    handles += 1
    return async () => {
      if (isClosed) return
      isClosed = true
      handles -= 1
      await run('close', handle.close)
    }
  }
  const aheadOf = (ahead: WriteAhead): WriteAhead => ({
    ...ahead,
    fill: async () => {
      await run('fill', ahead.fill, ahead.fill)
    },
    cut: async () => {
      await run('cut', ahead.cut)
    },
  })
  const appending = (handle: AppendHandle): AppendHandle => {
    const { ahead } = handle
    const wrapped: AppendHandle = {
      append: async (parts, zeros) => {
        await run(
          'append',
          async () => {
            await handle.append(parts, zeros)
          },
          async () => {
            await handle.append(parts.slice(0, 1).map((part) => part.subarray(0, part.length / 2)))
          },
        )
      },
      sync: async () => {
        await run('sync', handle.sync)
      },
      close: closing(handle),
    }
    return ahead === undefined ? wrapped : { ...wrapped, ahead: aheadOf(ahead) }
  }
  const { reuse } = files
  const reading = (handle: ReadHandle): ReadHandle => ({
    sizeBytes: handle.sizeBytes,
    read: async (offset, length) => await run('read', async () => await handle.read(offset, length)),
    close: closing(handle),
  })

  return {
    calls,
    handles: () => handles,
    isLocked: () => isLocked,
    keys: {
      load: async () => await run('load', keys.load),
      save: async (bytes, wrapper) => {
        await run('save', async () => {
          await keys.save(bytes, wrapper)
        })
      },
    },
    files: {
      enter: async (options) => await run('enter', async () => await files.enter(options)),
      lock: async () => {
        const unlock = await run('lock', files.lock)
        isLocked = true
        return async () => {
          isLocked = false
          await run('unlock', unlock)
        }
      },
      list: async () => await run('list', files.list),
      create: async (name) => {
        return appending(await run('create', async () => await files.create(name)))
      },
      ...(reuse === undefined
        ? {}
        : {
            reuse: async (name: string) => {
              const handle = await run('reuse', async () => await reuse(name))
              return { ...appending(handle), ahead: aheadOf(handle.ahead) }
            },
          }),
      open: async (name) => {
        const handle = await run('open', async () => await files.open(name))
        return handle === null ? null : reading(handle)
      },
      truncate: async (name, sizeBytes) => {
        await run('truncate', async () => {
          await files.truncate(name, sizeBytes)
        })
      },
      rename: async (from, to) => {
        await run('rename', async () => {
          await files.rename(from, to)
        })
      },
      remove: async (name) => {
        await run('remove', async () => {
          await files.remove(name)
        })
      },
      syncDirectory: async () => {
        await run('syncDirectory', files.syncDirectory)
      },
    },
  }
}
