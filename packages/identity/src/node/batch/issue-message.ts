import type { KeyObject } from 'node:crypto'
import type { IdentityErrorCode } from '../../errors.ts'
import { IdentityError } from '../../errors.ts'
import type { Grant } from '../../issuing/issue.ts'

/** What a thread is given once: the authority, in forms that pass between threads. */
export interface ThreadAuthority {
  readonly key: KeyObject
  /** DER. */
  readonly certificate: Uint8Array
  readonly intermediates: readonly Uint8Array[]
}

/** One certificate to issue, in forms that pass between threads. */
export interface IssueItem {
  /** PEM or DER. */
  readonly csr: string | Uint8Array
  readonly grant: Grant
  /** A symbol does not pass. */
  readonly short: boolean
  readonly now: number
}

/** Some certificates at a time: a message costs as much as a good part of a certificate, and so does every buffer in one. */
export interface IssueChunk {
  readonly id: number
  readonly items: readonly IssueItem[]
  /** Those of all items, one after the other. */
  readonly serials: Uint8Array
}

/** Why there is no certificate for an item. */
export type IssueRefusal =
  | { readonly code: IdentityErrorCode; readonly message: string; readonly retryable: boolean }
  | { readonly mistake: Error }

/** What became of one item: the length of its certificate, or why there is none. */
export type IssueOutcome = number | IssueRefusal

/** What became of a chunk. */
export interface IssueOutcomes {
  readonly each: readonly IssueOutcome[]
  /** DER of the certificates, one after the other. */
  readonly certificates: Uint8Array<ArrayBuffer>
}

export interface IssueAnswer extends IssueOutcomes {
  readonly id: number
}

/** What a port threw, as an error. */
export const errorOf = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new TypeError('a port threw something that is no error')

/** A refusal loses its code on the way between threads, so it goes in parts. */
export function refusalOf(thrown: unknown): IssueRefusal {
  if (thrown instanceof IdentityError) {
    const { code, message, retryable } = thrown
    return { code, message, retryable }
  }
  return { mistake: errorOf(thrown) }
}
