import { createSecureServer } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import {
  type Certificate,
  createPoke,
  type PeerIdentity,
  parseCertificateChain,
  parseClusterId,
  parseTrustBundle,
  renewals,
  type TrustDomain,
  trustBundleOf,
} from '@leastwise/identity'
import {
  type ClientIdentity,
  dangerouslyExposeManagerToTheInternet,
  hotTls,
  type OperatorTrust,
  systemClock,
  systemRandom,
} from '@leastwise/identity/node'
import { createSessionRegistry, createSwarmRoutes } from '@leastwise/swarm'
import { createSwarmServer } from '@leastwise/swarm/node'
import { type Address, formatAddress } from '../address.ts'
import type { Announce } from '../announce.ts'
import { codeOf, OrchestratorError } from '../errors.ts'
import { forgetEnded } from './eviction/forgetting.ts'
import { createPushing } from './eviction/pushing.ts'
import { findOperation } from './find-operation.ts'
import { createOwnIssuer } from './intermediate/own-issuer.ts'
import { signForManagers } from './intermediate/sign-for-managers.ts'
import type { IssueFrom } from './issuing/issue-from.ts'
import { createIssuing, foundedCluster, rootOf } from './issuing/issuing.ts'
import type { Refusal } from './issuing/put-off.ts'
import { renewOwn } from './issuing/renew-own.ts'
import { keepLivesShort } from './issuing/shortening.ts'
import { listen } from './listen.ts'
import type { ManagerIdentity } from './manager-keys.ts'
import { forgetPresence } from './membership/forget-presence.ts'
import { createIdentifying } from './membership/identify.ts'
import { createStanding } from './membership/standing.ts'
import { watchMembership } from './membership/watch-membership.ts'
import type { Operation } from './operator-server.ts'
import { createPresenceBoard } from './presence-board.ts'
import { type OperatorEndpoint, serveOperators } from './remote/serve-operators.ts'
import { externalKeeper } from './root/external-ca/external-keeper.ts'
import { checkFitsLog } from './root/external-ca/fits-log.ts'
import type { ExternalCaSettings } from './root/external-ca/settings.ts'
import type { SigningKeeper } from './root/root-keeper.ts'
import { createRotationDriver } from './root/rotation-driver.ts'
import { createSwarmManager } from './swarm-manager.ts'
import type { Opened } from './unlocking.ts'

/** A manager that serves its cluster. */
export interface Serving {
  readonly address: string
  /** True once a write failed: it answers what is durable, and takes nothing more until it is started anew. */
  readonly isReadOnly: () => boolean
  readonly find: (path: string) => Operation | undefined
  /** Serves operators from afar, until closed; gives the address. */
  readonly serveOperators: (where: Address, find: (path: string) => Operation | undefined) => Promise<string>
  readonly close: () => Promise<void>
}

export interface ServeOptions {
  readonly listen: Address
  readonly advertise: string | null
  /** Null when the log has the key of the root. */
  readonly externalCa: ExternalCaSettings | null
  /** A token or a file that has the key of the root, or is to have the next one's; null without one. */
  readonly keeper: SigningKeeper | null
  readonly issueFrom: IssueFrom
  /** What the cluster is to be, or is, in the world of SPIFFE; null for what it is. */
  readonly trustDomain: TrustDomain | null
  readonly announce: Announce
  /** The log or the disk failed: nothing can be made durable any more. */
  readonly fail: (error: unknown) => void
}

const validityOf = ({
  certificateChain,
}: ManagerIdentity): { readonly notBefore: number; readonly notAfter: number } => {
  const leaf = certificateChain === null ? undefined : parseCertificateChain(certificateChain)[0]
  if (leaf === undefined) throw new OrchestratorError('JOURNAL_UNREADABLE', 'the key file holds no certificate')
  return leaf
}

const isWorkload = ({ certificateChain }: ManagerIdentity): boolean =>
  parseCertificateChain(certificateChain ?? '')[0]?.altNames.some(({ kind }) => kind === 'uri') === true

