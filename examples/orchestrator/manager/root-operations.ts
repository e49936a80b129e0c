import {
  type AuthorityRoot,
  crossSignRoot,
  DEFAULT_ROTATION_POLICY,
  IdentityError,
  parseCertificate,
  planRotation,
  selfSignedRoot,
} from '@leastwise/identity'
import { systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../errors.ts'
import type { RootAnswer } from '../operator/answers.ts'
import type { OwnCa } from '../own-ca.ts'
import { text, wholeNumberOrNull } from './fields.ts'
import { importOwnCa } from './import-own-ca.ts'
import { issuerInForce } from './issuer-in-force.ts'
import { foundedCluster, type Issuing } from './issuing.ts'
import type { OperationContext } from './operations.ts'
import type { Operation } from './operator-server.ts'
import type { RootKeeper } from './root-keeper.ts'
import { rotationMembers } from './rotation-driver.ts'

const SERIAL_BYTES = 20

interface Target {
  readonly root: AuthorityRoot
  /** Takes back what was made for it elsewhere, when nothing came of it. */
  readonly discard: () => Promise<void>
}

const inMemory = (root: AuthorityRoot): Target => ({
  root,
  discard: async () => {
    await Promise.resolve()
  },
})

/** A new root, with its key in the token if there is one, else in the log. */
async function newRoot(
  createSigner: RootKeeper['createSigner'],
  { commonName, now }: { readonly commonName: string; readonly now: number },
): Promise<Target> {
  if (createSigner !== null) {
    const { signer, discard } = await createSigner()
    const needs = { random: systemRandom, digest: systemDigest, verifier: systemVerifier }
    const { pem } = await selfSignedRoot(signer, { now, commonName, ...needs })
    return { root: { certificate: pem, privateKey: null }, discard }
  }
  // Of a manager's life this is a rare moment, and what makes roots takes long to load.
  const { createRoot } = await import('@leastwise/identity/x509')
  const { certificate, privateKey } = await createRoot({ now, serial: systemRandom.bytes(SERIAL_BYTES), commonName })
  return inMemory({ certificate: certificate.pem, privateKey })
}

/** The CA that came with the request; null when the cluster is to make one. */
function ownCaIn(body: Readonly<Record<string, unknown>>): OwnCa | null {
  if ((body['certificates'] ?? null) === null) return null
  return {
    certificates: text(body, 'certificates'),
    privateKey: Uint8Array.from(Buffer.from(text(body, 'privateKey'), 'base64')),
  }
}

/** What an operator does about the root. The manager's driver goes on from there by itself. */
export function rootOperations(
  { nodeId, store, presence, now, keeper }: OperationContext,
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
      const { roots, aims, lifetimeMs } = foundedCluster(store.state())
      const { privateKey, intermediates = [] } = roots[0]
      if (intermediates.length > 0)
        throw new OrchestratorError(
          'ROOT_KEY_OUTSIDE',
          'the cluster issues from an intermediate that was brought along, whose root would have to vouch for a new one; found a cluster on the new root',
        )
      if (privateKey === null && !keeper?.signer)
        throw new OrchestratorError(
          'ROOT_KEY_OUTSIDE',
          'the key of the root is with an external ca, and so is its rotation; found a cluster on the new root',
        )
      const at = now()
      const inForce = await issuerInForce(foundedCluster(store.state()), keeper, '')
      const brought = ownCaIn(body)
      // A name that no root of this cluster has had: chains of both are told apart by it.
      const { root, discard } =
        brought === null
          ? await newRoot(keeper?.createSigner ?? null, { commonName: `swarm-ca-${aims + 2}`, now: at })
          : inMemory(await importOwnCa(brought, { now: at, lifetimeMs }))
      try {
        const crossSigned = await crossSignRoot({
          root: parseCertificate(root.certificate),
          issuer: inForce.certificate,
          signer: inForce.signer,
          serial: systemRandom.bytes(SERIAL_BYTES),
          now: at,
          verifier: systemVerifier,
        })
        await store.commit(() => [
          { part: 'authority', command: { type: 'plan-rotation', policy, now: at } },
          {
            part: 'authority',
            command: { type: 'start-rotation', root, crossSigned: crossSigned.pem, now: at },
          },
        ])
      } catch (error) {
        // Refused by what decides, and so nowhere in the log; whatever else happened, it may be there.
        if (error instanceof IdentityError) await discard()
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
