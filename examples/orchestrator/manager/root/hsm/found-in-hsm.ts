import { localAuthority, openAuthority, selfSignedRoot } from '@leastwise/identity'
import { systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import type { FoundingAuthority } from '../../founding/genesis.ts'
import type { HsmKeeper } from './hsm-keeper.ts'

/** A root of a new cluster, whose key is made in the token and stays there. */
export async function foundInHsm(hsm: HsmKeeper, { now }: { readonly now: number }): Promise<FoundingAuthority> {
  const { signer, discard } = await hsm.createSigner()
  const options = { random: systemRandom, verifier: systemVerifier, digest: systemDigest }
  const root = await selfSignedRoot(signer, { now, ...options })
  const authority = await openAuthority({ certificate: root, signer }, options)
  return { root, privateKey: null, intermediates: [], signing: localAuthority(authority, options), discard }
}
