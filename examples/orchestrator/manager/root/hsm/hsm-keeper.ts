import {
  type Certificate,
  type IssuingParts,
  localAuthority,
  openAuthority,
  type Signer,
  type SigningAuthority,
} from '@leastwise/identity'
import { openPkcs11, type Pkcs11Token, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../../../errors.ts'
import type { SigningKeeper } from '../root-keeper.ts'
import type { HsmSettings } from './settings.ts'

/** A token that keeps the keys of this cluster's roots. */
export interface HsmKeeper extends SigningKeeper {
  readonly kind: 'hsm'
}

/**
 * Opens the token; nothing is made in it yet.
 *
 * @throws IdentityError with the `HSM_…` codes.
 */
export async function openHsm({ library, token: label, key, pin }: HsmSettings): Promise<HsmKeeper> {
  const token = await openPkcs11({ library, token: { label }, pin })
  const signer = async (root: Certificate): Promise<Signer> => await keyOf(token, root)
  return {
    kind: 'hsm',
    signer,
    authority: async ({ certificate, intermediates }: IssuingParts): Promise<SigningAuthority> => {
      const parts = { certificate, signer: await signer(certificate), intermediates }
      const authority = await openAuthority(parts, { verifier: systemVerifier })
      return localAuthority(authority, { random: systemRandom, verifier: systemVerifier, digest: systemDigest })
    },
    createSigner: async () => {
      const labels = new Set((await token.listKeys()).map((each) => each.label))
      let number = 1
      while (labels.has(nameOf(key, number))) number += 1
      const signer = await token.createSigner({ label: nameOf(key, number) })
      return {
        signer,
        discard: async () => {
          await token.removeKey(signer.facts.id)
        },
      }
    },
    issueOperator: null,
    proves: null,
    crossSign: null,
    [Symbol.asyncDispose]: async () => {
      await token.close()
    },
  }
}

const nameOf = (key: string, number: number): string => (number === 1 ? key : `${key} ${number}`)

/** By its public half: labels are for people. */
async function keyOf(token: Pkcs11Token, { publicKey }: Certificate): Promise<Signer> {
  for (const { kind, id } of await token.listKeys()) {
    if (kind !== 'signing') continue
    const signer = await token.openSigner({ id })
    if (Buffer.compare(signer.publicKey, publicKey) === 0) return signer
  }
  throw new OrchestratorError(
    'ROOT_KEY_OUTSIDE',
    'the token has no key of the root of this cluster; give the one that the cluster was founded with, or rotated to',
  )
}
