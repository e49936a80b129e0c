import type { RotationPlan } from '@leastwise/identity'

/** What a manager answers to its operator. Instants are epoch milliseconds; no secret value is ever among them. */

export interface StatusAnswer {
  /** `read-only` after a write that failed: it answers, and takes nothing more until it is started anew. */
  readonly state: 'locked' | 'read-only' | 'ready' | 'starting'
  readonly clusterId: string
  readonly nodeId: string
  readonly address: string
  readonly pid: number
}

export interface CaAnswer {
  readonly clusterId: string
  readonly subject: string
  readonly fingerprint: string
  readonly trustDigest: string
  readonly notBefore: number
  readonly notAfter: number
  readonly nodeCertificateLifetimeMs: number
  readonly autolock: boolean
  /** Who has the key of the root, as far as this manager knows: elsewhere is with another manager. */
  readonly rootKey: 'elsewhere' | 'external-ca' | 'file' | 'hsm' | 'log'
  /** What this manager signs for workers with. */
  readonly issueFrom: 'intermediate' | 'root'
  /** Null unless an external CA has it. */
  readonly externalCa: {
    readonly addresses: readonly string[]
    /** Requests that this manager could not get signed yet, and the code of the last refusal. */
    readonly putOff: { readonly requests: number; readonly code: string | null }
  } | null
  readonly certificate: string
}

export interface BundleAnswer {
  readonly trustDomain: string
  /** Grows whenever the roots change. */
  readonly sequence: number
  /** SPIFFE JSON. */
  readonly bundle: string
}

/** A manager that issues from an intermediate of its own. */
export interface IssuerAnswer {
  readonly manager: string
  /** Of the newest one; null while the first is being signed. */
  readonly serial: string | null
  readonly notAfter: number | null
  /** Since when it waits for the next one. */
  readonly askedAt: number | null
}

export type RootAnswer = Pick<
  RotationPlan,
  'abort' | 'affected' | 'blockers' | 'converged' | 'etaMs' | 'pacePerSecond' | 'phase' | 'remaining' | 'stragglers'
>

export interface SecretAnswer {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly createdAt: number
  readonly updatedAt: number
  readonly sizeBytes: number
  readonly users: readonly string[]
}

export interface TaskAnswer {
  readonly id: string
  readonly nodeId: string
  readonly command: readonly string[]
  readonly secrets: readonly { readonly name: string; readonly target: string }[]
  readonly state: string
  readonly exitCode: number | null
  readonly message: string
  readonly createdAt: number
}

export interface NodeAnswer {
  readonly id: string
  readonly role: 'manager' | 'worker'
  readonly state: 'disconnected' | 'down' | 'ready' | 'unknown'
  readonly certificate: string
  readonly serial: string
  readonly notAfter: number | null
  readonly admittedAt: number
  readonly thisManager: boolean
}

export interface ClusterSettingsAnswer {
  readonly nodeCertificateLifetimeMs: number
  readonly recoveryGraceMs: number
  /** Nodes with a certificate that ends later than a new one would. */
  readonly overlong: number
}

export interface WaitingNodeAnswer {
  readonly id: string
  readonly role: 'manager' | 'worker'
  /** When its last certificate ended. */
  readonly notAfter: number | null
  readonly askedAt: number
  readonly approvedUntil: number | null
}

export interface ApprovedAnswer {
  readonly id: string
  readonly until: number | null
}

export interface TokenAnswer {
  readonly id: string
  readonly role: 'manager' | 'worker'
  readonly state: string
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly uses: number
  readonly maxUses: number | null
}

/** The only two answers that carry a credential: each is given once, when it is made. */
export interface NewTokenAnswer {
  readonly id: string
  readonly role: 'manager' | 'worker'
  readonly token: string
  readonly expiresAt: number | null
  readonly maxUses: number | null
}

export interface BackupAnswer {
  readonly file: string
  /** Index of the last entry in it. */
  readonly entries: number
  /** In hex. */
  readonly digest: string
}

export interface AutolockAnswer {
  readonly autolock: boolean
  /** Present when a key was made. */
  readonly unlockKey?: string
  /** Code of what keeps the key of before from being taken away yet; the manager goes on trying. */
  readonly oldKeyStays?: string
}

/** What a node is from now on. */
export interface RoleAnswer {
  readonly id: string
  readonly role: 'manager' | 'worker'
  readonly cutSessions: number
}

export interface EvictionsAnswer {
  /** Removed nodes, with the operator's words. */
  readonly nodes: readonly {
    readonly id: string
    readonly reason: string
    readonly at: number
    readonly until: number
  }[]
  /** Certificates by serial number, lower-case hexadecimal, with the reason in the words of RFC 5280. */
  readonly certificates: readonly {
    readonly serial: string
    readonly reason: string
    readonly at: number
    readonly until: number
  }[]
}

export interface CrlAnswer {
  readonly pem: string
  /** The CRL number: it grows with the evictions. */
  readonly number: number
  readonly entries: number
  readonly nextUpdate: number
}

export interface OperatorAnswer {
  readonly id: string
  readonly name: string
  readonly admittedAt: number
  readonly state: 'active' | 'expired' | 'removed'
  /** End of the last certificate. */
  readonly notAfter: number | null
}

/** What an operator needs beside the key, which never left their machine. All of it is public. */
export interface OperatorIdentityAnswer {
  readonly id: string
  readonly name: string
  readonly notAfter: number
  /** PEM. */
  readonly certificate: string
  /** PEM of the roots by which the managers are known. */
  readonly trustBundle: string
}
