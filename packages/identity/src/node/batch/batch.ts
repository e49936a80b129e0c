import type { Certificate } from '../../certificate/certificate.ts'
import type { Grant } from '../../issuing/issue.ts'
import { SERIAL_BYTES } from '../../issuing/leaf-template.ts'
import type { RandomSource } from '../../ports.ts'

/** One certificate of a batch. */
export interface BatchRequest {
  /** A request as PEM or DER, as {@link parseCsr} takes it. */
  readonly csr: string | Uint8Array
  readonly grant: Grant
}

/** What became of one request: its certificate, or the error that {@link parseCsr} or {@link issueCertificate} gave. */
export type BatchResult =
  | { readonly certificate: Certificate; readonly error?: undefined }
  | { readonly error: Error; readonly certificate?: undefined }

/** What one call asks for, and what became of it so far. */
export interface Batch {
  readonly requests: readonly BatchRequest[]
  readonly now: number
  readonly signal: AbortSignal
  /** Those of all requests, one after the other. */
  readonly serials: Uint8Array<ArrayBuffer>
  /** One for each request, at its place, once it is there. */
  readonly results: BatchResult[]
  /** How many requests nothing has become of. */
  open: number
  /** Nothing is open any more. */
  readonly done: () => void
}

/** Some requests of a batch, one after the other, that are worked on together. */
export interface Share {
  readonly batch: Batch
  readonly from: number
  readonly to: number
}

/** One draw for each, as when they are issued one at a time. */
export function drawSerials(count: number, random: RandomSource): Uint8Array<ArrayBuffer> {
  const serials = new Uint8Array(count * SERIAL_BYTES)
  for (let index = 0; index < count; index += 1) {
    const serial = random.bytes(SERIAL_BYTES)
    if (serial.length !== SERIAL_BYTES)
      throw new RangeError(`random source gave ${serial.length} bytes instead of ${SERIAL_BYTES}`)
    serials.set(serial, index * SERIAL_BYTES)
  }
  return serials
}

/** The serial numbers of a share, as a view. */
export const serialsOf = ({ batch, from, to }: Share): Uint8Array<ArrayBuffer> =>
  batch.serials.subarray(from * SERIAL_BYTES, to * SERIAL_BYTES)

/** Puts down what became of each request of a share; `null` when they were not begun and never will be. */
export function settle({ batch, from, to }: Share, results: readonly BatchResult[] | null): void {
  for (const [at, result] of (results ?? []).entries()) batch.results[from + at] = result
  batch.open -= to - from
  if (batch.open === 0) batch.done()
}
