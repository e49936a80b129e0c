import { parseCertificateChain, parseCsr, parseNodeSubject } from '@leastwise/identity'
import { clearWrapper, type KeyFile } from '@leastwise/identity/node'
import type { NodeCredentials } from '@leastwise/swarm'
import type { PendingKey } from '@leastwise/swarm/node'
import { OrchestratorError } from '../errors.ts'

const utf8 = new TextEncoder()
const text = new TextDecoder('utf-8')

/** What the key file holds, as the agent wants it; null when this node has not joined yet. */
export async function loadCredentials(file: KeyFile): Promise<NodeCredentials | null> {
  const content = await file.load(clearWrapper)
  if (content === null) return null
  const { privateKey, certificateChain, trustBundle } = content
  const leaf = certificateChain === null ? undefined : parseCertificateChain(certificateChain)[0]
  if (leaf === undefined || certificateChain === null) {
    throw new OrchestratorError(
      'JOURNAL_UNREADABLE',
      'the key file holds no certificate; remove it and join again with a token',
    )
  }
  const { nodeId, clusterId, role } = parseNodeSubject(leaf.subject)
  const { notBefore, notAfter } = leaf
  return {
    nodeId,
    clusterId,
    role,
    privateKey,
    certificateChain,
    trustBundle: utf8.encode(trustBundle),
    notBefore,
    notAfter,
  }
}

/** Durable when it resolves. */
export async function saveCredentials(
  file: KeyFile,
  { privateKey, certificateChain, trustBundle }: NodeCredentials,
): Promise<void> {
  await file.save({ privateKey, certificateChain, trustBundle: text.decode(trustBundle), companion: {} }, clearWrapper)
}

/** A key that the node asks for its identity with, after its certificate has expired; null when none was kept. */
export async function loadRecoveryKey(file: KeyFile): Promise<PendingKey | null> {
  const content = await file.load(clearWrapper)
  const csr = content?.companion['request']
  if (content === null || csr === undefined) return null
  return { privateKey: content.privateKey, publicKey: parseCsr(csr).publicKey, csr }
}

/** Durable when it resolves. */
export async function saveRecoveryKey(file: KeyFile, { privateKey, csr }: PendingKey): Promise<void> {
  await file.save({ privateKey, certificateChain: null, trustBundle: '', companion: { request: csr } }, clearWrapper)
}

export const serialOf = ({ certificateChain }: NodeCredentials): string =>
  parseCertificateChain(certificateChain)[0]?.serial ?? ''
