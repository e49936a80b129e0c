import { parseCertificate } from './certificate.ts'
import { IdentityError } from './errors.ts'
import { allowShortLifetime } from './issue.ts'
import { MIN_LIFETIME_MS } from './lifetime.ts'
import type { ClusterId } from './node-identity.ts'
import type { Decider } from './ports.ts'

/** A root of the cluster. */
export interface AuthorityRoot {
  /** PEM of the self-signed certificate. */
  readonly certificate: string
  /** PKCS #8 DER, to be kept in a sealed log only; `null` when the key is somewhere else (an HSM, an external CA). */
  readonly privateKey: Uint8Array | null
}

/** Which authority issues for the cluster, and under which settings. */
export type AuthorityState =
  | { readonly phase: 'unfounded' }
  | {
      readonly phase: 'stable'
      readonly clusterId: ClusterId
      readonly foundedAt: number
      /** The roots that nodes trust, the one that issues first. */
      readonly roots: readonly [AuthorityRoot]
      /** Lifetime of the node certificates that are issued from now on, in milliseconds. */
      readonly lifetimeMs: number
    }

/** What may be asked of the authority's life. */
export type AuthorityCommand =
  /** Makes the cluster, once. */
  | {
      readonly type: 'found'
      readonly clusterId: ClusterId
      readonly certificate: string
      readonly privateKey: Uint8Array | null
      readonly lifetimeMs: number
      readonly now: number
      /** **Warning**: see {@link allowShortLifetime}. */
      readonly [allowShortLifetime]?: true
    }
  /** Acts on what is issued from now on. */
  | {
      readonly type: 'set-lifetime'
      readonly lifetimeMs: number
      /** **Warning**: see {@link allowShortLifetime}. */
      readonly [allowShortLifetime]?: true
    }

/** What happened to the authority. `authority-founded` holds a private key: keep it in a sealed log. */
export type AuthorityEvent =
  | {
      readonly type: 'authority-founded'
      readonly clusterId: ClusterId
      readonly certificate: string
      readonly privateKey: Uint8Array | null
      readonly lifetimeMs: number
      readonly at: number
    }
  | { readonly type: 'lifetime-set'; readonly lifetimeMs: number }

function checkLifetime(lifetimeMs: number, shortest: number, certificate: string): void {
  if (!Number.isSafeInteger(lifetimeMs) || lifetimeMs <= 0)
    throw new RangeError('a lifetime is a positive whole number of milliseconds')
  if (lifetimeMs < shortest) {
    throw new IdentityError(
      'LIFETIME_TOO_SHORT',
      `node certificates live at least ${shortest} ms; choose a longer lifetime`,
    )
  }
  const root = parseCertificate(certificate)
  if (!root.isCa)
    throw new IdentityError(
      'AUTHORITY_UNFIT',
      'the certificate may not issue others; found the cluster with a root certificate',
    )
  if (lifetimeMs > root.notAfter - root.notBefore) {
    throw new IdentityError(
      'LIFETIME_EXCEEDS_ISSUER',
      'node certificates would outlive every root of this kind; choose a shorter lifetime',
    )
  }
}

const shortestFor = (command: AuthorityCommand): number => (command[allowShortLifetime] === true ? 1 : MIN_LIFETIME_MS)

function decide(state: AuthorityState, command: AuthorityCommand): readonly AuthorityEvent[] {
  switch (command.type) {
    case 'found': {
      if (state.phase !== 'unfounded')
        throw new IdentityError(
          'CLUSTER_EXISTS',
          'this log has a cluster already; found another one in a directory of its own',
        )
      const { clusterId, certificate, privateKey, lifetimeMs, now } = command
      checkLifetime(lifetimeMs, shortestFor(command), certificate)
      // The caller may wipe its copy of the key.
      return [
        {
          type: 'authority-founded',
          clusterId,
          certificate,
          privateKey: privateKey?.slice() ?? null,
          lifetimeMs,
          at: now,
        },
      ]
    }
    case 'set-lifetime': {
      if (state.phase === 'unfounded')
        throw new IdentityError('CLUSTER_MISSING', 'there is no cluster yet; found it first')
      if (state.lifetimeMs === command.lifetimeMs) return []
      checkLifetime(command.lifetimeMs, shortestFor(command), state.roots[0].certificate)
      return [{ type: 'lifetime-set', lifetimeMs: command.lifetimeMs }]
    }
  }
}

function evolve(state: AuthorityState, event: AuthorityEvent): AuthorityState {
  switch (event.type) {
    case 'authority-founded': {
      const { clusterId, certificate, privateKey, lifetimeMs, at } = event
      return { phase: 'stable', clusterId, foundedAt: at, roots: [{ certificate, privateKey }], lifetimeMs }
    }
    case 'lifetime-set':
      return state.phase === 'stable' ? { ...state, lifetimeMs: event.lifetimeMs } : state
  }
}

/**
 * The life of the cluster's authority, as a decider: founded once, then its settings.
 *
 * The refusals of `decide` are {@link IdentityError}s: `CLUSTER_EXISTS`, `CLUSTER_MISSING`, `LIFETIME_TOO_SHORT` under one hour,
 * `LIFETIME_EXCEEDS_ISSUER` over the whole life of the root, `AUTHORITY_UNFIT` for a certificate that is no CA, and those
 * of reading the certificate.
 */
export const authorityLife: Decider<AuthorityState, AuthorityCommand, AuthorityEvent> = {
  initial: { phase: 'unfounded' },
  decide,
  evolve,
}

/** The fewest events that lead to `state`, for a snapshot. The first one holds the private key. */
export function authorityEvents(state: AuthorityState): readonly AuthorityEvent[] {
  if (state.phase === 'unfounded') return []
  const { clusterId, foundedAt, lifetimeMs, roots } = state
  return [{ type: 'authority-founded', clusterId, ...roots[0], lifetimeMs, at: foundedAt }]
}
