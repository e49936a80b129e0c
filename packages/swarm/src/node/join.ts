import type { TrustBundle } from '@leastwise/identity'
import type { NodeCredentials } from '../agent/events.ts'
import type { Availability, NodeRole } from '../node-description.ts'
import type { Clock, RandomSource } from '../ports.ts'
import { codeOf } from '../wire/status.ts'
import { isDisbelief, lookForBridges } from './bridges.ts'
import { certify, createPendingKey, type PendingKey } from './certificate-request.ts'
import { openManagerLink } from './manager-link.ts'
import { fetchTrustBundle } from './trust-bundle.ts'

/** Tries of one {@link joinCluster}, as Docker's nodes have it. */
export const JOIN_ATTEMPTS = 5

/** Pause between two tries, in milliseconds. */
export const JOIN_PAUSE_MS = 2000

/** What {@link joinCluster} works with. */
export interface JoinOptions {
  /** Managers, `host:port`; tried in turn. */
  readonly addresses: readonly [string, ...string[]]
  /** Shown to nobody before the trust bundle has been proven with it; never stored. */
  readonly token: string
  /** When set, the join fails unless the token gives this role. */
  readonly role?: NodeRole
  /** Default `active`. */
  readonly availability?: Availability
  /**
   * A key that an earlier try was made with, as {@link createPendingKey} gave it. A host that keeps it, and passes it again
   * after it died between request and answer, gets the same node id without using the token up twice. Default: a fresh one.
   */
  readonly pendingKey?: PendingKey
  readonly clock: Clock
  readonly random: RandomSource
  readonly signal: AbortSignal
}

/** Only these are worth another try; everything else would end the same way again. */
const PASSING: ReadonlySet<string> = new Set(['MANAGER_UNREACHABLE', 'REGISTRATION_LIMIT', 'SESSION_UNKNOWN'])

/**
 * Turns a join token into an identity: proves the trust bundle, makes a key, has it certified, judges the certificate.
 *
 * A lost answer costs nothing: every try of one call uses the same key, by which the manager knows it again.
 *
 * @returns The credentials; the host stores them before it uses them.
 * @throws {@link @leastwise/tokens#TokenError} `TOKEN_MALFORMED`, `TOKEN_UNSUPPORTED_VERSION`, or `CA_DIGEST_MISMATCH` when
 * somebody else answered in the manager's place; the token and the request have not left the node then.
 * @throws {@link SwarmError} `JOIN_TOKEN_REJECTED`, `ROLE_NOT_GRANTED`, `MANAGER_UNTRUSTED`, `CERTIFICATE_FAILED`,
 * `CERTIFICATE_UNACCEPTABLE`, `MANAGER_REFUSED`, `ADDRESS_MALFORMED`; `MANAGER_UNREACHABLE` after five tries.
 */
export async function joinCluster(options: JoinOptions): Promise<NodeCredentials> {
  const { addresses, token, role, availability = 'active', clock, random, signal } = options
  const key = options.pendingKey ?? (await createPendingKey())
  const attempt = async (address: string): Promise<NodeCredentials> => {
    const bundle = await fetchTrustBundle({ address, token, clock, signal })
    try {
      return await certified(address, bundle, [])
    } catch (error) {
      if (!isDisbelief(error)) throw error
      // A Docker cluster in the middle of a rotation: TLS must be told of the cross-signed root.
      const bridges = await lookForBridges({ address, trustBundle: bundle.pem, clusterId: null, clock, signal })
      if (bridges.length === 0) throw error
      return await certified(address, bundle, bridges)
    }
  }
  const certified = async (
    address: string,
    bundle: TrustBundle,
    bridges: readonly string[],
  ): Promise<NodeCredentials> => {
    using link = openManagerLink(address, { kind: 'bundle', trustBundle: bundle.pem, bridges })
    return await certify(link, {
      key,
      token,
      requestedRole: role ?? null,
      availability,
      trustBundle: bundle.pem,
      expected: { nodeId: null, clusterId: null, role: role ?? null },
      clock,
      random,
      signal,
    })
  }
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt(addresses[(tries - 1) % addresses.length] ?? addresses[0])
    } catch (error) {
      signal.throwIfAborted()
      if (tries >= Math.max(JOIN_ATTEMPTS, addresses.length) || !PASSING.has(codeOf(error) ?? '')) throw error
    }
    await clock.sleep(JOIN_PAUSE_MS, { signal })
  }
}
