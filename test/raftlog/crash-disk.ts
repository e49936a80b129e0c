import type { KeyStore, LogFiles } from '@leastwise/raftlog'
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

const join = (one: Uint8Array, other: Uint8Array): Uint8Array => {
  const both = new Uint8Array(one.length + other.length)
  both.set(one)
  both.set(other, one.length)
  return both
}

function survivor({ bytes, stable }: Inode, loss: Loss, dice: (below: number) => number): Uint8Array {
  if (loss === 'kept') return bytes
  // Cut by a truncation that was not synced: the longer form is as good a guess as any.
  if (loss === 'dropped' || bytes.length <= stable.length) return stable
  const loose = bytes.slice(stable.length)
  if (loss === 'cut') return join(stable, loose.subarray(0, dice(loose.length)))
  if (loss === 'zeros') return join(stable, new Uint8Array(loose.length))
  for (let at = 0; at < loose.length; at += 16) if (dice(2) === 0) loose.fill(0, at, at + 16)
  return join(stable, loose)
}

export function crashDisk(
  start: { readonly names?: ReadonlyMap<string, Inode>; readonly ring?: Uint8Array | null } = {},
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
      return {
        append: async (parts) => {
          const ends = step()
          for (const part of parts) inode.bytes = join(inode.bytes, part)
          if (ends) off()
        },
        sync: async () => {
          if (step()) off()
          inode.stable = inode.bytes
        },
        close: async () => undefined,
      }
    },
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
      return crashDisk({ names: after, ring: keptRing })
    },
  }
}
