import { joinBundlesOf, listNodes, nodeOf } from '@leastwise/identity'
import { unlockKeyWrapper } from '@leastwise/raftlog'
import { createUnlockKey, formatUnlockKey, listTokens, parseUnlockKey, trustDigestOf } from '@leastwise/tokens'
import { systemDigest, systemRandom } from '@leastwise/tokens/node'
import { OrchestratorError } from '../errors.ts'
import type {
  AutolockAnswer,
  CaAnswer,
  IssuerAnswer,
  NewTokenAnswer,
  NodeAnswer,
  TokenAnswer,
} from '../operator/answers.ts'
import type { Engine } from './engine.ts'
import { evictionOrders } from './eviction/evicting.ts'
import { text, wholeNumberOrNull } from './fields.ts'
import type { OwnIssuer } from './intermediate/own-issuer.ts'
import { foundedCluster, type Issuing, rootOf } from './issuing/issuing.ts'
import type { ManagerIdentity, ManagerKeys } from './manager-keys.ts'
import { findNode } from './membership/find-node.ts'
import type { Operation } from './operator-server.ts'
import type { PresenceBoard } from './presence-board.ts'
import type { ExternalCaSettings } from './root/external-ca/settings.ts'
import type { RootKeeper } from './root/root-keeper.ts'
import type { Store } from './store.ts'
import { newToken } from './tokens.ts'

/** What the operations of an unlocked manager work on. */
export interface OperationContext {
  readonly nodeId: string
  readonly store: Store
  readonly issuing: Issuing
  /** Null when the log has the key of the root. */
  readonly externalCa: ExternalCaSettings | null
  /** Whoever has the key of a root that the log has not; null for nobody. */
  readonly keeper: RootKeeper | null
  /** What this manager issues from beside the root; null for nothing. */
  readonly own: OwnIssuer | null
  readonly engine: Engine
  readonly keys: ManagerKeys
  readonly presence: Pick<PresenceBoard, 'get'>
  readonly now: () => number
  /** Renews this manager's own certificate and gives the identity, not saved yet. */
  readonly renewSelf: () => Promise<ManagerIdentity>
  /** Puts a renewed identity to use. */
  readonly adopt: (identity: ManagerIdentity) => void
  /** Judges every open connection anew and gives the number that was cut. */
  readonly recheck: () => number
}

function caOperations({ store, keys, issuing, externalCa, keeper, own }: OperationContext): Record<string, Operation> {
  return {
    'ca/info': (): CaAnswer => {
      const state = store.state()
      const { clusterId, lifetimeMs, roots } = foundedCluster(state)
      const root = rootOf(state)
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
      return {
        clusterId,
        subject: root.subject.attributes
          .map(({ type, value }) => `${type === '2.5.4.3' ? 'CN' : type}=${value}`)
          .join(','),
        fingerprint: hex(systemDigest.sha256(root.der)),
        trustDigest: hex(trustDigestOf(new TextEncoder().encode(roots[0].certificate), systemDigest)),
        notBefore: root.notBefore,
        notAfter: root.notAfter,
        nodeCertificateLifetimeMs: lifetimeMs,
        autolock: keys.locked(),
        rootKey: roots[0].privateKey !== null ? 'log' : (keeper?.kind ?? 'elsewhere'),
        issueFrom: own === null ? 'root' : 'intermediate',
        externalCa:
          externalCa === null || roots[0].privateKey !== null
            ? null
            : { addresses: externalCa.urls, putOff: issuing.putOff() },
        certificate: roots[0].certificate,
      }
    },
    'ca/issuers': (): readonly IssuerAnswer[] =>
      [...store.state().issuers.values()].map(({ managerId, issued, pending }) => ({
        manager: managerId,
        serial: issued.at(-1)?.serial ?? null,
        notAfter: issued.at(-1)?.notAfter ?? null,
        askedAt: pending?.at ?? null,
      })),
  }
}

