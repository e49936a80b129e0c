import { parseCertificate } from '../certificate/certificate.ts'
import { IdentityError } from '../errors.ts'
import type { ClusterId } from '../membership/node-identity.ts'
import type { Decider } from '../ports.ts'
import type { FoundedAuthority } from '../rotation/founded.ts'
import { decideRotation } from '../rotation/rotation-decide.ts'
import { evolveRotation } from '../rotation/rotation-evolve.ts'
import type { RotationCommand, RotationEvent } from '../rotation/rotation-messages.ts'
import { rotationHistory } from '../rotation/snapshot.ts'
import { allowShortLifetime } from './issue.ts'
import { MIN_LIFETIME_MS } from './lifetime.ts'

/** Which authority issues for the cluster, and under which settings. */
export type AuthorityState = { readonly phase: 'unfounded' } | FoundedAuthority

/** What may be asked of the authority's life. */
export type AuthorityCommand =
  /** Makes the cluster, once. */
  | {
      readonly type: 'found'
      readonly clusterId: ClusterId
      readonly certificate: string
      readonly privateKey: Uint8Array | null
      /** As in {@link AuthorityRoot}, for an imported intermediate. */
      readonly intermediates?: readonly string[]
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
  | RotationCommand

/** What happened to the authority. `authority-founded` holds a private key: keep it in a sealed log. */
export type AuthorityEvent =
  | {
      readonly type: 'authority-founded'
      readonly clusterId: ClusterId
      readonly certificate: string
      readonly privateKey: Uint8Array | null
      readonly intermediates?: readonly string[]
      readonly lifetimeMs: number
      readonly at: number
    }
  | { readonly type: 'lifetime-set'; readonly lifetimeMs: number }
  | RotationEvent

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

/** What certificates that are issued from now on hang on, PEM. */
const hangingOn = ({ roots, rotation }: FoundedAuthority): readonly string[] => [
  roots[0].certificate,
  ...(rotation?.target ? [rotation.target.root.certificate, rotation.target.crossSigned] : []),
]

const shortestFor = (command: { readonly [allowShortLifetime]?: true }): number =>
  command[allowShortLifetime] === true ? 1 : MIN_LIFETIME_MS

function existing(state: AuthorityState): FoundedAuthority {
  if (state.phase === 'unfounded') throw new IdentityError('CLUSTER_MISSING', 'there is no cluster yet; found it first')
  return state
}

function decide(state: AuthorityState, command: AuthorityCommand): readonly AuthorityEvent[] {
  if (command.type !== 'found' && command.type !== 'set-lifetime') return decideRotation(existing(state), command)
  switch (command.type) {
    case 'found': {
      if (state.phase !== 'unfounded')
        throw new IdentityError(
          'CLUSTER_EXISTS',
          'this log has a cluster already; found another one in a directory of its own',
        )
      const { clusterId, certificate, privateKey, intermediates, lifetimeMs, now } = command
      checkLifetime(lifetimeMs, shortestFor(command), certificate)
      // The caller may wipe its copy of the key.
      return [
        {
          type: 'authority-founded',
          clusterId,
          certificate,
          privateKey: privateKey?.slice() ?? null,
          ...(intermediates === undefined ? {} : { intermediates: [...intermediates] }),
          lifetimeMs,
          at: now,
        },
      ]
    }
    case 'set-lifetime': {
      const founded = existing(state)
      if (founded.lifetimeMs === command.lifetimeMs) return []
      for (const certificate of hangingOn(founded)) checkLifetime(command.lifetimeMs, shortestFor(command), certificate)
      return [{ type: 'lifetime-set', lifetimeMs: command.lifetimeMs }]
    }
  }
}

function evolve(state: AuthorityState, event: AuthorityEvent): AuthorityState {
  if (event.type !== 'authority-founded' && event.type !== 'lifetime-set')
    return state.phase === 'unfounded' ? state : evolveRotation(state, event)
  switch (event.type) {
    case 'authority-founded': {
      const { clusterId, certificate, privateKey, intermediates, lifetimeMs, at } = event
      const root =
        intermediates === undefined ? { certificate, privateKey } : { certificate, privateKey, intermediates }
      const rest = { foundedAt: at, roots: [root], lifetimeMs, aims: 0, bridges: [], rotation: null } as const
      return { phase: 'stable', clusterId, ...rest }
    }
    case 'lifetime-set':
      return state.phase === 'unfounded' ? state : { ...state, lifetimeMs: event.lifetimeMs }
  }
}

/**
 * The life of the cluster's authority, as a decider: founded once, then its settings and the rotations of its root.
 *
 * The refusals of `decide` are {@link IdentityError}s: `CLUSTER_EXISTS`, `CLUSTER_MISSING`, `LIFETIME_TOO_SHORT` under one hour,
 * `LIFETIME_EXCEEDS_ISSUER` over the whole life of the root, `AUTHORITY_UNFIT` for a certificate that is no CA, and those
 * of reading the certificate. Of rotations: `ROTATION_NONE`, `ROTATION_PHASE` for a command that does not fit, `ROTATION_TARGET_UNFIT`, `ROTATION_BRIDGED`,
 * `ROTATION_INCOMPLETE` for an end while members are behind or tokens still good.
 */
export const authorityLife: Decider<AuthorityState, AuthorityCommand, AuthorityEvent> = {
  initial: { phase: 'unfounded' },
  decide,
  evolve,
}

/** The fewest events that lead to `state`, for a snapshot. The first one holds the private key, and one of a rotation may. */
export function authorityEvents(state: AuthorityState): readonly AuthorityEvent[] {
  if (state.phase === 'unfounded') return []
  const { clusterId, foundedAt, lifetimeMs, roots } = state
  return [{ type: 'authority-founded', clusterId, ...roots[0], lifetimeMs, at: foundedAt }, ...rotationHistory(state)]
}
