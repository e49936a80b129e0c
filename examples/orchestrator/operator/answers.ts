/** What a manager answers to its operator. Instants are epoch milliseconds; no secret value is ever among them. */

export interface StatusAnswer {
  readonly state: 'locked' | 'ready' | 'starting'
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
  readonly certificate: string
}

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

export interface AutolockAnswer {
  readonly autolock: boolean
  /** Present when a key was made. */
  readonly unlockKey?: string
}
