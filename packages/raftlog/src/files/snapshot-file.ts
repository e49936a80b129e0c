import { MAX_SNAPSHOT_BYTES, type Position, type Snapshot } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import { FILE_KIND } from '../format/file-header.ts'
import { snapshotName } from '../format/file-names.ts'
import { FRAME_TYPE } from '../format/frame.ts'
import { brokenFrame, frameWalk } from './frame-walk.ts'
import { type LogContext, openProven } from './log-context.ts'
import { createSealedFile, type SealedFile } from './sealed-file.ts'

// A chunk costs its own checksum and tag; at this size neither is felt, and a damaged place is named closely.
const CHUNK_BYTES = 1024 * 1024

/** The segment that was begun just before a snapshot: it proves on opening that both belong to one history. */
export interface Anchor {
  readonly sequence: bigint
  readonly tag: Uint8Array<ArrayBuffer>
}

/** Seals a snapshot into a file that is durable, but has yet to be published. */
export async function sealSnapshot(log: LogContext, snapshot: Snapshot, anchor: Anchor): Promise<SealedFile> {
  const { index, term, data } = snapshot
  const file = await createSealedFile(log, snapshotName(index), {
    kind: FILE_KIND.snapshot,
    sequence: anchor.sequence,
    index,
    term,
    previous: anchor.tag,
  })
  try {
    let at = 0
    for (let count = 0; ; count += 1) {
      const body = data.subarray(at, at + CHUNK_BYTES)
      at += body.length
      const last = at === data.length
      await file.write({ type: last ? FRAME_TYPE.lastChunk : FRAME_TYPE.chunk, count, index, term }, body)
      if (last) break
    }
    await file.sync()
    return file
  } catch (error) {
    await file.discard().catch(() => undefined)
    throw error
  }
}

/** Gives a sealed snapshot its name, durably; a failure may leave it with or without. */
export async function publishSnapshot(file: SealedFile): Promise<void> {
  try {
    await file.publish()
  } catch (error) {
    await file.discard().catch(() => undefined)
    throw error
  }
  await file.close()
}

/** Seals a snapshot into its file, durable and complete under its name before it resolves. */
export async function writeSnapshot(log: LogContext, snapshot: Snapshot, anchor: Anchor): Promise<void> {
  await publishSnapshot(await sealSnapshot(log, snapshot, anchor))
}

/**
 * Opens the snapshot at `index`, every chunk authenticated.
 *
 * @throws {@link RaftLogError} `RECORD_TRUNCATED`, `RECORD_NOT_AUTHENTIC` or `RECORD_MALFORMED` at damage, `LOG_GAP` if
 * the file is gone.
 */
export async function readSnapshot(log: LogContext, index: bigint): Promise<Snapshot> {
  const name = snapshotName(index)
  const file = await openProven(log, name, 'snapshot', index)
  if (file === null) throw new RaftLogError('LOG_GAP', 'snapshot file is gone; restore the log from a backup')
  try {
    const { sizeBytes } = file.handle
    const walk = frameWalk(file, sizeBytes, log.suite)
    const chunks: Uint8Array[] = []
    let total = 0
    for (let last = false; !last; ) {
      const place = walk.place()
      const step = await walk.next()
      if (step.kind === 'end' || step.kind === 'broken')
        throw brokenFrame(place, step.kind === 'end' || step.incomplete)
      if (step.kind === 'skipped') continue
      const { head, body } = step
      last = head.type === FRAME_TYPE.lastChunk
      total += body.length
      const fits = (last || head.type === FRAME_TYPE.chunk) && head.count === chunks.length
      if (!fits || head.index !== index || head.term !== file.header.term || total > MAX_SNAPSHOT_BYTES) {
        throw new RaftLogError(
          'RECORD_MALFORMED',
          'snapshot chunk does not fit in its place; restore the log from a backup',
          { place },
        )
      }
      chunks.push(body)
    }
    if (walk.offset() !== sizeBytes) {
      throw new RaftLogError(
        'RECORD_MALFORMED',
        'snapshot goes on after its last chunk; restore the log from a backup',
        {
          place: walk.place(),
        },
      )
    }
    const data = new Uint8Array(total)
    let at = 0
    for (const chunk of chunks) {
      data.set(chunk, at)
      at += chunk.length
    }
    return { index, term: file.header.term, data }
  } finally {
    await file.handle.close()
  }
}

/** Reads the newest snapshot, whichever that is by then: while it is read, a newer one may take its place. */
export async function readNewest(log: LogContext, newest: () => Position | null): Promise<Snapshot | null> {
  for (;;) {
    const at = newest()
    if (at === null) return null
    try {
      return await readSnapshot(log, at.index)
    } catch (error) {
      if (newest() === at) throw error
    }
  }
}
