import { type Certificate, ownCertificate } from '../../certificate/certificate.ts'
import { IdentityError } from '../../errors.ts'
import type { Authority } from '../../issuing/authority.ts'
import { parseCsr } from '../../issuing/csr.ts'
import { allowShortLifetime, issueCertificate } from '../../issuing/issue.ts'
import { SERIAL_BYTES } from '../../issuing/leaf-template.ts'
import { systemVerifier } from '../signer.ts'
import { systemDigest } from '../system.ts'
import { type BatchRequest, type BatchResult, type Share, serialsOf } from './batch.ts'
import { type IssueChunk, type IssueItem, type IssueOutcome, type IssueOutcomes, refusalOf } from './issue-message.ts'

/** Issues one request by the one path that there is: {@link parseCsr} and {@link issueCertificate}. */
export async function issueRequest(
  authority: Authority,
  { csr, grant }: BatchRequest,
  serial: Uint8Array<ArrayBuffer>,
  now: number,
): Promise<Certificate> {
  const options = { random: { bytes: () => serial }, now, verifier: systemVerifier, digest: systemDigest }
  return await issueCertificate(authority, parseCsr(csr), grant, options)
}

const itemOf = ({ csr, grant }: BatchRequest, now: number): IssueItem => ({
  // A view would take all of its buffer with it.
  csr: typeof csr === 'string' ? csr : new Uint8Array(csr),
  grant,
  short: grant[allowShortLifetime] === true,
  now,
})

/** Requests of any number of batches as one message. */
export function chunkOf(id: number, shares: readonly Share[]): IssueChunk {
  const items = shares.flatMap(({ batch, from, to }) =>
    batch.requests.slice(from, to).map((request) => itemOf(request, batch.now)),
  )
  const serials = new Uint8Array(items.length * SERIAL_BYTES)
  let at = 0
  for (const share of shares) {
    const each = serialsOf(share)
    serials.set(each, at)
    at += each.length
  }
  return { id, items, serials }
}

/** Issues the items of a chunk, in their order. */
export async function issueChunk(authority: Authority, { items, serials }: IssueChunk): Promise<IssueOutcomes> {
  const each: IssueOutcome[] = []
  const issued: Uint8Array[] = []
  let length = 0
  for (const [index, { csr, grant, short, now }] of items.entries()) {
    const serial = new Uint8Array(serials.subarray(index * SERIAL_BYTES, (index + 1) * SERIAL_BYTES))
    const granted = short ? ({ ...grant, [allowShortLifetime]: true } as const) : grant
    try {
      const { der } = await issueRequest(authority, { csr, grant: granted }, serial, now)
      issued.push(der)
      each.push(der.length)
      length += der.length
    } catch (error) {
      each.push(refusalOf(error))
    }
  }
  const certificates = new Uint8Array(length)
  let at = 0
  for (const der of issued) {
    certificates.set(der, at)
    at += der.length
  }
  return { each, certificates }
}

/** What became of each item of a chunk, as the caller of the batch is told. */
export function* resultsOf({ each, certificates }: IssueOutcomes): Generator<BatchResult, void, void> {
  let at = 0
  for (const outcome of each) {
    if (typeof outcome === 'number') {
      yield { certificate: ownCertificate(certificates.subarray(at, at + outcome)) }
      at += outcome
    } else if ('mistake' in outcome) {
      yield { error: outcome.mistake }
    } else {
      const { code, message, retryable } = outcome
      yield { error: new IdentityError(code, message, { retryable }) }
    }
  }
}
