import { createSchedule, DEFAULT_LIFETIME_MS, verifyPeerSync } from '@leastwise/identity'
import { systemRandom } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { testClusterId } from '../support/test-authority.ts'
import { drawsFrom } from './draws.ts'
import { createEventQueue } from './event-queue.ts'
import { createIssuer } from './issuer.ts'
import { createLeader } from './leading.ts'
import { createLoadCurve } from './load-curve.ts'
import { createReplica } from './replica.ts'
import { createRequests } from './requests.ts'
import { NODES, START } from './scale.ts'
import { HOUR_MS, type Sim } from './sim.ts'
import { simulationVerifier } from './stand-in.ts'
import { createTrustLaw } from './trust-law.ts'
import { replace } from './workers.ts'

/** The world on its first day: a root, and nobody there. */
export async function found(): Promise<Sim> {
  const requests = await createRequests()
  const verifier = simulationVerifier(requests.proven)
  const clusterId = testClusterId(1)
  const replica = createReplica()
  const sim: Sim = {
    now: START,
    clusterId,
    queue: createEventQueue(),
    draws: drawsFrom(2027),
    replica,
    law: createTrustLaw((chain, roots) => {
      verifyPeerSync(chain, { roots, clusterId, now: sim.now, verifier })
    }),
    curve: createLoadCurve(),
    issuer: createIssuer(clusterId, requests, verifier),
    requests,
    verifier,
    renewals: createSchedule({ capacity: NODES + 1000 }),
    nodes: [],
    byId: new Map(),
    leader: createLeader(() => sim),
    facts: {
      rotations: [],
      crashes: [],
      evictions: [],
      snapshotsSame: [],
      leastLeftMs: Infinity,
      swept: 0,
      failures: 0,
      roleCodes: [],
      staleCodes: [],
      joinCodes: [],
      wakes: { stale: 0, current: 0, caughtUp: 0 },
    },
    watch: () => undefined,
    replaceNode: () => {
      replace(sim)
    },
  }
  const root = await createRoot({ now: START - HOUR_MS, serial: systemRandom.bytes(20) })
  const { certificate, privateKey } = root
  const lifetimeMs = DEFAULT_LIFETIME_MS
  const command = {
    type: 'found',
    clusterId,
    certificate: certificate.pem,
    privateKey,
    lifetimeMs,
    now: START,
  } as const
  replica.commit([{ part: 'authority', command }], START)
  return sim
}
