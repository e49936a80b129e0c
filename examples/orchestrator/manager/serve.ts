import { createSecureServer } from 'node:http2'
import {
  allOf,
  type Certificate,
  createCsr,
  createPoke,
  inCluster,
  listNodes,
  member,
  nodeOf,
  type PeerIdentity,
  parseCertificateChain,
  parseClusterId,
  parseTrustBundle,
  renewals,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  hotTls,
  peerOf,
  systemClock,
  systemDigest,
  systemRandom,
} from '@leastwise/identity/node'
import { createSessionRegistry, createSwarmRoutes, type NodePresence } from '@leastwise/swarm'
import { createSwarmServer } from '@leastwise/swarm/node'
import { hashPublicKey } from '@leastwise/tokens'
import { type Address, formatAddress } from '../address.ts'
import type { Announce } from '../announce.ts'
import { codeOf, OrchestratorError } from '../errors.ts'
import { createIssuing } from './issuing.ts'
import { listen } from './listen.ts'
import type { ManagerIdentity } from './manager-keys.ts'
import { clusterOperations } from './operations.ts'
import type { Operation } from './operator-server.ts'
import { secretOperations, taskOperations } from './secret-and-task-operations.ts'
import { openStore, type Store } from './store.ts'
import { createSwarmManager } from './swarm-manager.ts'
import type { Opened } from './unlocking.ts'

/** A manager that serves its cluster. */
export interface Serving {
  readonly address: string
  readonly find: (path: string) => Operation | undefined
  readonly close: () => Promise<void>
}

export interface ServeOptions {
  readonly listen: Address
  readonly advertise: string | null
  readonly announce: Announce
  /** The log or the disk failed: nothing can be made durable any more. */
  readonly fail: (error: unknown) => void
}

/** A new key and certificate for the manager itself, recorded but not saved yet. */
async function renewOwn(
  nodeId: string,
  store: Store,
  issueFor: (nodeId: string) => Promise<void>,
  trustBundle: string,
): Promise<ManagerIdentity> {
  const key = createNodeKey()
  const csr = await createCsr(key)
  const publicKeyHash = hashPublicKey(csr.publicKey, systemDigest)
  await store.commit((state) => {
    const self = nodeOf(state.membership, nodeId)
    if (self === null)
      throw new OrchestratorError(
        'JOURNAL_UNREADABLE',
        'the log does not know this manager; restore the data directory from a backup',
      )
    return [{ part: 'membership', command: { type: 'renew', nodeId: self.nodeId, csr: csr.pem, publicKeyHash } }]
  })
  await issueFor(nodeId)
  const certificate = nodeOf(store.state().membership, nodeId)?.certificate ?? null
  if (certificate === null) throw new OrchestratorError('INTERNAL', 'the certificate was superseded while it was made')
  return { privateKey: exportPrivateKey(key), certificateChain: certificate, trustBundle }
}

const validityOf = ({
  certificateChain,
}: ManagerIdentity): { readonly notBefore: number; readonly notAfter: number } => {
  const leaf = certificateChain === null ? undefined : parseCertificateChain(certificateChain)[0]
  if (leaf === undefined) throw new OrchestratorError('JOURNAL_UNREADABLE', 'the key file holds no certificate')
  return leaf
}

const tlsOf = ({ privateKey, certificateChain, trustBundle }: ManagerIdentity) => ({
  privateKey,
  certificateChain: certificateChain ?? '',
  trustBundle,
})

/** Opens the state and serves nodes and operator until closed. */
export async function serveCluster(
  opened: Opened,
  { listen: where, advertise, announce, fail }: ServeOptions,
): Promise<Serving> {
  const { log, keys, nodeId } = opened
  const clusterId = parseClusterId(opened.clusterId)
  const store = await openStore(log)
  const stop = new AbortController()
  const now = (): number => systemClock.now()
  const issuing = createIssuing(store, now)
  const presence = new Map<string, NodePresence>()

  const tls = hotTls(tlsOf(keys.identity()))
  const roots: readonly Certificate[] = parseTrustBundle(keys.identity().trustBundle).roots
  const authorize = allOf(
    inCluster(clusterId),
    member(() => store.state().membership),
  )
  const identify = (socket: Parameters<typeof peerOf>[0]): PeerIdentity | null =>
    peerOf(socket, { roots, clusterId, now: now() })

  // The address is known only once we listen, and nodes must never be told an empty list.
  let address = advertise ?? formatAddress(where)
  const manager = createSwarmManager({
    store,
    issuing,
    presence,
    now,
    managers: () => [{ nodeId, address, weight: 1 }],
  })
  const sessions = createSessionRegistry({ random: systemRandom })
  const swarm = createSwarmServer({
    routes: createSwarmRoutes(manager, { clock: systemClock, sessions, authorize }),
    identify,
    authorize,
    onRefused: ({ address: from, error }) => {
      announce({ event: 'connection-refused', from, code: codeOf(error) ?? 'INTERNAL' })
    },
  })
  const server = createSecureServer({ ...tls.serverOptions(), ...swarm.serverOptions })
  tls.serve(server)
  swarm.attach(server)
  const bound = await listen(server, where)
  if (advertise === null) address = formatAddress({ host: where.host, port: bound.port })

  const poke = createPoke()
  const adopt = (identity: ManagerIdentity): void => {
    tls.update(tlsOf(identity))
  }
  const renewSelf = async (): Promise<ManagerIdentity> =>
    await renewOwn(nodeId, store, issuing.issueFor, keys.identity().trustBundle)
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

  // A crash may have come between admitting a node and signing its request.
  const unsigned = listNodes(store.state().membership)
    .filter(({ status }) => status === 'pending' || status === 'renew')
    .map((node) => node.nodeId)
  void issuing.issueAll(unsigned).catch(fail)

  const context = { nodeId, store, log, keys, presence, now, renewSelf, adopt, recheck: () => swarm.recheck().length }
  const operations: Record<string, Operation> = {
    ...clusterOperations(context),
    ...secretOperations(context),
    ...taskOperations(context),
  }
  return {
    address,
    find: (path) => (Object.hasOwn(operations, path) ? operations[path] : undefined),
    close: async () => {
      stop.abort(new OrchestratorError('INTERNAL', 'stopping'))
      await renewing
      await swarm.close({ graceMs: 500 })
      await log.close()
    },
  }
}
