import { RaftLogError } from '../errors.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { equalBytes } from '../keepers/equal-bytes.ts'
import type { CipherSuite } from '../ports.ts'
import { turns } from '../turns.ts'
import { planAdvance } from './advance-rule.ts'
import { type AnchorHead, decodeAnchorHead, encodeAnchorHead, MAX_HEAD_BYTES } from './anchor-head.ts'
import type { AnchorOptions, RollbackAnchor } from './rollback-anchor.ts'

/** A counter that nobody can turn back, such as one of a TPM. */
export interface MonotonicCounter {
  /** @throws RaftLogError `ANCHOR_UNREACHABLE` if it cannot be asked. */
  readonly read: (options?: AnchorOptions) => Promise<bigint>
  /** Adds one; durable before it resolves. A rejection means that it is unknown whether it counted. */
  readonly increment: (options?: AnchorOptions) => Promise<void>
}

/** Where the head is written beside a counter; it may be the disk of the log itself. */
export interface HeadFile {
  readonly load: () => Promise<Uint8Array | null>
  /** Replaces it, atomically and durably before it resolves. */
  readonly save: (bytes: Uint8Array) => Promise<void>
}

/** What a counter anchor is made of. */
export interface CounterAnchorParts {
  readonly counter: MonotonicCounter
  readonly file: HeadFile
  /** 32 bytes that whoever may change the file does not know: sealed in the chip, or in the host's locked key file. */
  readonly key: Uint8Array
  readonly suite: CipherSuite
}

/** Bytes of the key that vouches for the head beside a counter. */
export const COUNTER_KEY_BYTES = 32

const INFO = new TextEncoder().encode('leastwise raftlog counted head v1')
const VOUCH_BYTES = 32
const COUNT_BYTES = 8

/**
 * An anchor on a counter that only counts. The head lies in a file, vouched for together with the value that the counter
 * takes when the head begins to count; an older file names an older value.
 *
 * An advance writes the file and then counts. If it stops between the two, the file names the next value: the next read
 * finishes the counting before it gives that head.
 *
 * @throws RangeError if the key does not have {@link COUNTER_KEY_BYTES} bytes.
 */
export function counterAnchor({ counter, file, key, suite }: CounterAnchorParts): RollbackAnchor {
  if (key.length !== COUNTER_KEY_BYTES)
    throw new RangeError(`key must have ${COUNTER_KEY_BYTES} bytes, got ${key.length}`)
  const secret = new Uint8Array(key)
  const order = turns()
  const vouch = (counted: Uint8Array): Uint8Array => {
    const info = byteWriter(INFO.length + 32)
      .bytes(INFO)
      .bytes(suite.sha256(counted))
      .written()
    return suite.hkdf(secret, new Uint8Array(0), info, VOUCH_BYTES)
  }
  const malformed = (what: string): RaftLogError =>
    new RaftLogError('ANCHOR_MALFORMED', `head beside the counter ${what}; give the file that belongs to the counter`)

  /** count(8) ‖ head ‖ proof(32) */
  const load = async (): Promise<{ readonly count: bigint; readonly head: AnchorHead } | null> => {
    const bytes = await file.load()
    if (bytes === null) return null
    const end = bytes.length - VOUCH_BYTES
    if (end <= COUNT_BYTES || bytes.length > COUNT_BYTES + MAX_HEAD_BYTES + VOUCH_BYTES)
      throw malformed('has a wrong length')
    const counted = bytes.subarray(0, end)
    if (!equalBytes(vouch(counted), bytes.subarray(end))) throw malformed('is not vouched for')
    const count = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)
    return { count, head: decodeAnchorHead(counted.subarray(COUNT_BYTES)) }
  }

  const current = async (
    options?: AnchorOptions,
  ): Promise<{ readonly at: bigint; readonly head: AnchorHead | null }> => {
    options?.signal?.throwIfAborted()
    const at = await counter.read(options)
    const stored = await load()
    if (stored === null) return { at, head: null }
    if (stored.count === at) return { at, head: stored.head }
    if (stored.count === at + 1n) {
      await counter.increment(options)
      return { at: at + 1n, head: stored.head }
    }
    const what =
      stored.count < at ? 'older than the counter, so it was put back' : 'ahead of the counter, which was replaced'
    throw new RaftLogError('ROLLED_BACK', `head beside the counter is ${what}; bring the newest copy of the disk`)
  }

  return {
    read: async (options) => await order.take(async () => (await current(options)).head),
    advance: async (head, after, options) => {
      await order.take(async () => {
        // Finishes an earlier advance first: no value of the counter may stand for two heads.
        const { at, head: stored } = await current(options)
        if (!planAdvance(stored, head, after).write) return
        const encoded = encodeAnchorHead(head)
        const counted = byteWriter(COUNT_BYTES + encoded.length)
          .u64(at + 1n)
          .bytes(encoded)
          .written()
        const proof = vouch(counted)
        await file.save(
          byteWriter(counted.length + VOUCH_BYTES)
            .bytes(counted)
            .bytes(proof)
            .written(),
        )
        await counter.increment(options)
      })
    },
  }
}
