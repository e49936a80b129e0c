import { parseCertificateChain, parseCsr, signRecovery } from '@leastwise/identity'
import { openSigner, systemDigest } from '@leastwise/identity/node'
import { unitOf } from '../agent/backoff.ts'
import type { NodeCredentials } from '../agent/events.ts'
import { SwarmError } from '../errors.ts'
import type { Clock, RandomSource } from '../ports.ts'
import { idField, malformed } from '../wire/fields.ts'
import { MAX_CHALLENGE_BYTES } from '../wire/limits.ts'
import { codeOf } from '../wire/status.ts'
import { certify, type PendingKey } from './certificate-request.ts'
import { call, type ManagerLink } from './manager-link.ts'

/** Pause before a node that waits for approval asks again, in milliseconds. */
export const RECOVERY_POLL_MS = 60_000

/** What {@link recover} works with. */
export interface RecoverOptions {
  /** The expired ones. */
  readonly credentials: NodeCredentials
  /** The same for every try: the manager knows by it that it granted this already. */
  readonly key: PendingKey
  readonly clock: Clock
  readonly random: RandomSource
  readonly signal: AbortSignal
}

/**
 * Gets a node's identity again, with the key of its expired certificate, over a connection that is verified as in joining.
 *
 * @throws {@link SwarmError} `RECOVERY_AWAITS_APPROVAL`, `RECOVERY_KEY_SUPERSEDED`, `RECOVERY_REFUSED`, `NODE_EVICTED`, and those of a renewal.
 */
export async function recover(link: ManagerLink, options: RecoverOptions): Promise<NodeCredentials> {
  const { credentials, key, clock, random, signal } = options
  const { nodeId, clusterId, trustBundle } = credentials
  const serial = parseCertificateChain(credentials.certificateChain)[0]?.serial ?? ''
  const issue = async (): Promise<string> => {
    const asked = await call(signal, async (calling) => await link.recovery.challenge({}, calling))
    const challenge = asked.challenge.slice()
    if (challenge.length === 0 || challenge.length > MAX_CHALLENGE_BYTES) throw malformed('manager', 'challenge')
    const signature = await signRecovery(
      { clusterId, nodeId, serial, challenge, csr: parseCsr(key.csr) },
      { signer: openSigner(credentials.privateKey), digest: systemDigest },
    )
    const request = { nodeId, serial, csr: key.csr, challenge, signature }
    const answer = await call(signal, async (calling) => await link.recovery.recover(request, calling))
    if (idField(answer.nodeId, 'manager', 'node id') !== nodeId) throw foreign()
    return nodeId
  }
  return await certify(link, {
    key,
    issue,
    token: '',
    requestedRole: null,
    availability: 'active',
    trustBundle,
    expected: { nodeId, clusterId, role: null },
    clock,
    random,
    signal,
  })
}

/** {@link RecoverOptions}, and how the node waits. */
export interface RecoverInTimeOptions extends RecoverOptions {
  /** A connection to the manager of the moment, for each try. */
  readonly open: () => ManagerLink
  /** Told before each pause. */
  readonly onWait: (retryInMs: number) => void
}

/** The same, and asks again for as long as an operator has not approved. */
export async function recoverInTime(options: RecoverInTimeOptions): Promise<NodeCredentials> {
  const { open, onWait, clock, random, signal } = options
  for (;;) {
    try {
      using link = open()
      return await recover(link, options)
    } catch (error) {
      if (codeOf(error) !== 'RECOVERY_AWAITS_APPROVAL') throw error
    }
    const retryInMs = RECOVERY_POLL_MS * (1 - unitOf(random) / 2)
    onWait(retryInMs)
    await clock.sleep(retryInMs, { signal })
  }
}

const foreign = (): SwarmError =>
  new SwarmError('CERTIFICATE_UNACCEPTABLE', 'manager answers for another node, try another manager')