const tlsOf = ({ privateKey, certificateChain, trustBundle }: ManagerIdentity) => ({
  privateKey,
  certificateChain: certificateChain ?? '',
  trustBundle,
})

const clientIdentityOf = ({ privateKey, certificateChain }: ManagerIdentity): ClientIdentity | null =>
  certificateChain === null ? null : { privateKey, certificateChain }

/** Opens the state and serves nodes and operator until closed. */
export async function serveCluster(
  opened: Opened,
  { listen: where, advertise, externalCa, keeper, issueFrom, trustDomain, announce, fail }: ServeOptions,
): Promise<Serving> {
  const { engine, keys, nodeId } = opened
  const clusterId = parseClusterId(opened.clusterId)
  const stop = new AbortController()
  let isReadOnly = false
  const store = await engine.openStore({
    signal: stop.signal,
    fail,
    onBroken: (error) => {
      isReadOnly = true
      announce({ event: 'log-failed', code: codeOf(error) ?? 'INTERNAL' })
    },
  })
  const now = (): number => systemClock.now()
  if (trustDomain !== null)
    await store.commit(() => [{ part: 'spiffe', command: { type: 'set-trust-domain', trustDomain } }])
  checkFitsLog(foundedCluster(store.state()), { externalCa, keeper, issueFrom })
  const outside =
    externalCa === null
      ? keeper
      : externalKeeper({ settings: externalCa, identity: () => clientIdentityOf(keys.identity()) })
  // Now, and not when the first node asks.
  if (keeper !== null && foundedCluster(store.state()).roots[0].privateKey === null)
    await keeper.signer(rootOf(store.state()))
  const onPutOff = ({ code, retryable }: Refusal): void => {
    announce({ event: 'signing-delayed', code, retryable })
  }
  const own = issueFrom === 'intermediate' ? createOwnIssuer({ nodeId, store, keys, now, announce }) : null
  const issuing = createIssuing({ store, now, outside, own, signal: stop.signal, onPutOff })
  const presence = createPresenceBoard()

  const tls = hotTls(tlsOf(keys.identity()))
  // The same array for as long as trust stays the same.
  let trusted: { readonly pem: string; readonly roots: readonly Certificate[] } = { pem: '', roots: [] }
  const trustedRoots = (): readonly Certificate[] => {
    const pem = trustBundleOf(foundedCluster(store.state()))
    if (trusted.pem !== pem) trusted = { pem, roots: parseTrustBundle(pem).roots }
    return trusted.roots
  }
  const identifying = createIdentifying({ state: store.state, clusterId, trustedRoots, now })
  const standing = createStanding(clusterId, () => store.state().membership, identifying.issuerCounts)
  const identify = (socket: TLSSocket): PeerIdentity | null => {
    const peer = identifying.identify(socket)
    if (peer !== null) {
      rotation.saw(socket)
      standing.arrived(peer)
    }
    return peer
  }

  // The address is known only once we listen, and nodes must never be told an empty list.
  let address = advertise ?? formatAddress(where)
  const manager = createSwarmManager({
    store,
    issuing,
    presence,
    now,
    managers: () => {
      const others = [...store.state().managers].filter(([other]) => other !== nodeId)
      return [
        { nodeId, address, weight: 1 },
        ...others.map(([other, at]) => ({ nodeId: other, address: at, weight: 1 })),
      ]
    },
  })
  const sessions = createSessionRegistry({ random: systemRandom })
  const pushing = createPushing({ clusterId, store, identity: keys.identity })
  const swarm = createSwarmServer({
    routes: createSwarmRoutes({ ...manager, evictions: pushing }, { clock: systemClock, sessions, ...standing }),
    identify,
    authorize: standing.authorizeConnection,
    ...(where[dangerouslyExposeManagerToTheInternet] === true ? { [dangerouslyExposeManagerToTheInternet]: true } : {}),
    onRefused: ({ address: from, error }) => {
      announce({ event: 'connection-refused', from, code: codeOf(error) ?? 'INTERNAL' })
    },
  })
  const server = createSecureServer({ ...tls.serverOptions(), ...swarm.serverOptions })
  tls.serve(server)
  swarm.attach(server)
  const bound = await listen(server, where)
  if (advertise === null) address = formatAddress({ host: where.host, port: bound.port })
  await store.commit(() => [{ part: 'managers', command: { type: 'announce', nodeId, address } }])

  const poke = createPoke()
  // As a workload it is not known by the certificate that it was founded with.
  if (store.state().spiffe !== null && !isWorkload(keys.identity())) poke.poke()
  const adopt = (identity: ManagerIdentity): void => {
    tls.update(tlsOf(identity))
    pushing.adopted()
  }
  const renewSelf = async (): Promise<ManagerIdentity> =>
    await renewOwn({
      ...{ nodeId, store, issueNow: issuing.issueNow, signal: stop.signal },
      trustBundle: keys.identity().trustBundle,
    })
  const rotation = createRotationDriver({
    ...{ nodeId, clusterId, store, keys, presence, now, renewSelf, adopt, announce },
    load: issuing.load,
    recheck: () => swarm.recheck().length,
  })
  const rotating = rotation.run(stop.signal)
  const shortening = keepLivesShort({ nodeId, store, presence, renewSelf: poke.poke, now, announce }, stop.signal)
  const renewing = (async () => {
    const renew = async (): Promise<{ notBefore: number; notAfter: number }> => {
      const identity = await renewSelf()
      await keys.saveIdentity(identity)
      adopt(identity)
      return validityOf(identity)
    }
    const jitter = (): number => new DataView(systemRandom.bytes(4).buffer).getUint32(0) / 2 ** 32
    const onState = ({
      nextRenewalAt,
      lastError,
    }: {
      readonly nextRenewalAt: number | null
      readonly lastError: unknown
    }): void => {
      if (lastError !== null)
        announce({ event: 'renewal-failed', code: codeOf(lastError) ?? 'INTERNAL', nextRenewalAt })
    }
    for await (const { notAfter } of renewals(validityOf(keys.identity()), {
      renew,
      clock: systemClock,
      jitter,
      signal: stop.signal,
      onState,
      wake: poke.wake,
    })) {
      announce({ event: 'renewed', nodeId, notAfter })
    }
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) fail(error)
  })

  const background = engine.background({ store, issuing, announce, now }, { signal: stop.signal })
  const watching = watchMembership({ store, nodeId, signal: stop.signal, recheck: () => swarm.recheck().length })
  const leaving = forgetPresence({ store, presence, signal: stop.signal })
  const signing = issuing.run(stop.signal)
  const sharing = engine.sharePresence({ store, presence, announce }, { signal: stop.signal })
  const issuer = own?.run(stop.signal) ?? Promise.resolve()
  const helping = signForManagers({ store, keeper: outside, issuing, now, announce }, stop.signal)
  const forgetting = forgetEnded({ store, now, sleep: systemClock.sleep, announce }, stop.signal)
  for (const work of [
    background,
    watching,
    leaving,
    signing,
    sharing,
    issuer,
    helping,
    forgetting,
    pushing.run(stop.signal),
  ])
    work.catch((error: unknown) => {
      if (!stop.signal.aborted) fail(error)
    })

  const context = {
    nodeId,
    store,
    issuing,
    externalCa,
    keeper: outside,
    own,
    engine,
    keys,
    presence,
    now,
    renewSelf,
    adopt,
    recheck: () => swarm.recheck().length,
  }
  const find = findOperation(context, stop.signal)
  let endpoint: OperatorEndpoint | null = null
  return {
    address,
    isReadOnly: () => isReadOnly,
    find,
    serveOperators: async (at, offered) => {
      const trust = (): OperatorTrust => ({ roots: trustedRoots(), clusterId, now: now() })
      endpoint = await serveOperators(at, offered, { tls, trust, store, announce })
      return endpoint.address
    },
    close: async () => {
      endpoint?.close()
      stop.abort(new OrchestratorError('INTERNAL', 'stopping'))
      await renewing
      await rotating
      await issuer
      await helping
      await shortening
      await swarm.close({ graceMs: 500 })
      await engine.close()
    },
  }
}
