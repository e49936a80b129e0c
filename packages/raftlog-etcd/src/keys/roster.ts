import { type CipherSuite, dekId, FRAME_TYPE, RaftLogError, type RandomSource } from '@leastwise/raftlog'
import { byteCursor, byteWriter, formatHex, sameBytes } from '../byte-fields.ts'
import { EtcdLogError } from '../errors.ts'
import type { KeyPin, Member } from '../shared-log.ts'
import { BOX_KEY_BYTES, BOX_OVERHEAD_BYTES, type MemberKey, openSealed, sealTo } from './member-key.ts'
import {
  type DataKey,
  decodeValue,
  NO_TAG,
  openValue,
  sealValue,
  VALUE_KIND,
  VALUE_VERSION,
  type ValueContext,
} from './sealed-value.ts'

/** Most members: the roster is read and written as one value. */
export const MAX_MEMBERS = 64
/** Most marks of earlier data keys that a roster carries: a pin may be that many rotations old. */
export const MAX_VOUCHES = 64

const DEK_BYTES = 32
const KEY_ID_BYTES = 16
const VOUCH_BYTES = 32
const MAGIC = 0x4c57454b // "LWEK"
const VERSION = 1
const MEMBER_ID = /^[\x21-\x7e]{1,64}$/
const BOX_LABEL = new TextEncoder().encode('leastwise raftlog-etcd data key for a member v1')
const VOUCH_INFO = new TextEncoder().encode('leastwise raftlog-etcd vouch v1')

/** The data key before, kept as long as something in the log still lies under it. */
export interface PreviousKey {
  readonly key: DataKey
  /** Index of the last entry under it. */
  readonly upTo: bigint
}

/** Who holds the data key, and what a holder has to know beside it. */
export interface Roster {
  /** Counts the data keys, from 1. */
  readonly generation: number
  readonly key: DataKey
  readonly members: readonly Member[]
  readonly previous: PreviousKey | null
  /** One proof of knowledge of each earlier data key, the newest last. */
  readonly vouches: readonly Uint8Array[]
}

const forged = (what: string): EtcdLogError =>
  new EtcdLogError(
    'ROSTER_NOT_AUTHENTIC',
    `roster ${what}; find out who can write to etcd, and restore it from a backup`,
  )

/** A data key with the id that is derived from it. */
export function dataKey(dek: Uint8Array, suite: CipherSuite): DataKey {
  const idBytes = dekId(dek, suite)
  return { id: formatHex(idBytes), idBytes, dek }
}

/** What only a holder of a data key knows, and what tells nothing about the key. */
export const vouchFor = ({ dek }: DataKey, suite: CipherSuite): Uint8Array<ArrayBuffer> =>
  suite.hkdf(dek, NO_TAG, VOUCH_INFO, VOUCH_BYTES)

/** The pin of a data key: a hash of its vouch. */
export const pinOf = (roster: Roster, suite: CipherSuite): KeyPin => ({
  generation: roster.generation,
  mark: formatHex(suite.sha256(vouchFor(roster.key, suite))),
})

/**
 * Refuses a roster whose data key was not handed down from the pinned one.
 *
 * @throws {@link EtcdLogError} `LOG_ROLLED_BACK` for an earlier data key, `ROSTER_NOT_AUTHENTIC` for a strange one.
 */
export function checkPin(roster: Roster, pin: KeyPin, suite: CipherSuite): void {
  if (roster.generation < pin.generation) {
    throw new EtcdLogError(
      'LOG_ROLLED_BACK',
      'roster is older than the pin; etcd was set back, restore its newest state',
    )
  }
  const vouches = [...roster.vouches, vouchFor(roster.key, suite)]
  const vouch = vouches.at(pin.generation - roster.generation - 1)
  if (vouch === undefined) throw forged('has left the pinned data key too far behind')
  if (formatHex(suite.sha256(vouch)) !== pin.mark)
    throw forged('holds a data key that does not come from the pinned one')
}

/**
 * Refuses members that no roster can hold.
 *
 * @throws TypeError or RangeError
 */
export function checkMember({ id, publicKey }: Member): void {
  if (!MEMBER_ID.test(id)) throw new RangeError('member id must be 1 to 64 visible ASCII characters')
  if (!(publicKey instanceof Uint8Array)) throw new TypeError('public key must be a Uint8Array')
  if (publicKey.length !== BOX_KEY_BYTES) {
    throw new RangeError(`public key must have ${BOX_KEY_BYTES} bytes, got ${publicKey.length}`)
  }
}

/** What a box holds: bound to cluster, log, generation and member, so that none fits another place. */
function boxed(context: ValueContext, generation: number, id: string, key: DataKey): Uint8Array<ArrayBuffer> {
  const { clusterId, logId } = context
  const length = BOX_LABEL.length + 4 + 3 + clusterId.length + logId.length + id.length + KEY_ID_BYTES + DEK_BYTES
  return byteWriter(length)
    .bytes(BOX_LABEL)
    .u32(generation)
    .text(clusterId)
    .text(logId)
    .text(id)
    .bytes(key.idBytes)
    .bytes(key.dek)
    .written()
}

/**
 * "LWEK" ‖ version(1) ‖ number of members(1) ‖ generation(4) ‖ key id(16) ‖ members, each id ‖ public key(32) ‖
 * length(2) box ‖ value sealed under the data key: hash of all before(32) ‖ number of vouches(1) ‖ vouches ‖ 0, or 1 ‖
 * index(8) ‖ previous data key(32).
 */
