import { type ClusterId, parseCertificateChain, parseTrustBundle, selfIssuedBridges } from '@leastwise/identity'
import { learnBridges, systemVerifier } from '@leastwise/identity/node'
import { linkSignals } from '../abortable.ts'
import { parseManagerAddress } from '../agent/address.ts'
import type { NodeCredentials } from '../agent/events.ts'
import type { Clock } from '../ports.ts'
import { codeOf } from '../wire/status.ts'

/** How long a look at a manager's chain may take, in milliseconds; as long as a short call. */
const LOOK_TIMEOUT_MS = 5000

/**
 * What TLS must be told beside the trust bundle, so that it can walk the chains of a Docker cluster whose root rotates: the cross-signed root in the node's
 * own chain, if it is of Docker's shape. PEM.
 */
export function ownBridges({ certificateChain, trustBundle }: NodeCredentials, now: number): readonly string[] {
  const { roots } = parseTrustBundle(trustBundle)
  return selfIssuedBridges(parseCertificateChain(certificateChain), { roots, now, verifier: systemVerifier }).map(
    ({ pem }) => pem,
  )
}

/** Where to look, and with what trust. */
export interface LookOptions {
  readonly address: string
  readonly trustBundle: Uint8Array
  /** `null` for a node that joins. */
  readonly clusterId: string | null
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * The same from the chain of a manager which TLS has just refused; none when it is refused for good.
 *
 * @throws the reason of `signal`.
 */
export async function lookForBridges({
  address,
  trustBundle,
  clusterId,
  clock,
  signal,
}: LookOptions): Promise<readonly string[]> {
  using scope = linkSignals(signal)
  const { host, port } = parseManagerAddress(address)
  const looking = learnBridges({
    host,
    port,
    servername: clusterId === null ? 'swarm-ca' : 'swarm-manager',
    trustBundle: new TextDecoder().decode(trustBundle),
    roots: parseTrustBundle(trustBundle).roots,
    clusterId: clusterId as ClusterId | null,
    now: clock.now(),
    signal: scope.signal,
  })
  const timeout = clock.sleep(LOOK_TIMEOUT_MS, { signal: scope.signal }).then(() => [])
  try {
    const bridges = await Promise.race([looking, timeout])
    return bridges.map(({ pem }) => pem)
  } catch {
    signal.throwIfAborted()
    return []
  } finally {
    scope.abort(new DOMException('the look is over', 'AbortError'))
    await Promise.allSettled([looking, timeout])
  }
}

/** Whether an error says that TLS does not believe the manager. */
export const isDisbelief = (error: unknown): boolean => codeOf(error) === 'MANAGER_UNTRUSTED'
