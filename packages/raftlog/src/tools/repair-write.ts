import { type Entry, GROUP_COMMIT_BYTES, MAX_FRAME_ENTRIES, MAX_SNAPSHOT_BYTES, type Snapshot } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import type { LogContext } from '../files/log-context.ts'
import { createSealedFile } from '../files/sealed-file.ts'
import { openSegments } from '../files/segments.ts'
import { writeSnapshot } from '../files/snapshot-file.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { FILE_KIND, TAG_BYTES } from '../format/file-header.ts'
import { ENTRY_OVERHEAD_BYTES, FRAME_TYPE } from '../format/frame.ts'
import type { LogFiles } from '../ports.ts'
import { termRuns } from '../term-runs.ts'
import type { RepairPlan, Stretch } from './repair-plan.ts'
import { type NamedHeader, stepsOf } from './repair-survey.ts'
import { salvageName } from './salvage-name.ts'

/** Entries of one term that go into one frame. */
interface Batch {
  readonly index: bigint
  readonly term: bigint
  readonly count: number
  readonly body: Uint8Array
}

/** count × (length(4) ‖ data) */
function encodeBatch(entries: readonly Entry[]): Batch | null {
  const [first] = entries
  if (first === undefined) return null
  const size = entries.reduce((sum, { data }) => sum + ENTRY_OVERHEAD_BYTES + data.length, 0)
  const out = byteWriter(size)
  for (const { data } of entries) out.u32(data.length).bytes(data)
  return { index: first.index, term: first.term, count: entries.length, body: out.written() }
}

/** Gathers entries into frames of about the size of a group commit: fewer syncs than there were. */
async function* batches(entries: AsyncIterable<Entry>): AsyncGenerator<Batch, void, void> {
  let held: Entry[] = []
  let bytes = 0
  const flush = (): Batch | null => {
    const batch = encodeBatch(held)
    held = []
    bytes = 0
    return batch
  }
  for await (const entry of entries) {
    const isFull = held.length === MAX_FRAME_ENTRIES || bytes + entry.data.length > GROUP_COMMIT_BYTES
    if (isFull || held.at(-1)?.term !== entry.term) {
      const batch = flush()
      if (batch !== null) yield batch
    }
    held.push(entry)
    bytes += entry.data.length
  }
  const batch = flush()
  if (batch !== null) yield batch
}

/** The entries of a stretch, read and proven once more. */
async function* entriesOf(
  log: LogContext,
  { segment, from, to }: Stretch,
  signal: AbortSignal | undefined,
): AsyncGenerator<Entry, void, void> {
  let next = from
  for await (const step of stepsOf(log, segment, { mayBeTorn: false, endTag: segment.endTag, signal })) {
    if (step.kind !== 'frame') continue
    for (const entry of step.entries ?? []) {
      if (entry.index < next || entry.index > to) continue
      if (entry.index !== next) throw changed()
      yield entry
      next += 1n
    }
    if (next > to) return
  }
  if (next <= to) throw changed()
}

const changed = (): RaftLogError =>
  new RaftLogError('LOG_FAILED', 'log changed while it was repaired; see that nothing else uses it, and repeat')

async function readWhole(log: LogContext, snapshot: NamedHeader, signal: AbortSignal | undefined): Promise<Snapshot> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const step of stepsOf(log, snapshot, { mayBeTorn: false, signal })) {
    if (step.kind !== 'frame' || step.chunk === null) continue
    chunks.push(step.chunk)
    size += step.chunk.length
    if (size > MAX_SNAPSHOT_BYTES) throw changed()
  }
  const out = byteWriter(size)
  for (const chunk of chunks) out.bytes(chunk)
  return { index: snapshot.header.index, term: snapshot.header.term, data: out.written() }
}

/** Writes the log of a plan into an empty directory, sealed anew under the keys of the old one. */
export async function writeRepaired(
  source: LogContext,
  files: LogFiles,
  plan: NonNullable<RepairPlan['log']>,
  options: { readonly segmentBytes: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { snapshot, before, stretches, state } = plan
  const start = { segments: [], terms: termRuns(before), state, lastTag: new Uint8Array(TAG_BYTES) }
  const log = { ...source, files }
  const segments = openSegments(log, start, options.segmentBytes)
  const put = async (part: (stretch: Stretch) => Stretch): Promise<void> => {
    for (const stretch of stretches.map(part).filter(({ from, to }) => from <= to)) {
      for await (const batch of batches(entriesOf(source, stretch, options.signal))) {
        await segments.commit({ ...batch, state: null })
      }
    }
  }
  try {
    const covered = snapshot?.header.index ?? 0n
    await put((stretch) => (stretch.to <= covered ? stretch : { ...stretch, to: covered }))
    if (snapshot !== null) {
      // As in a log that lives: the segment that a snapshot names begins behind it.
      const anchor = await segments.roll()
      await writeSnapshot(log, await readWhole(source, snapshot, options.signal), anchor)
    }
    await put((stretch) => (stretch.from > covered ? stretch : { ...stretch, from: covered + 1n }))
    // Without an entry and without a snapshot, a segment alone says that there is a log.
    if (stretches.length === 0) await segments.roll()
    await segments.end()
  } finally {
    await segments.close()
  }
}

/** One file of salvaged entries. */
export interface Salvaged {
  readonly file: string
  readonly firstIndex: bigint
  readonly lastIndex: bigint
}

/** Writes a stretch into a file of its own, which no log takes for a segment. */
export async function writeSalvage(
  source: LogContext,
  files: LogFiles,
  stretch: Stretch,
  options: { readonly number: number; readonly signal?: AbortSignal | undefined },
): Promise<Salvaged> {
  const { from, to } = stretch
  const name = salvageName(from, to)
  const wanted = {
    kind: FILE_KIND.segment,
    sequence: BigInt(options.number),
    index: from,
    // Nobody knows the term before a hole.
    term: 0n,
    previous: new Uint8Array(TAG_BYTES),
  }
  const file = await createSealedFile({ ...source, files }, name, wanted)
  try {
    let term = 0n
    for await (const { index, count, body, ...batch } of batches(entriesOf(source, stretch, options.signal))) {
      term = batch.term
      await file.write({ type: FRAME_TYPE.entries, count, index, term }, body)
    }
    await file.write({ type: FRAME_TYPE.end, count: 0, index: to + 1n, term }, new Uint8Array(0))
    await file.publish()
  } catch (error) {
    await file.discard().catch(() => undefined)
    throw error
  }
  await file.close()
  return { file: name, firstIndex: from, lastIndex: to }
}
