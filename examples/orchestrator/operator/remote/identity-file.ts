import { createPrivateKey } from 'node:crypto'
import { closeSync, lstatSync, openSync, readFileSync, writeSync } from 'node:fs'
import { createCsr, formatCertificateChain, parseCertificate } from '@leastwise/identity'
import { createNodeKey, exportPrivateKey, type TlsIdentity } from '@leastwise/identity/node'
import { codeOf, OrchestratorError } from '../../errors.ts'

/** Key, certificate and two roots have less than 8 KiB. */
const MAX_FILE_BYTES = 64 * 1024
const CERTIFICATE = /-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n/g
const KEY = /-----BEGIN PRIVATE KEY-----\n[A-Za-z0-9+/=\n]+-----END PRIVATE KEY-----\n/g

const unfit = (problem: string): OrchestratorError =>
  new OrchestratorError('OPERATOR_IDENTITY_UNFIT', `the identity file ${problem}`)

/**
 * Makes a key for an operator, in a new file that only its owner can read.
 *
 * @returns PEM of the request, for a manager to sign.
 */
export async function createIdentityFile(path: string): Promise<string> {
  const key = createNodeKey()
  const pem = createPrivateKey({ key: Buffer.from(exportPrivateKey(key)), format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString()
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (cause) {
    throw new OrchestratorError(
      'OPERATOR_IDENTITY_UNFIT',
      codeOf(cause) === 'EEXIST'
        ? 'the identity file exists already; name a new one'
        : 'the identity file cannot be made there; name another place',
      { cause },
    )
  }
  try {
    writeSync(file, pem)
  } finally {
    closeSync(file)
  }
  return (await createCsr(key)).pem
}

/**
 * Reads a file with an operator's key and, behind it, what `operator issue` printed for it.
 *
 * @throws OrchestratorError `OPERATOR_IDENTITY_UNFIT`
 */
export function readIdentityFile(path: string, now: number): TlsIdentity {
  let text: string
  try {
    const { mode, size } = lstatSync(path)
    if ((mode & 0o077) !== 0) throw unfit('can be read by others; run chmod 600 on it')
    if (size > MAX_FILE_BYTES) throw unfit('is too large to be meant')
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw error instanceof OrchestratorError ? error : unfit('cannot be read; name the one that operator request made')
  }
  const [key, ...more] = text.match(KEY) ?? []
  if (key === undefined || more.length > 0)
    throw unfit('holds no private key, or several; make one with operator request')
  const certificates = (text.match(CERTIFICATE) ?? []).map((pem) => parseCertificate(pem))
  const [leaf, ...roots] = certificates
  if (leaf === undefined || leaf.isCa || roots.length === 0 || !roots.every(({ isCa }) => isCa))
    throw unfit('lacks the certificates; append what operator issue printed for it')
  if (leaf.notAfter < now)
    throw unfit('has a certificate that has ended; ask for a new one with a new operator request')
  let privateKey: Uint8Array
  try {
    privateKey = Uint8Array.from(createPrivateKey(key).export({ format: 'der', type: 'pkcs8' }))
  } catch {
    // No cause: it may quote the key.
    throw unfit('holds a damaged private key; make a new one with operator request')
  }
  const trustBundle = roots.map(({ pem }) => pem).join('')
  return { privateKey, certificateChain: formatCertificateChain([leaf]), trustBundle }
}
