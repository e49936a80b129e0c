import { createCrl, evictionsIn, listEvictions } from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import type { CrlAnswer, EvictionsAnswer } from '../../operator/answers.ts'
import { wholeNumberOrNull } from '../fields.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { OperationContext } from '../operations.ts'
import type { Operation } from '../operator-server.ts'
import { issuerInForce } from '../root/issuer-in-force.ts'

/** A day: whoever goes by the list fetches a new one every few hours. */
const CRL_LIFE_MS = 86_400_000
/** A list that is older than that protects nobody, and the calendar of certificates ends with the year 9999. */
const MAX_CRL_LIFE_MS = 3_650 * CRL_LIFE_MS
/** Readers whose clocks are a little behind must not find the list to be of tomorrow. */
const BACKDATE_MS = 300_000

/** What is refused from now on, for operators and for software that knows no other form than a CRL. */
export function evictionOperations({ store, now, keeper }: OperationContext): Record<string, Operation> {
  let lastNumber = 0
  return {
    'node/evictions': (): EvictionsAnswer => {
      const { membership, evictions } = store.state()
      const certificates = [...evictionsIn(evictions)].flatMap((eviction) =>
        eviction.kind === 'node'
          ? []
          : [{ serial: eviction.serial, reason: eviction.reason, at: eviction.at, until: eviction.until }],
      )
      return {
        nodes: listEvictions(membership).map(({ nodeId, reason, at, until }) => ({ id: nodeId, reason, at, until })),
        certificates: certificates.sort((a, b) => a.at - b.at || (a.serial < b.serial ? -1 : 1)),
      }
    },
    'cluster/crl': async (request): Promise<CrlAnswer> => {
      const lifeMs = wholeNumberOrNull(request.body(), 'lifeMs') ?? CRL_LIFE_MS
      if (lifeMs === 0 || lifeMs > MAX_CRL_LIFE_MS)
        throw new OrchestratorError('USAGE', 'a list is good for a second to ten years')
      const state = store.state()
      const authority = await issuerInForce(
        foundedCluster(state),
        keeper,
        ', which makes its lists itself; node evictions says what belongs on them',
      )
      const [thisUpdate, nextUpdate] = [now() - BACKDATE_MS, now() + lifeMs]
      // Each list has a number of its own (RFC 5280 section 5.2.3), also within a millisecond and when nothing was evicted in between.
      const number = Math.max(thisUpdate, lastNumber + 1)
      lastNumber = number
      const crl = await createCrl(authority, evictionsIn(state.evictions), { number, thisUpdate, nextUpdate })
      return { pem: crl.pem, number, entries: crl.entries, nextUpdate }
    },
  }
}
