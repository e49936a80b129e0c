import { MAX_FRAME_ENTRIES, MAX_SNAPSHOT_BYTES } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import { MAX_COMPANION_BYTES, MAX_COMPANIONS } from './about.ts'
import type { BackupHeader } from './backup-header.ts'
import { PART, type PartHead } from './backup-part.ts'

const malformed = (what: string): RaftLogError =>
  new RaftLogError('BACKUP_MALFORMED', `backup ${what}; use another backup`)

// A length byte, a name, the file itself.
const MAX_COMPANION_BODY = MAX_COMPANION_BYTES + 65

/** Checks that parts come in the order and number that the header promises; needs no key. */
export interface BackupOrder {
  /** @throws RaftLogError `BACKUP_MALFORMED` if this part cannot come next. */
  readonly next: (head: PartHead) => void
}

export function backupOrder({ last, snapshot }: BackupHeader): BackupOrder {
  let before = 0
  let companions = 0
  let pieces = 0
  let snapshotBytes = 0
  let index = (snapshot?.index ?? 0n) + 1n

  const check = (fits: boolean): void => {
    if (!fits) throw malformed('holds a part that does not fit in its place')
  }
  return {
    next: ({ type, count, index: at, bodyBytes }) => {
      if (type < PART.about || type > PART.end) throw malformed(`holds a part of type ${type}, which is not known`)
      check(before === 0 ? type === PART.about : type >= before && before !== PART.end && type !== PART.about)
      before = type
      switch (type) {
        case PART.about:
          check(count === 0 && at === 0n)
          break
        case PART.companion:
          check(count === companions && companions < MAX_COMPANIONS && at === 0n && bodyBytes <= MAX_COMPANION_BODY)
          companions += 1
          break
        case PART.snapshot:
          snapshotBytes += bodyBytes
          check(snapshot !== null && count === pieces && at === snapshot.index && snapshotBytes <= MAX_SNAPSHOT_BYTES)
          pieces += 1
          break
        case PART.entries:
          check(count >= 1 && count <= MAX_FRAME_ENTRIES && at === index && (snapshot === null || pieces > 0))
          index += BigInt(count)
          check(index <= last.index + 1n)
          break
        default:
          check(count === 0 && bodyBytes === 0 && at === last.index && index === last.index + 1n)
          check(snapshot === null || pieces > 0)
      }
    },
  }
}
