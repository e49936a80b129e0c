import { SwarmError } from '../errors.ts'
import type { Clock, RandomSource } from '../ports.ts'
import type { IssuanceState } from '../session-update.ts'
import { codeOf } from '../wire/status.ts'
import { sameBytes } from './acceptance.ts'
import { statusPollBackoff, unitOf } from './backoff.ts'

/** One answer to "is my certificate there". */
export interface IssuanceAnswer {
  readonly state: IssuanceState | null
  readonly csr: Uint8Array
  readonly certificate: Uint8Array
}

/** What a manager is asked for on the way to a certificate. Both reject with coded errors. */
export interface IssuingManager {
  readonly issue: (options: { readonly signal: AbortSignal }) => Promise<string>
  readonly status: (nodeId: string, options: { readonly signal: AbortSignal }) => Promise<IssuanceAnswer>
}

/** What {@link obtainCertificate} works with. */
export interface ObtainOptions {
  /** The CSR as it is sent, PEM bytes. */
  readonly csr: Uint8Array
  readonly clock: Clock
  readonly random: RandomSource
  readonly signal: AbortSignal
}

/** So many finished answers for another CSR are taken as the answer to an earlier request; then it is no accident. */
const MAX_FOREIGN_ANSWERS = 5

/**
 * Asks for a certificate and waits until it is there.
 *
 * The answer counts only with this very CSR beside it: otherwise a node could be handed an earlier certificate, or one for
 * somebody else's key.
 *
 * @throws {@link SwarmError} `CERTIFICATE_FAILED` when the manager gave up, `CERTIFICATE_UNACCEPTABLE` when it keeps answering
 * for another CSR.
 */
export async function obtainCertificate(
  manager: IssuingManager,
  { csr, clock, random, signal }: ObtainOptions,
): Promise<{ readonly nodeId: string; readonly certificate: Uint8Array }> {
  const nodeId = await manager.issue({ signal })
  let foreign = 0
  for (let attempt = 1; ; attempt += 1) {
    const answer = await manager.status(nodeId, { signal }).catch((error: unknown) => {
      // A poll that ran into its deadline is the ordinary case of a certificate that is not there yet.
      if (codeOf(error) !== 'MANAGER_UNREACHABLE' || attempt >= MAX_POLLS) throw error
      return null
    })
    if (answer !== null && sameBytes(answer.csr, csr)) {
      if (answer.state === 'failed')
        throw new SwarmError('CERTIFICATE_FAILED', 'manager could not issue the certificate, look into its log')
      // Told to rotate already, the node still needs this one to do so.
      if ((answer.state === 'issued' || answer.state === 'rotate') && answer.certificate.length > 0)
        return { nodeId, certificate: answer.certificate }
    } else if (answer?.state === 'issued') {
      foreign += 1
      if (foreign >= MAX_FOREIGN_ANSWERS)
        throw new SwarmError(
          'CERTIFICATE_UNACCEPTABLE',
          'manager answers for another certificate request, join through another manager',
        )
    }
    await clock.sleep(statusPollBackoff(attempt) * unitOf(random), { signal })
  }
}

/** Polls that may fail before the manager counts as gone; each waits some seconds. */
const MAX_POLLS = 24
