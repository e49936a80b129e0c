import {
  type Authority,
  type Certificate,
  DEFAULT_INTERMEDIATE_LIFETIME_MS,
  issueIntermediate,
  issuingPartsOf,
  longestLifetimeMs,
  parseCsr,
  unsignedNodes,
} from '@leastwise/identity'
import { systemClock, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import type { Announce } from '../../announce.ts'
import { codeOf } from '../../errors.ts'
import { foundedCluster, type Issuing } from '../issuing/issuing.ts'
import { hasRootKey, rootAtHand } from '../root/root-at-hand.ts'
import type { RootKeeper } from '../root/root-keeper.ts'
import type { ClusterTrustDomain } from '../spiffe/trust-domain.ts'
import type { Store } from '../store.ts'
import { type IssuerRecord, MAX_LIVE_INTERMEDIATES } from './issuer-list.ts'
import { provenManager } from './issuer-request.ts'

export interface SignForManagersOptions {
  readonly store: Store
  readonly keeper: RootKeeper | null
  readonly issuing: Issuing
  readonly now: () => number
  readonly sleep?: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
  readonly announce: Announce
}

const STEP_MS = 250
/** While the token does not answer. */
const PAUSE_MS = 5_000

/** The intermediate that was asked for, for whoever proved to be that manager. */
async function sign(
  root: Authority,
  csr: string,
  {
    manager,
    spiffe,
    now,
  }: { readonly manager: Certificate; readonly spiffe: ClusterTrustDomain; readonly now: number },
): Promise<Certificate> {
  const lifetimeMs = Math.min(DEFAULT_INTERMEDIATE_LIFETIME_MS, longestLifetimeMs(root, now))
  const grant = { manager, lifetimeMs, ...(spiffe === null ? {} : { trustDomain: spiffe }) }
  const needs = { now, random: systemRandom, verifier: systemVerifier, digest: systemDigest }
  return await issueIntermediate(root, parseCsr(csr), grant, needs)
}

/**
 * What a manager with the key of the root does for those without: signs their intermediates, and the certificates of managers. Until the signal fires.
 *
 * Requests that nobody has proven to have made stay where they are, and cost one look each.
 */
export async function signForManagers(
  { store, keeper, issuing, now, sleep = systemClock.sleep, announce }: SignForManagersOptions,
  signal: AbortSignal,
): Promise<void> {
  let root: { readonly issuerId: string; readonly authority: Authority } | null = null
  const refused = new WeakMap<object, number>()
  const tried = new Map<string, string>()

  const answer = async (record: IssuerRecord): Promise<void> => {
    const { pending, managerId } = record
    const state = store.state()
    const parts = issuingPartsOf(foundedCluster(state), now())
    if (pending === null || !hasRootKey(parts, keeper) || now() < (refused.get(pending) ?? 0)) return
    const manager =
      record.issued.length < MAX_LIVE_INTERMEDIATES
        ? await provenManager(record, state, foundedCluster(state), now())
        : null
    if (manager === null) {
      if (!refused.has(pending)) announce({ event: 'intermediate-refused', nodeId: managerId })
      refused.set(pending, now() + PAUSE_MS)
      return
    }
    if (root?.issuerId !== parts.issuerId)
      root = { issuerId: parts.issuerId, authority: await rootAtHand(parts, keeper) }
    const {
      pem: certificate,
      serial,
      notAfter,
    } = await sign(root.authority, pending.csr, {
      ...{ manager, spiffe: state.spiffe, now: now() },
    })
    const { csr } = pending
    await store.commit((latest) =>
      // A root of yesterday vouches for nothing new.
      issuingPartsOf(foundedCluster(latest), now()).issuerId === parts.issuerId
        ? [{ part: 'issuers', command: { type: 'record', managerId, csr, certificate, serial, notAfter } }]
        : [],
    )
    announce({ event: 'intermediate-signed', nodeId: managerId, serial, notAfter })
  }

  const step = async (): Promise<void> => {
    const state = store.state()
    for (const record of state.issuers.values()) {
      try {
        await answer(record)
      } catch (error) {
        // The next one may be of a manager that asks for what can be signed.
        if (record.pending !== null) refused.set(record.pending, now() + PAUSE_MS)
        announce({ event: 'intermediate-delayed', nodeId: record.managerId, code: codeOf(error) ?? 'INTERNAL' })
      }
    }
    if (!hasRootKey(issuingPartsOf(foundedCluster(state), now()), keeper)) return
    for (const { nodeId, role, csr } of unsignedNodes(state.membership)) {
      // Once: what is refused is put off there.
      if (role !== 'manager' || tried.get(nodeId) === csr) continue
      tried.set(nodeId, csr)
      await issuing.issueFor(nodeId)
    }
  }

  while (!signal.aborted) {
    let pauseMs = STEP_MS
    try {
      await step()
    } catch (error) {
      pauseMs = PAUSE_MS
      announce({ event: 'intermediate-delayed', code: codeOf(error) ?? 'INTERNAL' })
    }
    await sleep(pauseMs, { signal }).catch(() => undefined)
  }
}
