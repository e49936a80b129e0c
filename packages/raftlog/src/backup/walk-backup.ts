import type { Entry } from '../entry.ts'
import { RaftLogError } from '../errors.ts'
import { TAG_BYTES } from '../format/file-header.ts'
import { equalBytes } from '../keepers/equal-bytes.ts'
import type { Aead, CipherSuite, KeyWrapper } from '../ports.ts'
import { type BackupAbout, type BackupCompanion, decodeAbout, decodeCompanion } from './about.ts'
import { encodeTrailer, runningDigest, TRAILER_BYTES } from './backup-digest.ts'
import { type BackupHeader, decodeBackupHeader, HEADER_START_BYTES, headerLength } from './backup-header.ts'
import { backupOrder } from './backup-order.ts'
import {
  backupAead,
  decodePartHead,
  openPart,
  PART,
  PART_ENTRY_BYTES,
  PART_HEAD_BYTES,
  type PartHead,
} from './backup-part.ts'
import { byteFeed } from './byte-feed.ts'

/** What a walk over a backup gives, in this order. Without the key every part is `sealed`. */
export type BackupStep =
  | { readonly kind: 'header'; readonly header: BackupHeader }
  | { readonly kind: 'sealed'; readonly head: PartHead }
  | { readonly kind: 'about'; readonly about: BackupAbout }
  | { readonly kind: 'companion'; readonly companion: BackupCompanion }
  | { readonly kind: 'snapshot'; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'entries'; readonly entries: readonly Entry[] }
  | { readonly kind: 'end'; readonly digest: Uint8Array<ArrayBuffer> }

/** What a backup is walked with. */
export interface WalkParts {
  readonly suite: CipherSuite
  /** Opens the backup's key; null to walk over it without. */
  readonly wrapper: KeyWrapper | null
  readonly signal?: AbortSignal | undefined
}

const KEY_BYTES = 32

const malformed = (what: string): RaftLogError =>
  new RaftLogError('BACKUP_MALFORMED', `backup ${what}; use another backup`)
const notAuthentic = (what: string): RaftLogError =>
  new RaftLogError('BACKUP_NOT_AUTHENTIC', `backup ${what}; use another backup`)

/** Opens the key of a backup. */
async function openKey(
  header: BackupHeader,
  bytes: Uint8Array,
  wrapper: KeyWrapper,
  suite: CipherSuite,
): Promise<Aead> {
  const key = await wrapper.unwrap(header.wrappedKey)
  if (key === null) throw new RaftLogError('KEYS_WRONG', 'backup does not open with this key; give the right one')
  if (key.length !== KEY_BYTES) throw malformed('holds a key of a wrong length')
  const aead = backupAead(key, bytes, suite)
  key.fill(0)
  return aead
}

/** count × (term(8) ‖ length(4) ‖ data) */
function decodeEntries(head: PartHead, body: Uint8Array<ArrayBuffer>): readonly Entry[] {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const entries: Entry[] = []
  let at = 0
  for (let nth = 0; nth < head.count; nth += 1) {
    if (body.length - at < PART_ENTRY_BYTES) throw malformed('holds fewer entries than it says')
    const from = at + PART_ENTRY_BYTES
    const until = from + view.getUint32(at + 8)
    if (until > body.length) throw malformed('holds an entry longer than its part')
    entries.push({ index: head.index + BigInt(nth), term: view.getBigUint64(at), data: body.subarray(from, until) })
    at = until
  }
  if (at !== body.length) throw malformed('holds a part that goes on after its last entry')
  return entries
}

function decodePart(head: PartHead, body: Uint8Array<ArrayBuffer>): BackupStep | null {
  switch (head.type) {
    case PART.about: {
      const about = decodeAbout(body)
      if (about === null) throw malformed('does not describe itself')
      return { kind: 'about', about }
    }
    case PART.companion: {
      const companion = decodeCompanion(body)
      if (companion === null) throw malformed('holds a companion that is not in its form')
      return { kind: 'companion', companion }
    }
    case PART.snapshot:
      return { kind: 'snapshot', data: body }
    case PART.entries:
      return { kind: 'entries', entries: decodeEntries(head, body) }
    default:
      return null
  }
}

/** Refuses terms that fall, or do not lead to the one that the header names. */
function termOrder({ snapshot, last }: BackupHeader): {
  readonly next: (entries: readonly Entry[]) => void
  readonly end: () => void
} {
  let term = snapshot?.term ?? 0n
  return {
    next: (entries) => {
      for (const entry of entries) {
        if (entry.term < term || entry.term < 1n || entry.term > last.term)
          throw malformed('holds terms that do not fit')
        term = entry.term
      }
    },
    end: () => {
      if (term !== last.term) throw malformed('does not end in the term that it names')
    },
  }
}

/**
 * Walks over a backup, each part checked, and with the key authenticated, before it is given. That it is whole is known
 * when the last step has been given: what came before must not be relied on until then.
 *
 * @throws {@link RaftLogError} `BACKUP_MALFORMED`, `BACKUP_TRUNCATED`, `BACKUP_NOT_AUTHENTIC`, `KEYS_WRONG`, or
 * `RECORD_UNSUPPORTED_VERSION`.
 */
export async function* walkBackup(
  source: AsyncIterable<Uint8Array>,
  { suite, wrapper, signal }: WalkParts,
): AsyncGenerator<BackupStep, void, void> {
  const feed = byteFeed(source, signal)
  try {
    const digest = runningDigest(suite)
    const start = await feed.take(HEADER_START_BYTES)
    const rest = await feed.take(headerLength(start) - HEADER_START_BYTES)
    const bytes = new Uint8Array([...start, ...rest])
    const header = decodeBackupHeader(bytes, suite)
    digest.add(bytes)
    const key = wrapper === null ? null : await openKey(header, bytes, wrapper, suite)
    yield { kind: 'header', header }

    const order = backupOrder(header)
    const terms = termOrder(header)
    for (let number = 0; ; number += 1) {
      signal?.throwIfAborted()
      const headBytes = await feed.take(PART_HEAD_BYTES)
      const head = decodePartHead(headBytes, suite)
      if (head === null) throw malformed('holds a part without an intact head')
      order.next(head)
      const rest = await feed.take(head.bodyBytes + TAG_BYTES)
      const part = new Uint8Array(PART_HEAD_BYTES + rest.length)
      part.set(headBytes)
      part.set(rest, PART_HEAD_BYTES)
      digest.add(part)
      if (key === null) yield { kind: 'sealed', head }
      else {
        const body = openPart(key, number, head, part)
        if (body === null) throw notAuthentic('holds a part that is not authentic')
        const step = decodePart(head, body)
        if (step?.kind === 'entries') terms.next(step.entries)
        if (step !== null) yield step
      }
      if (head.type === PART.end) break
    }
    if (key !== null) terms.end()
    if (!equalBytes(await feed.take(TRAILER_BYTES), encodeTrailer(digest.value()))) {
      throw notAuthentic('does not match its digest')
    }
    if (!(await feed.isAtEnd())) throw malformed('goes on after its end')
    yield { kind: 'end', digest: digest.value() }
  } finally {
    await feed.close()
  }
}
