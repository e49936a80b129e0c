import { createPrivateKey } from 'node:crypto'
import { OrchestratorError } from './errors.ts'
import { namedFile } from './named-file.ts'
import type { Given } from './operator/command.ts'

/** A root, or an intermediate and its root, that the operator brings along. */
export interface OwnCa {
  /** PEM, lowest first. */
  readonly certificates: string
  /** PKCS #8 DER, of the first certificate; null when somebody else has it. */
  readonly privateKey: Uint8Array<ArrayBuffer> | null
}

/** The options that name one, as `docker swarm ca` has them. */
export const ownCaOptions = ['ca-cert', 'ca-key'] as const

/**
 * Reads the files that the options name; null when neither was given.
 *
 * @throws OrchestratorError `USAGE`.
 */
export function ownCaOf(given: Given): OwnCa | null {
  const certificates = namedFile(given, 'ca-cert')
  const key = namedFile(given, 'ca-key')
  if (certificates === null && key === null) return null
  if (certificates === null) throw new OrchestratorError('USAGE', '--ca-key goes with --ca-cert: name its certificate')
  if (key === null) return { certificates, privateKey: null }
  try {
    const privateKey = Uint8Array.from(createPrivateKey(key).export({ format: 'der', type: 'pkcs8' }))
    return { certificates, privateKey }
  } catch {
    // No cause: it may quote the key.
    throw new OrchestratorError('USAGE', '--ca-key names no private key in PEM without a passphrase')
  }
}
