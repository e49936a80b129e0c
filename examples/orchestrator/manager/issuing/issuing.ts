import {
  type Certificate,
  type FoundedAuthority,
  formatCertificateChain,
  type IssuingLoad,
  type IssuingParts,
  issuingPartsOf,
  localAuthority,
  nodeOf,
  openAuthority,
  parseCertificate,
  parseClusterId,
  parseCsr,
  type SigningAuthority,
} from '@leastwise/identity'
import { openSigner, systemClock, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { codeOf, OrchestratorError } from '../../errors.ts'
import type { ClusterState } from '../cluster-state.ts'
import { revokedIssuers } from '../eviction/revoked-issuers.ts'
import type { OwnIssuer } from '../intermediate/own-issuer.ts'
import { rootElsewhere } from '../root/root-at-hand.ts'
import type { RootKeeper } from '../root/root-keeper.ts'
import { mayGiveIdsOf, spiffeIdOfNode } from '../spiffe/trust-domain.ts'
import type { Store } from '../store.ts'
import { createPutOff, type Refusal } from './put-off.ts'
import { unsignedIn } from './unsigned.ts'

/** Signs what waits to be signed. */
export interface Issuing {
  /** How it fares, for whoever decides how many nodes are asked to renew. */
  readonly load: () => IssuingLoad
  /**
   * Signs the node's pending request; resolves when the certificate is durable. Does nothing when none is pending.
   *
   * When nothing but time has to pass it resolves as well: the request stays pending and is signed later, by this manager or one that has the
   * key for it. Other refusals reject.
   */
  readonly issueFor: (nodeId: string) => Promise<void>
  /** As {@link issueFor}, but rejects whenever nothing could be signed, and leaves it at that. */
  readonly issueNow: (nodeId: string) => Promise<void>
  /** Signs whatever a crash left unsigned. What is refused is tried again later. */
  readonly issueAll: (nodeIds: Iterable<string>) => Promise<void>
  /** How many requests were put off, and the code of the last refusal. */
  readonly putOff: () => { readonly requests: number; readonly code: string | null }
  /** Tries again what was put off, until the signal fires. */
  readonly run: (signal: AbortSignal) => Promise<void>
}

/** What issuing needs to hand. */
export interface IssuingOptions {
  readonly store: Store
  readonly now: () => number
  /** Where the key of the root is when the log has none. */
  readonly outside: RootKeeper | null
  /** The intermediate that workers get their certificates from; null to sign for them as for managers, with the root. */
  readonly own?: OwnIssuer | null
  readonly signal: AbortSignal
  readonly sleep?: (ms: number, options: { readonly signal: AbortSignal }) => Promise<void>
  /** Told of each request that is put off. */
  readonly onPutOff?: (refusal: Refusal) => void
}

const founded = (state: ClusterState): FoundedAuthority => {
  if (state.authority.phase === 'unfounded')
    throw new OrchestratorError(
      'JOURNAL_UNREADABLE',
      'the log holds no cluster; restore the data directory from a backup',
    )
  return state.authority
}

// A slow moment counts for some certificates to come.
const LATENCY_DECAY = 0.9

export const foundedCluster = founded

/** Root certificate and lifetime as they stand in `state`. */
export function rootOf(state: ClusterState): Certificate {
  return parseCertificate(founded(state).roots[0].certificate)
}

/** Whoever signs now: the key in the log, or the one who keeps it. */
async function openIssuer(parts: IssuingParts, outside: RootKeeper | null): Promise<SigningAuthority> {
  const { certificate, privateKey, intermediates } = parts
  if (privateKey !== null) {
    const signer = openSigner(privateKey)
    const authority = await openAuthority({ certificate, signer, intermediates }, { verifier: systemVerifier })
    return localAuthority(authority, { random: systemRandom, verifier: systemVerifier, digest: systemDigest })
  }
  if (outside === null) throw rootElsewhere()
  return await outside.authority(parts)
}

export function createIssuing(options: IssuingOptions): Issuing {
  const { store, now, outside, own = null, signal, onPutOff = () => undefined, sleep = systemClock.sleep } = options
  let signing: { readonly issuerId: string; readonly open: Promise<SigningAuthority> } | null = null
  let issueLatencyMs = 0
  const openOnce = async (parts: IssuingParts): Promise<SigningAuthority> => {
    const { issuerId } = parts
    if (signing?.issuerId !== issuerId) signing = { issuerId, open: openIssuer(parts, outside) }
    return await signing.open
  }

  const issueNow = async (nodeId: string): Promise<void> => {
    const state = store.state()
    const node = nodeOf(state.membership, nodeId)
    if (node === null || (node.status !== 'pending' && node.status !== 'renew')) return
    const { clusterId, lifetimeMs } = founded(state)
    const began = performance.now()
    const issuer = issuingPartsOf(founded(state), now())
    const { csr, role, roleEpoch } = node
    // Managers come from the root alone.
    const authority = own !== null && role === 'worker' ? await own.authority(issuer) : await openOnce(issuer)
    const grant = { nodeId: node.nodeId, role, clusterId: parseClusterId(clusterId), lifetimeMs }
    const { spiffe } = state
    // An intermediate from before the cluster became a trust domain gives no IDs; the next one, which is asked for already, does.
    const named = spiffe !== null && authority.intermediates.every((issuer) => mayGiveIdsOf(spiffe, issuer))
    const certificate = await authority.issue(
      parseCsr(csr),
      named ? { ...grant, spiffeId: spiffeIdOfNode(spiffe, node.nodeId) } : grant,
      { now: now(), signal },
    )
    await store.commit((latest) => {
      // A newer request may have come meanwhile, or another role; then this certificate answers nothing and is dropped.
      const current = nodeOf(latest.membership, nodeId)
      if (current?.csr !== csr || current.roleEpoch !== roleEpoch || current.certificate !== null) return []
      // Nor may a certificate of yesterday's root be handed out once another one issues.
      if (issuingPartsOf(founded(latest), now()).issuerId !== issuer.issuerId) return []
      // Or below an intermediate that was withdrawn in between.
      if (authority.intermediates.some(revokedIssuers(() => latest, now))) return []
      const { serial, notAfter } = certificate
      const pem = formatCertificateChain([certificate, ...authority.intermediates])
      const record = { nodeId: node.nodeId, csr, certificate: pem, serial, notAfter, roleEpoch }
      return [{ part: 'membership', command: { type: 'record-certificate', ...record }, now: now() }]
    })
    issueLatencyMs = Math.max(performance.now() - began, issueLatencyMs * LATENCY_DECAY)
    // The root or the role changed while this was signed: once more, under what holds now.
    await issueNow(nodeId)
  }

  /** What takes a key that is elsewhere is left to whoever has it, and sees the request in the log. */
  const issueOrLeave = async (nodeId: string): Promise<void> => {
    try {
      await issueNow(nodeId)
    } catch (error) {
      if (codeOf(error) !== 'ROOT_KEY_OUTSIDE') throw error
    }
  }
  const waiting = createPutOff({ issueNow: issueOrLeave, sleep, onPutOff })
  return {
    issueNow,
    issueFor: async (nodeId) => {
      try {
        await issueOrLeave(nodeId)
      } catch (error) {
        if (waiting.add(nodeId, error)?.retryable !== true) throw error
      }
    },
    load: () => ({ issueLatencyMs, queueDepth: unsignedIn(store).length }),
    issueAll: waiting.all,
    putOff: waiting.state,
    run: waiting.run,
  }
}
