import { DEFAULT_ROTATION_POLICY, IdentityError, planRotation } from '@leastwise/identity'
import type { RootAnswer } from '../../operator/answers.ts'
import type { OwnCa } from '../../own-ca.ts'
import { text, wholeNumberOrNull } from '../fields.ts'
import { foundedCluster, type Issuing } from '../issuing/issuing.ts'
import type { OperationContext } from '../operations.ts'
import type { Operation } from '../operator-server.ts'
import { rotationMembers } from './rotation-driver.ts'
import { rotationTarget } from './rotation-target.ts'

/** The CA that came with the request; null when the cluster is to make one. */
function ownCaIn(body: Readonly<Record<string, unknown>>): OwnCa | null {
  if ((body['certificates'] ?? null) === null) return null
  return {
    certificates: text(body, 'certificates'),
    privateKey:
      (body['privateKey'] ?? null) === null ? null : Uint8Array.from(Buffer.from(text(body, 'privateKey'), 'base64')),
  }
}

/** What an operator does about the root. The manager's driver goes on from there by itself. */
export function rootOperations(
  { nodeId, store, presence, now, keeper }: OperationContext,
  issuing: Issuing,
  signal: AbortSignal,
): Record<string, Operation> {
  const status = (): RootAnswer => {
    const state = store.state()
    const members = rotationMembers(state, nodeId, presence)
    const plan = planRotation(foundedCluster(state), { members, load: issuing.load(), now: now() })
    const { phase, affected, converged, remaining, pacePerSecond, etaMs, stragglers, abort } = plan
    // The keeper of this manager signs for the root, wherever its key is.
    const blockers = plan.blockers.filter(({ code }) => keeper === null || code !== 'root-key-elsewhere')
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
      const at = now()
      const authority = foundedCluster(store.state())
      if (store.state().issuers.size > 0 && authority.bridges.some(({ until }) => until > at))
        throw new IdentityError(
          'ROTATION_BRIDGED',
          'nodes may still trust nothing but a root before the one in force, and with intermediates their chains would be too long; wait until that time is over',
        )
      const target = await rotationTarget(ownCaIn(body), { authority, keeper, now: at, signal })
      const { root, crossSigned } = target
      try {
        await store.commit(() => [
          { part: 'authority', command: { type: 'plan-rotation', policy, now: at } },
          {
            part: 'authority',
            command: { type: 'start-rotation', root, crossSigned: crossSigned.pem, now: at },
          },
        ])
      } catch (error) {
        // Refused by what decides, and so nowhere in the log; whatever else happened, it may be there.
        if (error instanceof IdentityError) await target.discard()
        throw error
      }
      return status()
    },
    'root/abort': async () => {
      await store.commit(() => [{ part: 'authority', command: { type: 'abort-rotation', now: now() } }])
      return status()
    },
  }
}
