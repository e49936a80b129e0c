import type { AppendHandle, KeyStore, LogFiles, WriteAhead } from '@leastwise/raftlog'
import { RaftLogError } from '@leastwise/raftlog'
import { seededRandom } from '../support/seeded-random.ts'

interface Inode {
  bytes: Uint8Array
  /** What stable storage holds for sure. */
  stable: Uint8Array
}

type NameChange = (names: Map<string, Inode>) => void

/** What a crash does to data that was written and not synced. */
export type Loss = 'dropped' | 'kept' | 'cut' | 'zeros' | 'patches'

export const LOSSES: readonly Loss[] = ['dropped', 'kept', 'cut', 'zeros', 'patches']

/** What goes wrong, and at which call that changes something (counted from 1). */
export interface Fault {
  readonly at: number
  readonly kind: 'crash' | 'full' | 'error'
}

/**
 * A disk in memory that knows what is on stable storage. It dies at a chosen call and then answers nothing any more;
 * `afterCrash` gives a disk as a restarted machine might find it.
 */
export interface CrashDisk {
  readonly files: LogFiles
  readonly keys: KeyStore
  readonly calls: () => number
  readonly died: () => boolean
  readonly afterCrash: (loss: Loss, seed: number) => CrashDisk
  /** Contents by name, for tests that damage files. */
  readonly contents: ReadonlyMap<string, Inode>
  readonly put: (name: string, bytes: Uint8Array) => void
  readonly erase: (name: string) => void
  readonly ring: () => Uint8Array | null
}

/** What is left of a file after a crash; bytes that were flushed are certain, whatever was written over them is not. */
function survivor({ bytes, stable }: Inode, loss: Loss, dice: (below: number) => number): Uint8Array {
  if (loss === 'kept') return bytes
  if (loss === 'dropped') return stable
  // Cut by a truncation that was not synced: the longer form is as good a guess as any.
  const found = new Uint8Array(Math.max(bytes.length, stable.length))
  found.set(stable)
  if (loss === 'zeros') return found
  let first = 0
  while (first < bytes.length && bytes[first] === stable[first]) first += 1
  if (loss === 'cut') {
    const until = first + dice(bytes.length - first)
    found.set(bytes.subarray(first, until), first)
    // What was overwritten in place is not cut off, but still what it was.
    return found.subarray(0, Math.max(until, stable.length))
  }
  for (let at = first; at < bytes.length; at += 16) if (dice(2) === 0) found.set(bytes.subarray(at, at + 16), at)
  return found
}

