import { parentPort, workerData } from 'node:worker_threads'
import { parseCertificate } from '../../certificate/certificate.ts'
import { openAuthority } from '../../issuing/authority.ts'
import { signerOfKey, systemVerifier } from '../signer.ts'
import { issueChunk } from './issue-chunk.ts'
import type { IssueAnswer, IssueChunk, ThreadAuthority } from './issue-message.ts'

// The entry of a thread that issues: it opens the authority as any host does, then answers chunk after chunk.
const { key, certificate, intermediates } = workerData as ThreadAuthority
const authority = await openAuthority(
  {
    certificate: parseCertificate(certificate),
    signer: signerOfKey(key),
    intermediates: intermediates.map((each) => parseCertificate(each)),
  },
  { verifier: systemVerifier },
)

parentPort?.on('message', (chunk: IssueChunk) => {
  void issueChunk(authority, chunk).then((outcomes) => {
    const answer: IssueAnswer = { id: chunk.id, ...outcomes }
    parentPort?.postMessage(answer, [answer.certificates.buffer])
  })
})
