import type { KeyRange } from '../etcd/etcd.ts'

/** Where everything of one log lies in etcd. */
export interface Places {
  readonly head: string
  readonly roster: string
  /** A frame stands under the index of its last entry, so that the first key from `frame(i)` on holds entry i. */
  readonly frame: (lastIndex: bigint) => string
  readonly frames: KeyRange
  /** Index of the last entry of the frame under this key, or null if it is no such key. */
  readonly lastIndexAt: (key: string) => bigint | null
  readonly chunk: (snapshotId: string, number: number) => string
  readonly snapshot: (snapshotId: string) => KeyRange & { readonly end: string }
  readonly snapshots: KeyRange & { readonly end: string }
  readonly leader: (name: string) => string
}

const ID = /^[\x21-\x7e]{1,64}$/
const PREFIX = /^[\x21-\x7e]{1,128}$/
const NAME = /^[A-Za-z0-9._-]{1,64}$/

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, '0')
// '0' is the character after '/': all keys that begin with `folder/` and no other.
const folder = (path: string): KeyRange & { readonly end: string } => ({ key: `${path}/`, end: `${path}0` })

/**
 * @throws RangeError if an id or the prefix is not visible ASCII of a fitting length.
 */
export function placesOf(prefix: string, clusterId: string, logId: string): Places {
  if (!PREFIX.test(prefix)) throw new RangeError('prefix must be 1 to 128 visible ASCII characters')
  if (!ID.test(clusterId) || !ID.test(logId)) {
    throw new RangeError('cluster and log id must be 1 to 64 visible ASCII characters')
  }
  // Encoded, so that no id reaches into the place of another one.
  const base = `${prefix}/${encodeURIComponent(clusterId)}/${encodeURIComponent(logId)}`
  const frames = `${base}/frames`
  const snapshots = `${base}/snapshots`
  const frame = (lastIndex: bigint): string => `${frames}/${hex(lastIndex, 16)}`
  return {
    head: `${base}/head`,
    roster: `${base}/roster`,
    frame,
    frames: folder(frames),
    lastIndexAt: (key) => {
      const digits = key.slice(frames.length + 1)
      return key.startsWith(`${frames}/`) && /^[0-9a-f]{16}$/.test(digits) ? BigInt(`0x${digits}`) : null
    },
    chunk: (snapshotId, number) => `${snapshots}/${snapshotId}/${hex(number, 8)}`,
    snapshot: (snapshotId) => folder(`${snapshots}/${snapshotId}`),
    snapshots: folder(snapshots),
    leader: (name) => {
      if (!NAME.test(name)) throw new RangeError('name must be 1 to 64 letters, digits, dots, dashes or underscores')
      return `${base}/leaders/${name}`
    },
  }
}
