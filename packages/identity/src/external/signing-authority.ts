import type { Certificate } from '../certificate/certificate.ts'
import type { Authority } from '../issuing/authority.ts'
import type { Csr } from '../issuing/csr.ts'
import { type Grant, type IssueOptions, issueCertificate } from '../issuing/issue.ts'

/** When, and for how long the caller waits. */
export interface SigningOptions {
  /** The present, epoch milliseconds. */
  readonly now: number
  readonly signal: AbortSignal
}

/**
 * Who issues for the cluster: a key at hand, or somebody else who is asked. A host that has this port does not know which.
 *
 * `issue` rejects with the signal's reason when the signal fires, with `CSR_SIGNATURE_INVALID`, `LIFETIME_TOO_SHORT` or `LIFETIME_EXCEEDS_ISSUER` as
 * {@link issueCertificate} does, and whoever asks somebody else adds codes of his own.
 */
export interface SigningAuthority {
  /** What a node presents behind its leaf, lowest first. */
  readonly intermediates: readonly Certificate[]
  /** Issues a node's certificate: the request gives the public key, the grant everything else. */
  readonly issue: (csr: Csr, grant: Grant, options: SigningOptions) => Promise<Certificate>
}

/** What issuing with a key at hand needs. */
export type LocalAuthorityOptions = Omit<IssueOptions, 'now'>

/** An authority whose key is at hand, as a {@link SigningAuthority}. */
export const localAuthority = (authority: Authority, options: LocalAuthorityOptions): SigningAuthority => ({
  intermediates: authority.intermediates,
  issue: async (csr, grant, { now, signal }) => {
    signal.throwIfAborted()
    return await issueCertificate(authority, csr, grant, { ...options, now })
  },
})
