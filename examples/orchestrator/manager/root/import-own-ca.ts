import { type AuthorityRoot, importAuthority, parseCertificateChain } from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import type { OwnCa } from '../../own-ca.ts'

/** A root whose key, or that of an intermediate below it, is at hand and goes into the log. */
export interface KeptRoot extends AuthorityRoot {
  readonly privateKey: Uint8Array
}

/**
 * Checks a CA that the operator brought along, before anything hangs on it.
 *
 * @throws IdentityError when certificates or key do not fit, each with its code.
 */
export async function importOwnCa(
  { certificates, privateKey }: OwnCa & { readonly privateKey: Uint8Array },
  { now, lifetimeMs }: { readonly now: number; readonly lifetimeMs: number },
): Promise<KeptRoot> {
  const chain = parseCertificateChain(certificates).map(({ pem }) => pem)
  const signer = openSigner(privateKey)
  const root = await importAuthority({ chain, signer, privateKey, now, lifetimeMs, verifier: systemVerifier })
  return { ...root, privateKey }
}
