import { canSign, signatureAlgorithmOf } from '../algorithms.ts'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { isWithin } from '../certificate/validity.ts'
import { IdentityError } from '../errors.ts'
import { MAX_BACKDATE_MS } from '../issuing/lifetime.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { SignatureVerifier, Signer } from '../ports.ts'
import { MAX_CHAIN_CERTIFICATES } from '../verifying/chain.ts'
import { verifyPeer } from '../verifying/verify.ts'
import { MAX_EVICTIONS } from './eviction-book.ts'
import { checkEviction, encodeEviction, malformed } from './eviction-codec.ts'
import { evictionHitting } from './eviction-set.ts'
import { type EvictionView, listedIssuers } from './eviction-view.ts'
import {
  appendSignature,
  type EvictionList,
  encodeUnsigned,
  type ListHead,
  MAX_EVICTION_LIST_LIFE_MS,
  readEntries,
  readSignedList,
  type SignedParts,
  signedBytes,
} from './list-codec.ts'
import type { PartDigests } from './list-parts.ts'

/** Who signs a list: a root, or a manager with the chain that it presents. */
export interface ListSigner {
  readonly signer: Signer
  /** The manager's own certificate first; empty when the key is a root's. */
  readonly chain: readonly Certificate[]
}

const isSecond = (ms: number): boolean => Number.isSafeInteger(ms) && ms >= 0 && ms % 1000 === 0
const isSequence = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value < 2 ** 48

/**
 * Signs a list, whole or what came since a number, and gives the bytes to push to every peer.
 *
 * @throws RangeError if a number or instant cannot be written, the list is valid for longer than {@link MAX_EVICTION_LIST_LIFE_MS},
 * or there are too many evictions.
 */
export async function signEvictionList(list: EvictionList, by: ListSigner): Promise<Uint8Array<ArrayBuffer>> {
  const { evictions } = list
  if (evictions.length > MAX_EVICTIONS) throw new RangeError(`an eviction list has at most ${MAX_EVICTIONS} entries`)
  for (const eviction of evictions) checkEviction(eviction)
  return await signList(list, evictions.map(encodeEviction), by)
}

/**
 * Signs a list of which only the head is left to look at.
 *
 * @param content - The encoded entries, or the digests of the parts that hold them.
 * @throws RangeError as {@link signEvictionList}.
 */
export async function signList(
  list: ListHead,
  content: readonly Uint8Array[] | PartDigests,
  by: ListSigner,
): Promise<Uint8Array<ArrayBuffer>> {
  const { sequence, base, issuedAt, validUntil } = list
  if (!isSequence(sequence) || !isSequence(base) || base > sequence)
    throw new RangeError('sequence and base must be whole numbers under 2^48, base no larger than sequence')
  if (!isSecond(issuedAt) || !isSecond(validUntil) || validUntil < issuedAt)
    throw new RangeError('issuedAt and validUntil must be whole seconds, one after the other')
  if (validUntil - issuedAt > MAX_EVICTION_LIST_LIFE_MS)
    throw new RangeError(`an eviction list is valid for at most ${MAX_EVICTION_LIST_LIFE_MS} ms`)
  if (by.chain.length > MAX_CHAIN_CERTIFICATES)
    throw new RangeError(`the chain of a signer has at most ${MAX_CHAIN_CERTIFICATES} certificates`)
  const algorithm = signatureAlgorithmOf(by.signer.keyType)
  const unsigned = encodeUnsigned(
    list,
    content,
    by.chain.map(({ der }) => der),
    algorithm,
  )
  return appendSignature(unsigned, await by.signer.sign(signedBytes(unsigned)))
}

/** Against what a list is verified. */
export interface VerifyEvictionListOptions {
  readonly roots: readonly Certificate[]
  readonly clusterId: ClusterId
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly verifier: SignatureVerifier
  /** What this peer knows already: a manager that was evicted signs nothing any more. */
  readonly view: EvictionView
}

const untrusted = (problem: string): IdentityError =>
  new IdentityError('EVICTION_LIST_UNTRUSTED', `eviction list ${problem}; ask another manager for its current one`)

/** Whose key must have signed. */
async function signersOf(parts: SignedParts, options: VerifyEvictionListOptions): Promise<readonly Certificate[]> {
  const { roots, now, clusterId, verifier, view } = options
  if (parts.signerChain.length === 0) return roots.filter((root) => isWithin(root, now))
  try {
    const chain = parts.signerChain.map((der) => parseCertificate(der))
    const isRevokedIssuer = listedIssuers({ readView: () => view, now: () => now })
    const peer = await verifyPeer(chain, { roots, now, clusterId, verifier, isRevokedIssuer })
    if (peer.role !== 'manager' || evictionHitting(view.set, peer, now) !== null)
      throw untrusted('is signed by somebody who is no manager, or no longer')
    return chain.slice(0, 1)
  } catch (cause) {
    if (cause instanceof IdentityError && cause.code === 'EVICTION_LIST_UNTRUSTED') throw cause
    throw new IdentityError(
      'EVICTION_LIST_UNTRUSTED',
      'eviction list names a signer who is no node of this cluster now; ask another manager for its current one',
      { cause },
    )
  }
}

/**
 * Proves a list: signed by one of the roots, or by a manager of this cluster that this peer does not know to be evicted, and valid
 * now. The entries are read only after that, so that a stranger's large list costs one look at its head.
 *
 * @returns What {@link withEvictionList} takes.
 * @throws {@link IdentityError} `EVICTION_LIST_TOO_LARGE`, `EVICTION_LIST_MALFORMED` if it is not in the one form of such lists,
 * `EVICTION_LIST_WRONG_CLUSTER`, `EVICTION_LIST_UNTRUSTED` if nobody entitled signed it, `EVICTION_LIST_NOT_YET_VALID` if it
 * says that it was made more than an hour from now, `EVICTION_LIST_EXPIRED`.
 */
export async function verifyEvictionList(bytes: Uint8Array, options: VerifyEvictionListOptions): Promise<EvictionList> {
  const { head, content } = await proveList(bytes, options)
  if (!(content instanceof Uint8Array)) throw malformed('comes in several parts, of which this is the head')
  return { ...head, evictions: readEntries(content) }
}

/** Proves a list of either form, and reads no entries. Throws as {@link verifyEvictionList}. */
export async function proveList(bytes: Uint8Array, options: VerifyEvictionListOptions): Promise<SignedParts> {
  const parts = readSignedList(Uint8Array.from(bytes))
  if (parts.head.clusterId !== options.clusterId) {
    throw new IdentityError(
      'EVICTION_LIST_WRONG_CLUSTER',
      'eviction list is of another cluster; ask a manager of this one',
    )
  }
  let proven = false
  for (const signer of await signersOf(parts, options)) {
    if (!canSign(signer.keyType, parts.algorithm)) continue
    proven ||= await options.verifier.verify(signer, parts.algorithm, parts.signed, parts.signature)
  }
  if (!proven) throw untrusted('is not signed by whom it names')
  // Clocks differ by as much as certificates are backdated for; beyond that, its end would say nothing of how fresh it is.
  if (parts.head.issuedAt - options.now > MAX_BACKDATE_MS) {
    throw new IdentityError(
      'EVICTION_LIST_NOT_YET_VALID',
      'eviction list is from the future; compare the clocks, or ask another manager for its current one',
    )
  }
  if (options.now > parts.head.validUntil) {
    throw new IdentityError('EVICTION_LIST_EXPIRED', 'eviction list has ended; ask a manager for its current one')
  }
  return parts
}