export function crashDisk(
  start: {
    readonly names?: ReadonlyMap<string, Inode>
    readonly ring?: Uint8Array | null
    /** How many zeros a file takes ahead; none unless given. Only then are files written over, too. */
    readonly stepBytes?: number | undefined
  } = {},
  fault: Fault | null = null,
): CrashDisk {
  const names = new Map(start.names)
  let stableNames = new Map(start.names)
  let pendingNames: NameChange[] = []
  let ring = start.ring ?? null
  let ringBeforeLastSave = ring
  let dyingSave = false
  let calls = 0
  let dead = false
  let locked = false

  /** Counts a call that changes something; true if the machine stops in the middle of this very call. */
  const step = (): boolean => {
    if (dead) throw new RaftLogError('LOG_FAILED', 'the machine is off')
    calls += 1
    if (fault?.at !== calls) return false
    if (fault.kind === 'full') throw new RaftLogError('DISK_FULL', 'disk is full')
    if (fault.kind === 'error') throw new RaftLogError('LOG_FAILED', 'disk failed')
    dead = true
    return true
  }
  const off = (): never => {
    throw new RaftLogError('LOG_FAILED', 'the machine is off')
  }
  const change = (apply: NameChange): void => {
    apply(names)
    pendingNames.push(apply)
  }

  const { stepBytes } = start

  /** Writes from the beginning of a file on, over whatever it holds. */
  const writing = (inode: Inode): AppendHandle & { readonly ahead: WriteAhead } => {
    let at = 0
    const write = (added: Uint8Array): void => {
      const after = new Uint8Array(Math.max(inode.bytes.length, at + added.length))
      after.set(inode.bytes)
      after.set(added, at)
      inode.bytes = after
    }
    return {
      append: async (parts, zeros = 0) => {
        const ends = step()
        for (const part of parts) {
          write(part)
          at += part.length
        }
        write(new Uint8Array(zeros))
        if (ends) off()
      },
      sync: async () => {
        if (step()) off()
        inode.stable = inode.bytes
      },
      close: async () => undefined,
      ahead: {
        stepBytes: stepBytes ?? 0,
        blockBytes: 64,
        fill: async () => {
          const ends = step()
          write(new Uint8Array(stepBytes ?? 0))
          if (ends) off()
        },
        cut: async () => {
          const ends = step()
          inode.bytes = inode.bytes.slice(0, at)
          if (ends) off()
          inode.stable = inode.bytes
        },
      },
    }
  }

  const files: LogFiles = {
    enter: async () => true,
    lock: async () => {
      if (locked) throw new RaftLogError('LOG_BUSY', 'log is held')
      locked = true
      return async () => {
        locked = false
      }
    },
    list: async () => [...names.keys()],
    create: async (name) => {
      const dying = step()
      const inode: Inode = { bytes: new Uint8Array(0), stable: new Uint8Array(0) }
      change((map) => map.set(name, inode))
      if (dying) off()
      const { ahead, ...rest } = writing(inode)
      return stepBytes === undefined ? rest : { ...rest, ahead }
    },
    ...(stepBytes === undefined
      ? {}
      : {
          reuse: async (name: string) => {
            const dying = step()
            const inode = names.get(name)
            if (inode === undefined) throw new RaftLogError('LOG_FAILED', `${name} is not there`)
            if (dying) off()
            return writing(inode)
          },
        }),
    open: async (name) => {
      const inode = names.get(name)
      if (inode === undefined) return null
      const { bytes } = inode
      return {
        sizeBytes: bytes.length,
        read: async (offset, length) => bytes.slice(offset, offset + length),
        close: async () => undefined,
      }
    },
    truncate: async (name, sizeBytes) => {
      const dying = step()
      const inode = names.get(name)!
      inode.bytes = inode.bytes.slice(0, sizeBytes)
      if (dying) off()
      inode.stable = inode.bytes
    },
    rename: async (from, to) => {
      const dying = step()
      change((map) => {
        const inode = map.get(from)
        if (inode === undefined) return
        map.delete(from)
        map.set(to, inode)
      })
      if (dying) off()
    },
    remove: async (name) => {
      const dying = step()
      change((map) => map.delete(name))
      if (dying) off()
    },
    syncDirectory: async () => {
      if (step()) off()
      stableNames = new Map(names)
      pendingNames = []
    },
  }

  return {
    files,
    keys: {
      load: async () => ring,
      save: async (bytes) => {
        ringBeforeLastSave = ring
        dyingSave = step()
        ring = new Uint8Array(bytes)
        if (dyingSave) off()
      },
    },
    calls: () => calls,
    died: () => dead,
    contents: names,
    put: (name, bytes) => {
      names.set(name, { bytes, stable: bytes })
    },
    erase: (name) => {
      names.delete(name)
    },
    ring: () => ring,
    afterCrash: (loss, seed) => {
      const random = seededRandom(seed)
      const dice = (below: number): number => {
        const [a = 0, b = 0] = random.bytes(2)
        return below === 0 ? 0 : (a * 256 + b) % below
      }
      // A directory may have kept any of the changes that were not synced, in any combination.
      const found = new Map(stableNames)
      for (const apply of pendingNames) if (loss === 'kept' || (loss !== 'dropped' && dice(2) === 0)) apply(found)
      const after = new Map<string, Inode>()
      for (const [name, inode] of found) {
        const bytes = survivor(inode, loss, dice)
        after.set(name, { bytes, stable: bytes })
      }
      // A save is atomic: the old ring or the new one.
      const keptRing = dyingSave && (loss === 'dropped' || dice(2) === 0) ? ringBeforeLastSave : ring
      return crashDisk({ names: after, ring: keptRing, stepBytes: start.stepBytes })
    },
  }
}
