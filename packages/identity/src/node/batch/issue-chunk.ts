import type { Authority } from '../../authority.ts'
import { parseCsr } from '../../csr.ts'
import { allowShortLifetime, issueCertificate } from '../../issue.ts'
import { SERIAL_BYTES } from '../../leaf-template.ts'
import { systemVerifier } from '../signer.ts'
import { systemDigest } from '../system.ts'
import { type IssueChunk, type IssueItem, type IssueOutcome, type IssueOutcomes, refusalOf } from './issue-message.ts'

async function issueItem(
  authority: Authority,
  { csr, grant, short }: IssueItem,
  serial: Uint8Array<ArrayBuffer>,
  now: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const granted = short ? ({ ...grant, [allowShortLifetime]: true } as const) : grant
  const options = { random: { bytes: () => serial }, now, verifier: systemVerifier, digest: systemDigest }
  return (await issueCertificate(authority, parseCsr(csr), granted, options)).der
}

/** Issues the items of a chunk, in their order, by the one path that there is: {@link parseCsr} and {@link issueCertificate}. */
export async function issueChunk(authority: Authority, chunk: IssueChunk): Promise<IssueOutcomes> {
  const each: IssueOutcome[] = []
  const issued: Uint8Array[] = []
  for (const [index, item] of chunk.items.entries()) {
    const serial = new Uint8Array(chunk.serials.subarray(index * SERIAL_BYTES, (index + 1) * SERIAL_BYTES))
    try {
      const der = await issueItem(authority, item, serial, chunk.now)
      issued.push(der)
      each.push(der.length)
    } catch (error) {
      each.push(refusalOf(error))
    }
  }
  const certificates = new Uint8Array(issued.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const der of issued) {
    certificates.set(der, at)
    at += der.length
  }
  return { each, certificates }
}
