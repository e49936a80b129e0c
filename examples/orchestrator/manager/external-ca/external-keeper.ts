import type { RootKeeper } from '../root-keeper.ts'
import { type OutsideSigner, openExternalCa } from './open-external-ca.ts'

/** An external CA decides itself what it signs, and that is certificates. */
export const externalKeeper = (outside: OutsideSigner): RootKeeper => ({
  kind: 'external-ca',
  authority: async ({ certificate }) => await Promise.resolve(openExternalCa(outside, certificate)),
  signer: null,
  createSigner: null,
})
