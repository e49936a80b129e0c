import { type Authority, type IssuingParts, openAuthority, type Signer } from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../../errors.ts'
import type { RootKeeper } from './root-keeper.ts'

/** Whether this manager can sign with the key that issues now; an external CA signs certificates of nodes, and nothing with it. */
export const hasRootKey = ({ privateKey }: IssuingParts, keeper: RootKeeper | null): boolean =>
  privateKey !== null || (keeper?.signer ?? null) !== null

/**
 * What issues now, as an authority over the key itself.
 *
 * @throws OrchestratorError `ROOT_KEY_OUTSIDE` if this manager has not the key, nor the token that it names.
 */
export async function rootAtHand(
  { certificate, privateKey, intermediates }: IssuingParts,
  keeper: RootKeeper | null,
): Promise<Authority> {
  let signer: Signer
  if (privateKey !== null) signer = openSigner(privateKey)
  else if (keeper?.signer) signer = await keeper.signer(certificate)
  else throw rootElsewhere()
  return await openAuthority({ certificate, signer, intermediates }, { verifier: systemVerifier })
}

export const rootElsewhere = (): OrchestratorError =>
  new OrchestratorError(
    'ROOT_KEY_OUTSIDE',
    'this manager has not the key of the root; whoever has it must be there, and does this by itself',
  )
