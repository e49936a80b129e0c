import { RaftLogError } from '../errors.ts'
import { byteCursor } from '../format/byte-cursor.ts'
import { byteWriter } from '../format/byte-writer.ts'
import { isLogId, MAX_ID_LENGTH } from '../format/file-header.ts'
import { type AnchorHead, decodeAnchorHead, encodeAnchorHead, MAX_HEAD_BYTES } from './anchor-head.ts'

/** What a log asks of a peer that keeps its head. */
export type AnchorRequest =
  | { readonly kind: 'read'; readonly nonce: Uint8Array; readonly clusterId: string; readonly logId: string }
  | {
      readonly kind: 'advance'
      readonly nonce: Uint8Array
      readonly head: AnchorHead
      readonly after: AnchorHead | null
    }

/** What the peer answers; `stored` is the head that it keeps now. */
export interface AnchorAnswer {
  readonly kind: 'kept' | 'conflict' | 'full'
  /** That of the request, so that no answer serves another one. */
  readonly nonce: Uint8Array
  readonly stored: AnchorHead | null
}

/** Bytes of a request's nonce. */
export const ANCHOR_NONCE_BYTES = 16
/** Longest request and longest answer. */
export const MAX_ANCHOR_MESSAGE_BYTES: number = 4 + 2 + ANCHOR_NONCE_BYTES + 2 * (2 + MAX_HEAD_BYTES)

const REQUEST_MARK = 0x4c574151 // "LWAQ"
const ANSWER_MARK = 0x4c574152 // "LWAR"
const VERSION = 1
const KIND = { read: 1, advance: 2 } as const
const ANSWERS = ['kept', 'conflict', 'full'] as const

const malformed = (what: string): RaftLogError =>
  new RaftLogError('ANCHOR_MALFORMED', `anchor message ${what}; let both sides speak one version`)

const headBytes = (head: AnchorHead | null): Uint8Array => (head === null ? new Uint8Array(0) : encodeAnchorHead(head))

type Cursor = ReturnType<typeof byteCursor>

/** The fields that both messages begin with: mark(4) ‖ version(1) ‖ kind(1) ‖ nonce(16). */
function begin(bytes: Uint8Array, mark: number): { cursor: Cursor; kind: number; nonce: Uint8Array<ArrayBuffer> } {
  if (bytes.length > MAX_ANCHOR_MESSAGE_BYTES) throw malformed(`has ${bytes.length} bytes, more than any`)
  const cursor = byteCursor(bytes, () => malformed('ends too early'))
  if (cursor.u32() !== mark) throw malformed('does not begin with its mark')
  const version = cursor.u8()
  if (version !== VERSION) {
    throw new RaftLogError('RECORD_UNSUPPORTED_VERSION', `message has version ${version}; use a release that knows it`)
  }
  return { cursor, kind: cursor.u8(), nonce: cursor.bytes(ANCHOR_NONCE_BYTES) }
}

function readHead(cursor: Cursor): AnchorHead | null {
  const length = cursor.u16()
  return length === 0 ? null : decodeAnchorHead(cursor.bytes(length))
}

function encode(
  mark: number,
  kind: number,
  nonce: Uint8Array,
  fields: readonly Uint8Array[],
  width: 1 | 2,
): Uint8Array<ArrayBuffer> {
  if (nonce.length !== ANCHOR_NONCE_BYTES) throw new RangeError(`nonce must have ${ANCHOR_NONCE_BYTES} bytes`)
  const size = fields.reduce((sum, field) => sum + width + field.length, 6 + ANCHOR_NONCE_BYTES)
  const out = byteWriter(size).u32(mark).u8(VERSION).u8(kind).bytes(nonce)
  for (const field of fields) (width === 1 ? out.u8(field.length) : out.u16(field.length)).bytes(field)
  return out.written()
}

/**
 * "LWAQ" ‖ version(1) ‖ kind(1) ‖ nonce(16), then for a read: length(1) cluster id ‖ length(1) log id; for an advance:
 * length(2) head ‖ length(2) head before, of length 0 if there is none.
 *
 * @throws RangeError if a field lies outside the format.
 */
export function encodeAnchorRequest(request: AnchorRequest): Uint8Array<ArrayBuffer> {
  const { kind, nonce } = request
  if (kind === 'advance') {
    return encode(REQUEST_MARK, KIND.advance, nonce, [encodeAnchorHead(request.head), headBytes(request.after)], 2)
  }
  const ids = [request.clusterId, request.logId]
  if (!ids.every(isLogId)) throw new RangeError(`ids must be 1 to ${MAX_ID_LENGTH} visible ASCII characters`)
  return encode(
    REQUEST_MARK,
    KIND.read,
    nonce,
    ids.map((id) => new TextEncoder().encode(id)),
    1,
  )
}

/**
 * Reads what {@link encodeAnchorRequest} wrote; nothing else has this form.
 *
 * @throws {@link RaftLogError} `ANCHOR_MALFORMED`, or `RECORD_UNSUPPORTED_VERSION` for a later version.
 */
export function decodeAnchorRequest(bytes: Uint8Array): AnchorRequest {
  const { cursor, kind, nonce } = begin(bytes, REQUEST_MARK)
  const finished = <T extends AnchorRequest>(request: T): T => {
    if (cursor.remaining() !== 0) throw malformed('goes on after its end')
    return request
  }
  if (kind === KIND.read) {
    const readId = (): string => {
      const id = Array.from(cursor.bytes(cursor.u8()), (byte) => String.fromCharCode(byte)).join('')
      if (!isLogId(id)) throw malformed('holds an id in characters it may not use')
      return id
    }
    return finished({ kind: 'read', nonce, clusterId: readId(), logId: readId() })
  }
  if (kind !== KIND.advance) throw malformed('is of no known kind')
  const head = readHead(cursor)
  if (head === null) throw malformed('holds no head')
  return finished({ kind: 'advance', nonce, head, after: readHead(cursor) })
}

/**
 * "LWAR" ‖ version(1) ‖ kind(1) ‖ nonce(16) ‖ length(2) head that is kept, of length 0 if there is none.
 *
 * @throws RangeError if a field lies outside the format.
 */
export const encodeAnchorAnswer = ({ kind, nonce, stored }: AnchorAnswer): Uint8Array<ArrayBuffer> =>
  encode(ANSWER_MARK, ANSWERS.indexOf(kind) + 1, nonce, [headBytes(stored)], 2)

/**
 * Reads what {@link encodeAnchorAnswer} wrote; nothing else has this form.
 *
 * @throws {@link RaftLogError} `ANCHOR_MALFORMED`, or `RECORD_UNSUPPORTED_VERSION` for a later version.
 */
export function decodeAnchorAnswer(bytes: Uint8Array): AnchorAnswer {
  const { cursor, kind: number, nonce } = begin(bytes, ANSWER_MARK)
  const kind = ANSWERS[number - 1]
  if (kind === undefined) throw malformed('is of no known kind')
  const stored = readHead(cursor)
  if (cursor.remaining() !== 0) throw malformed('goes on after its end')
  return { kind, nonce, stored }
}
