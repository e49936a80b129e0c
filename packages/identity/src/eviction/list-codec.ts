import type { SignatureAlgorithm } from '../algorithms.ts'
import { MAX_CERTIFICATE_BYTES } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import { type ClusterId, parseClusterId } from '../membership/node-identity.ts'
import { MAX_CHAIN_CERTIFICATES } from '../verifying/chain.ts'
import type { Eviction } from './eviction.ts'
import { MAX_EVICTIONS } from './eviction-book.ts'
import {
  type Cursor,
  MAX_ENTRY_BYTES,
  malformed,
  pushNumber,
  readEviction,
  readNumber,
  skip,
} from './eviction-codec.ts'
import { encodePartDigests, type PartDigests, readPartDigests } from './list-parts.ts'

/** A list of evictions, as managers push it to every peer. */
export interface EvictionList {
  readonly clusterId: ClusterId
  /** Of the book when the list was made. */
  readonly sequence: number
  /** 0 for the whole list; else the list holds what came after this number. */
  readonly base: number
  /** Epoch milliseconds, whole seconds. */
  readonly issuedAt: number
  /** From here on a peer must expect that it misses something. Epoch milliseconds, whole seconds. */
  readonly validUntil: number
  /** In the order of their encodings, none twice. */
  readonly evictions: readonly Eviction[]
}

/** All that a list says but whom it names. */
export type ListHead = Omit<EvictionList, 'evictions'>

/** A list whose signature nobody has checked: all but the entries is read. */
export interface SignedParts {
  readonly head: ListHead
  /** DER, the manager's own first; none when a root signed. */
  readonly signerChain: readonly Uint8Array<ArrayBuffer>[]
  readonly algorithm: SignatureAlgorithm
  /** What is signed. */
  readonly signed: Uint8Array<ArrayBuffer>
  readonly signature: Uint8Array<ArrayBuffer>
  /** The bytes of its entries, for {@link readEntries}; or what names the parts that hold them. */
  readonly content: Uint8Array | PartDigests
}

/** Seven days: a longer list would keep a peer content that is cut off. */
export const MAX_EVICTION_LIST_LIFE_MS = 604_800_000

/** A million certificates with their issuers fit in. */
export const MAX_EVICTION_LIST_BYTES: number = MAX_EVICTIONS * MAX_ENTRY_BYTES + 64 * 1024

/**
 * Stands before what is signed. With 64 letters it is longer than the random that a TLS 1.2 client puts at the beginning of what
 * the same key signs in a handshake, and no certificate, request or CRL begins so.
 */
const CONTEXT = new TextEncoder().encode('leastwise: evicted nodes and certificates of a cluster, form 1.\n')
const MAGIC: readonly number[] = [0x4c, 0x57, 0x45, 0x56]
/** The list holds its entries. */
const ENTIRE = 1
/** The list holds the digests of parts that hold the entries. */
const IN_PARTS = 2
const SECOND_MS = 1000
const MAX_SIGNATURE_BYTES = 1024

// Places are for ever: a number in a list names one of these.
const ALGORITHMS: readonly SignatureAlgorithm[] = [
  'ecdsa-sha256',
  'ecdsa-sha384',
  'ecdsa-sha512',
  'ed25519',
  'rsa-sha256',
  'rsa-sha384',
  'rsa-sha512',
]

/** Order of byte strings: the first difference decides, then the shorter one. */
function byBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let at = 0; at < shared; at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

const numberBytes = (value: number, length: number): Uint8Array => {
  const out: number[] = []
  pushNumber(out, value, length)
  return Uint8Array.from(out)
}

/** Encoded entries, in the order of their bytes, none twice. */
function entireBody(entries: readonly Uint8Array[]): readonly Uint8Array[] {
  const sorted = [...entries].sort(byBytes)
  const single = sorted.filter((entry, at) => at === 0 || byBytes(sorted[at - 1] ?? entry, entry) !== 0)
  const bytes = single.reduce((sum, entry) => sum + entry.length, 0)
  return [numberBytes(bytes, 4), concat(single)]
}

/**
 * What is signed of a list: everything but the signature, in its one form.
 *
 * @param content - The encoded entries, or what stands for them.
 */
export function encodeUnsigned(
  list: ListHead,
  content: readonly Uint8Array[] | PartDigests,
  signerChain: readonly Uint8Array[],
  algorithm: SignatureAlgorithm,
): Uint8Array<ArrayBuffer> {
  const inParts = 'digests' in content
  const head: number[] = [...MAGIC, inParts ? IN_PARTS : ENTIRE, list.clusterId.length]
  for (let at = 0; at < list.clusterId.length; at += 1) head.push(list.clusterId.charCodeAt(at))
  pushNumber(head, list.sequence, 6)
  pushNumber(head, list.base, 6)
  pushNumber(head, list.issuedAt / SECOND_MS, 5)
  pushNumber(head, list.validUntil / SECOND_MS, 5)
  head.push(signerChain.length)
  return concat([
    Uint8Array.from(head),
    ...signerChain.flatMap((der) => [numberBytes(der.length, 3), der]),
    ...(inParts ? [encodePartDigests(content)] : entireBody(content)),
    Uint8Array.of(ALGORITHMS.indexOf(algorithm)),
  ])
}

