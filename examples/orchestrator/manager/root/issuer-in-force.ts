import {
  type Authority,
  type FoundedAuthority,
  openAuthority,
  parseCertificate,
  type Signer,
} from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../../errors.ts'
import type { RootKeeper } from './root-keeper.ts'

/**
 * The authority in force, ready to sign what is no certificate of a node.
 *
 * @param instead - What the operator can do when an external CA has its key.
 * @throws OrchestratorError `ROOT_KEY_OUTSIDE` if an external CA has the key, another manager, or the token that is given has not.
 */
export async function issuerInForce(
  { roots: [root] }: FoundedAuthority,
  keeper: RootKeeper | null,
  instead: string,
): Promise<Authority> {
  const intermediates = (root.intermediates ?? []).map((pem) => parseCertificate(pem))
  const certificate = intermediates[0] ?? parseCertificate(root.certificate)
  let signer: Signer
  if (root.privateKey !== null) signer = openSigner(root.privateKey)
  else if (keeper?.signer) signer = await keeper.signer(certificate)
  else
    throw new OrchestratorError(
      'ROOT_KEY_OUTSIDE',
      keeper === null
        ? 'this manager has not the key of the root; ask one that has it'
        : `the key of the root is with an external ca${instead}`,
    )
  return await openAuthority({ certificate, signer, intermediates }, { verifier: systemVerifier })
}
