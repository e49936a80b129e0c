import type { Certificate, Csr, IssuingParts, OperatorGrant, Signer, SigningAuthority } from '@leastwise/identity'

/** Whoever has the key of the root when the log has none. */
export interface RootKeeper {
  readonly kind: 'external-ca' | 'file' | 'hsm'
  /** What signs certificates of nodes. */
  readonly authority: (parts: IssuingParts) => Promise<SigningAuthority>
  /** Has a root sign the certificate of an operator; null where {@link signer} can do that. */
  readonly issueOperator:
    | ((
        root: Certificate,
        csr: Csr,
        grant: OperatorGrant,
        options: { readonly now: number; readonly signal: AbortSignal },
      ) => Promise<Certificate>)
    | null
  /** The key of a root, for what is no certificate of a node; null with a keeper that signs nothing else. */
  readonly signer: ((root: Certificate) => Promise<Signer>) | null
  /** Makes a key for a new root and keeps it; null with a keeper that makes none. */
  readonly createSigner: (() => Promise<KeptSigner>) | null
  /** Has something signed that is nobody's, to see that the keeper has the key of this root; null with a keeper that shows it otherwise. */
  readonly proves:
    | ((
        root: Certificate,
        options: { readonly now: number; readonly lifetimeMs: number; readonly signal: AbortSignal },
      ) => Promise<void>)
    | null
  /** Has a new root signed by the one in force; null where {@link signer} can do that. */
  readonly crossSign:
    | ((
        inForce: Certificate,
        next: {
          readonly root: Certificate
          readonly signer: Signer
          readonly now: number
          readonly signal: AbortSignal
        },
      ) => Promise<Certificate>)
    | null
}

/** A keeper whose keys sign whatever this manager wants to have signed. */
export interface SigningKeeper extends RootKeeper, AsyncDisposable {
  readonly signer: (root: Certificate) => Promise<Signer>
  readonly createSigner: () => Promise<KeptSigner>
}

/** A new key with its keeper. */
export interface KeptSigner {
  readonly signer: Signer
  /** Removes it again, when nothing came of what it was made for. */
  readonly discard: () => Promise<void>
}