/** The bytes to sign for {@link encodeUnsigned}. */
export const signedBytes = (unsigned: Uint8Array): Uint8Array<ArrayBuffer> => concat([CONTEXT, unsigned])

/** The finished list. */
export const appendSignature = (unsigned: Uint8Array, signature: Uint8Array): Uint8Array<ArrayBuffer> =>
  concat([unsigned, numberBytes(signature.length, 2), signature])

function readClusterId(cursor: Cursor): ClusterId {
  const length = readNumber(cursor, 1)
  const start = skip(cursor, length)
  try {
    return parseClusterId(String.fromCharCode(...cursor.bytes.subarray(start, cursor.at)))
  } catch {
    throw malformed('names no cluster')
  }
}

function readForm(cursor: Cursor): number {
  for (const byte of MAGIC) if (readNumber(cursor, 1) !== byte) throw malformed('has another form than this one')
  const form = readNumber(cursor, 1)
  if (form !== ENTIRE && form !== IN_PARTS) throw malformed('has another form than this one')
  return form
}

function readHead(cursor: Cursor): ListHead {
  const clusterId = readClusterId(cursor)
  const sequence = readNumber(cursor, 6)
  const base = readNumber(cursor, 6)
  const issuedAt = readNumber(cursor, 5) * SECOND_MS
  const validUntil = readNumber(cursor, 5) * SECOND_MS
  if (base > sequence) throw malformed('continues a number that comes after its own')
  if (validUntil < issuedAt || validUntil - issuedAt > MAX_EVICTION_LIST_LIFE_MS)
    throw malformed('is valid for no time or for too long')
  return { clusterId, sequence, base, issuedAt, validUntil }
}

function readChain(cursor: Cursor): readonly Uint8Array<ArrayBuffer>[] {
  const count = readNumber(cursor, 1)
  if (count > MAX_CHAIN_CERTIFICATES) throw malformed('names too many certificates of its signer')
  return Array.from({ length: count }, () => {
    const length = readNumber(cursor, 3)
    if (length > MAX_CERTIFICATE_BYTES) throw malformed('has a certificate that is too large')
    const start = skip(cursor, length)
    return new Uint8Array(cursor.bytes.subarray(start, cursor.at))
  })
}

function readEntire(cursor: Cursor): Uint8Array {
  const start = skip(cursor, readNumber(cursor, 4))
  return cursor.bytes.subarray(start, cursor.at)
}

/** Reads the entries of a list that holds them; ask after the signature was checked. */
export function readEntries(bytes: Uint8Array): readonly Eviction[] {
  const cursor: Cursor = { bytes, at: 0 }
  const evictions: Eviction[] = []
  let last: Uint8Array | null = null
  while (cursor.at < bytes.length) {
    const start = cursor.at
    if (evictions.length === MAX_EVICTIONS) throw malformed('has too many entries')
    evictions.push(readEviction(cursor))
    const encoded = bytes.subarray(start, cursor.at)
    if (last !== null && byBytes(last, encoded) >= 0) throw malformed('is not in order, or says the same twice')
    last = encoded
  }
  return evictions
}

/**
 * Reads the form of a signed list; its entries only when they are asked for.
 *
 * @throws {@link IdentityError} `EVICTION_LIST_TOO_LARGE` beyond {@link MAX_EVICTION_LIST_BYTES}, `EVICTION_LIST_MALFORMED`.
 */
export function readSignedList(bytes: Uint8Array): SignedParts {
  if (bytes.length > MAX_EVICTION_LIST_BYTES) {
    throw new IdentityError(
      'EVICTION_LIST_TOO_LARGE',
      `eviction list is larger than ${MAX_EVICTION_LIST_BYTES} bytes; no manager of this form makes such a list`,
    )
  }
  const cursor: Cursor = { bytes, at: 0 }
  const form = readForm(cursor)
  const head = readHead(cursor)
  const signerChain = readChain(cursor)
  const content = form === IN_PARTS ? readPartDigests(cursor) : readEntire(cursor)
  const algorithm = ALGORITHMS[readNumber(cursor, 1)]
  if (algorithm === undefined) throw malformed('names a signature algorithm that does not exist')
  const end = cursor.at
  const signatureLength = readNumber(cursor, 2)
  if (signatureLength > MAX_SIGNATURE_BYTES) throw malformed('has a signature that is too long')
  const signatureAt = skip(cursor, signatureLength)
  if (cursor.at !== bytes.length) throw malformed('has something behind its signature')
  return {
    head,
    signerChain,
    algorithm,
    signed: signedBytes(bytes.subarray(0, end)),
    signature: new Uint8Array(bytes.subarray(signatureAt, cursor.at)),
    content,
  }
}