export function encodeRoster(context: ValueContext, roster: Roster, random: RandomSource): Uint8Array<ArrayBuffer> {
  const { generation, key, members, previous, vouches } = roster
  if (members.length === 0 || members.length > MAX_MEMBERS) {
    throw new RangeError(`a log has 1 to ${MAX_MEMBERS} members, not ${members.length}`)
  }
  const boxes = members.map(({ id, publicKey }) => {
    const plain = boxed(context, generation, id, key)
    const box = sealTo(publicKey, plain, random)
    plain.fill(0)
    return { id, publicKey, box }
  })
  const length = boxes.reduce((sum, { id, box }) => sum + 1 + id.length + BOX_KEY_BYTES + 2 + box.length, 26)
  const out = byteWriter(length).u32(MAGIC).u8(VERSION).u8(members.length).u32(generation).bytes(key.idBytes)
  for (const { id, publicKey, box } of boxes) out.text(id).bytes(publicKey).u16(box.length).bytes(box)
  const open = out.written()
  const kept = vouches.slice(-MAX_VOUCHES)
  const body = byteWriter(32 + 1 + kept.length * VOUCH_BYTES + 1 + (previous === null ? 0 : 8 + DEK_BYTES))
    .bytes(context.suite.sha256(open))
    .u8(kept.length)
  for (const vouch of kept) body.bytes(vouch)
  if (previous === null) body.u8(0)
  else body.u8(1).u64(previous.upTo).bytes(previous.key.dek)
  const plain = body.written()
  const place = { kind: VALUE_KIND.roster, sequence: BigInt(generation), previous: NO_TAG }
  const head = { type: FRAME_TYPE.state, count: members.length, index: 0n, term: 0n }
  const { value } = sealValue(context, key, place, head, plain, random)
  plain.fill(0)
  return byteWriter(open.length + value.length)
    .bytes(open)
    .bytes(value)
    .written()
}

/**
 * Opens a roster with a member's box key.
 *
 * @throws {@link EtcdLogError} `MEMBER_UNKNOWN` if the member is not on it, `MEMBER_KEY_WRONG` if its box does not open
 * with this key, `ROSTER_NOT_AUTHENTIC` if it is damaged or was not made by a holder of the data key.
 */
export function openRoster(
  context: ValueContext,
  bytes: Uint8Array,
  member: { readonly id: string; readonly key: MemberKey },
): Roster {
  const cursor = byteCursor(bytes, () => forged('ends too early'))
  if (cursor.u32() !== MAGIC) throw forged('does not begin with its mark')
  const version = cursor.u8()
  if (version !== VERSION) {
    throw new RaftLogError('RECORD_UNSUPPORTED_VERSION', `roster has version ${version}; use a release that knows it`)
  }
  const count = cursor.u8()
  if (count === 0 || count > MAX_MEMBERS) throw forged(`must hold 1 to ${MAX_MEMBERS} members`)
  const generation = cursor.u32()
  const keyId = cursor.bytes(KEY_ID_BYTES)
  const members: Member[] = []
  let mine: Uint8Array | null = null
  for (let nth = 0; nth < count; nth += 1) {
    const id = cursor.text()
    const publicKey = cursor.bytes(BOX_KEY_BYTES)
    const box = cursor.bytes(cursor.u16())
    if (!MEMBER_ID.test(id) || members.some((other) => other.id === id)) throw forged('names a member wrongly or twice')
    if (box.length < BOX_OVERHEAD_BYTES) throw forged('holds a box that is too short')
    members.push({ id, publicKey })
    if (id === member.id) mine = box
  }
  const openBytes = cursor.offset()
  if (mine === null) {
    throw new EtcdLogError('MEMBER_UNKNOWN', 'this manager is not a member of the log; have a member admit it')
  }
  const key = unbox(context, { generation, keyId, id: member.id, box: mine }, member.key)
  const sealed = bytes.subarray(openBytes)
  const clear = decodeValue(sealed, context.suite)
  if (clear?.kind !== VALUE_KIND.roster || clear.version !== VALUE_VERSION || clear.sequence !== BigInt(generation)) {
    throw forged('is damaged')
  }
  const plain = clear.keyId === key.id ? openValue(context, key.dek, clear, sealed) : null
  if (plain === null) throw forged('was not made by a member')
  const inner = byteCursor(plain, () => forged('is damaged'))
  if (!sameBytes(inner.bytes(32), context.suite.sha256(bytes.subarray(0, openBytes)))) throw forged('was changed')
  const vouches = Array.from({ length: inner.u8() }, () => inner.bytes(VOUCH_BYTES))
  const previous = inner.u8() === 0 ? null : { upTo: inner.u64(), key: dataKey(inner.bytes(DEK_BYTES), context.suite) }
  if (inner.remaining() !== 0) throw forged('goes on after its end')
  plain.fill(0)
  return { generation, key, members, previous, vouches }
}

function unbox(
  context: ValueContext,
  at: { readonly generation: number; readonly keyId: Uint8Array; readonly id: string; readonly box: Uint8Array },
  key: MemberKey,
): DataKey {
  const plain = openSealed(key, at.box)
  if (plain === null) {
    throw new EtcdLogError(
      'MEMBER_KEY_WRONG',
      'data key does not open with this box key; give the one that was admitted',
    )
  }
  // Whoever has the public key can make a box of any length.
  if (plain.length < DEK_BYTES) throw forged('holds a box that is too short')
  const found = dataKey(plain.slice(-DEK_BYTES), context.suite)
  const wanted = boxed(context, at.generation, at.id, found)
  const fits = sameBytes(plain, wanted) && sameBytes(found.idBytes, at.keyId)
  plain.fill(0)
  wanted.fill(0)
  if (!fits) throw forged('holds a box that was made for another place')
  return found
}
