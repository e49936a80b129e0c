import { type Authority, type FoundedAuthority, openAuthority, parseCertificate } from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../errors.ts'

/**
 * The authority in force, ready to sign what is no certificate of a node.
 *
 * @param instead - What the operator can do when the log has no key.
 * @throws OrchestratorError `ROOT_KEY_OUTSIDE` if an external CA has the key.
 */
export async function issuerInLog({ roots }: FoundedAuthority, instead: string): Promise<Authority> {
  const { certificate, privateKey, intermediates = [] } = roots[0]
  if (privateKey === null)
    throw new OrchestratorError('ROOT_KEY_OUTSIDE', `the key of the root is with an external ca${instead}`)
  const signer = openSigner(privateKey)
  const [own = parseCertificate(certificate), ...upper] = intermediates.map((pem) => parseCertificate(pem))
  const parts = { certificate: own, signer, intermediates: intermediates.length === 0 ? [] : [own, ...upper] }
  return await openAuthority(parts, { verifier: systemVerifier })
}
