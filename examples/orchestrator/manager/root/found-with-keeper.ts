import { localAuthority, openAuthority, selfSignedRoot } from '@leastwise/identity'
import { systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import type { FoundingAuthority } from '../founding/genesis.ts'
import type { SigningKeeper } from './root-keeper.ts'

/** A root of a new cluster, whose key is made with its keeper and stays there. */
export async function foundWithKeeper(
  keeper: SigningKeeper,
  { now }: { readonly now: number },
): Promise<FoundingAuthority> {
  const { signer, discard } = await keeper.createSigner()
  const options = { random: systemRandom, verifier: systemVerifier, digest: systemDigest }
  try {
    const root = await selfSignedRoot(signer, { now, ...options })
    const authority = await openAuthority({ certificate: root, signer }, options)
    return { root, privateKey: null, intermediates: [], signing: localAuthority(authority, options), discard }
  } catch (error) {
    await discard()
    throw error
  }
}
