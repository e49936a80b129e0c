import { crossSignRoot, DEFAULT_ROTATION_POLICY, parseCertificate, planRotation } from '@leastwise/identity'
import { openSigner, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../errors.ts'
import type { RootAnswer } from '../operator/answers.ts'
import { wholeNumberOrNull } from './fields.ts'
import { foundedCluster, type Issuing } from './issuing.ts'
import type { OperationContext } from './operations.ts'
import type { Operation } from './operator-server.ts'
import { rotationMembers } from './rotation-driver.ts'

const SERIAL_BYTES = 20

/** What an operator does about the root. The manager's driver goes on from there by itself. */
export function rootOperations(
  { nodeId, store, presence, now }: OperationContext,
  issuing: Issuing,
): Record<string, Operation> {
  const status = (): RootAnswer => {
    const state = store.state()
    const members = rotationMembers(state, nodeId, presence)
    const plan = planRotation(foundedCluster(state), { members, load: issuing.load(), now: now() })
    const { phase, affected, converged, remaining, pacePerSecond, etaMs, stragglers, blockers, abort } = plan
    return { phase, affected, converged, remaining, pacePerSecond, etaMs, stragglers, blockers, abort }
  }
  return {
    'root/status': status,
    'root/rotate': async (request) => {
      const body = request.body()
      const evictAfterMs = wholeNumberOrNull(body, 'evictAfterMs')
      const policy = {
        ...DEFAULT_ROTATION_POLICY,
        stragglers:
          evictAfterMs === null ? ({ mode: 'wait' } as const) : { mode: 'evict' as const, afterMs: evictAfterMs },
        tokenOverlapMs: wholeNumberOrNull(body, 'tokenOverlapMs') ?? DEFAULT_ROTATION_POLICY.tokenOverlapMs,
      }
      // Of a manager's life this is a rare moment, and what makes roots takes long to load.
      const { createRoot } = await import('@leastwise/identity/x509')
      const { roots, aims } = foundedCluster(store.state())
      const { privateKey } = roots[0]
      if (privateKey === null)
        throw new OrchestratorError(
          'ROOT_KEY_OUTSIDE',
          'the key of the root is with an external ca, and so is its rotation; found a cluster on the new root',
        )
      const at = now()
      const serial = systemRandom.bytes(SERIAL_BYTES)
      // A name that no root of this cluster has had: chains of both are told apart by it.
      const root = await createRoot({ now: at, serial, commonName: `swarm-ca-${aims + 2}` })
      const crossSigned = await crossSignRoot({
        root: root.certificate,
        issuer: parseCertificate(roots[0].certificate),
        signer: openSigner(privateKey),
        serial: systemRandom.bytes(SERIAL_BYTES),
        now: at,
        verifier: systemVerifier,
      })
      const target = { certificate: root.certificate.pem, privateKey: root.privateKey }
      await store.commit(() => [
        { part: 'authority', command: { type: 'plan-rotation', policy, now: at } },
        {
          part: 'authority',
          command: { type: 'start-rotation', root: target, crossSigned: crossSigned.pem, now: at },
        },
      ])
      return status()
    },
    'root/abort': async () => {
      await store.commit(() => [{ part: 'authority', command: { type: 'abort-rotation', now: now() } }])
      return status()
    },
  }
}