function tokenOperations({ store, now }: OperationContext): Record<string, Operation> {
  const make = async (body: Readonly<Record<string, unknown>>, overlapMs: number | null): Promise<NewTokenAnswer> => {
    const role = text(body, 'role')
    if (role !== 'worker' && role !== 'manager') throw new OrchestratorError('USAGE', 'the role is worker or manager')
    const bundle = new TextEncoder().encode(joinBundlesOf(foundedCluster(store.state()), now())[0])
    const request = {
      role,
      ttlMs: wholeNumberOrNull(body, 'ttlMs'),
      maxUses: wholeNumberOrNull(body, 'maxUses'),
      overlapMs,
    } as const
    const { order, answer } = newToken(bundle, request, now())
    await store.commit(() => [order])
    return answer
  }
  return {
    'token/create': async (request) => await make(request.body(), null),
    'token/rotate': async (request) => {
      const body = request.body()
      return await make(body, wholeNumberOrNull(body, 'overlapMs') ?? 0)
    },
    'token/ls': (): readonly TokenAnswer[] => listTokens(store.state().tokens, now()),
    'token/revoke': async (request) => {
      const id = text(request.body(), 'token')
      await store.commit(() => [{ part: 'tokens', command: { type: 'revoke', id, now: now() } }])
      return { id }
    },
  }
}

function nodeOperations({
  store,
  now,
  nodeId: self,
  presence,
  renewSelf,
  adopt,
  keys,
  recheck,
  engine,
}: OperationContext): Record<string, Operation> {
  const find = (given: string): string => findNode(store.state(), given).nodeId
  return {
    'node/ls': (): readonly NodeAnswer[] =>
      listNodes(store.state().membership).map((node) => ({
        id: node.nodeId,
        role: node.role,
        state: node.nodeId === self ? 'ready' : (presence.get(node.nodeId) ?? 'unknown'),
        certificate: node.status,
        serial: node.serial ?? '-',
        notAfter: node.notAfter,
        admittedAt: node.admittedAt,
        thisManager: node.nodeId === self,
      })),
    'node/renew': async (request) => {
      const id = find(text(request.body(), 'node'))
      if (id === self) {
        const identity = await renewSelf()
        await keys.saveIdentity(identity)
        adopt(identity)
      } else {
        await store.commit(() => [
          { part: 'membership', command: { type: 'request-renewal', nodeId: parse(store, id) } },
        ])
      }
      return { id }
    },
    'node/rm': async (request) => {
      const id = find(text(request.body(), 'node'))
      if (id === self)
        throw new OrchestratorError('NODE_IS_THIS_MANAGER', 'a manager cannot remove itself; stop it instead')
      await store.commit((state) => evictionOrders(state, id, 'removed by the operator', now()))
      const cutSessions = recheck()
      await engine.expel(id, { snapshot: store.snapshot })
      return { id, cutSessions }
    },
  }
}

const parse = (store: Store, id: string) => {
  const node = nodeOf(store.state().membership, id)
  if (node === null) throw new OrchestratorError('NOT_FOUND', 'no node has this id; node ls lists them')
  return node.nodeId
}

function lockOperations({ engine, keys, store, own, renewSelf, adopt }: OperationContext): Record<string, Operation> {
  const lock = async (given: unknown): Promise<AutolockAnswer> => {
    // Commands make the key and have it before the manager does; who asks without one gets it with the answer alone.
    using key = typeof given === 'string' ? parseUnlockKey(given) : createUnlockKey(systemRandom)
    const wrapper = key.expose((bytes) => unlockKeyWrapper(bytes, systemRandom))
    // Both old secrets lay open on the disk, or under a key that is to be worth nothing: the node's key and the data key change.
    const identity = await renewSelf()
    const oldKeyStays = await engine.lock(wrapper, { identity, snapshot: store.snapshot })
    adopt(identity)
    // So did the one that this manager issues with; it goes on with it until there is another.
    own?.renew()
    return { autolock: true, unlockKey: formatUnlockKey(key), ...(oldKeyStays === null ? {} : { oldKeyStays }) }
  }
  return {
    'autolock/on': async (request) => {
      if (keys.locked())
        throw new OrchestratorError('ALREADY_LOCKED', 'autolock is on; autolock rotate makes a new unlock key')
      return await lock(request.body()['unlockKey'])
    },
    'autolock/rotate': async (request) => {
      if (!keys.locked()) throw new OrchestratorError('NOT_LOCKED', 'autolock is off; switch it on first')
      return await lock(request.body()['unlockKey'])
    },
    'autolock/off': async (): Promise<AutolockAnswer> => {
      if (keys.locked()) await engine.unlock()
      return { autolock: false }
    },
  }
}

export function clusterOperations(context: OperationContext): Record<string, Operation> {
  return {
    ...caOperations(context),
    ...tokenOperations(context),
    ...nodeOperations(context),
    ...lockOperations(context),
  }
}
