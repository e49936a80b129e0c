import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import {
  authorityLife,
  type ClusterId,
  countBehind,
  createRotationRoster,
  evictionsDue,
  type FoundedAuthority,
  type IssuingLoad,
  listNodes,
  observePresented,
  parseCertificate,
  parseCertificateChain,
  parseNodeId,
  type RootObservation,
  type RotationMember,
  type RotationMembers,
  rootIdOf,
  rotationRootsOf,
  trustBundleOf,
} from '@leastwise/identity'
import { observePeer, systemVerifier } from '@leastwise/identity/node'
import type { Announce } from '../../announce.ts'
import { codeOf } from '../../errors.ts'
import type { ClusterCommand, ClusterState } from '../cluster-state.ts'
import { evictionOrders } from '../eviction/evicting.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { ManagerIdentity, ManagerKeys } from '../manager-keys.ts'
import type { PresenceBoard } from '../presence-board.ts'
import type { Store } from '../store.ts'

/** What goes on with a rotation: whichever manager runs this goes on where the log says that it stands. */
export interface RotationDriverOptions {
  readonly nodeId: string
  readonly clusterId: ClusterId
  readonly store: Store
  readonly keys: ManagerKeys
  readonly presence: Pick<PresenceBoard, 'get'>
  readonly load: () => IssuingLoad
  readonly renewSelf: () => Promise<ManagerIdentity>
  readonly adopt: (identity: ManagerIdentity) => void
  readonly recheck: () => number
  readonly now: () => number
  readonly announce: Announce
}

export interface RotationDriver {
  /** Told of every connection whose peer has been proven: what it presents is what counts. */
  readonly saw: (socket: TLSSocket) => void
  /** Until the signal aborts. */
  readonly run: (signal: AbortSignal) => Promise<void>
}

const STEP_MS = 500
/** Each costs a signature or two to verify, some tenths of a millisecond. */
const SEEN_PER_TURN = 8

/** The members, and who of them can be asked. */
export const rotationMembers = (
  state: ClusterState,
  self: string,
  presence: Pick<PresenceBoard, 'get'>,
): readonly RotationMember[] =>
  listNodes(state.membership).map(({ nodeId }) => ({ nodeId, reachable: isReachable(nodeId, self, presence) }))

const isReachable = (nodeId: string, self: string, presence: Pick<PresenceBoard, 'get'>): boolean =>
  nodeId === self || presence.get(nodeId) === 'ready'

export function createRotationDriver(options: RotationDriverOptions): RotationDriver {
  const { nodeId: self, clusterId, store, keys, presence, load, renewSelf, adopt, recheck, now, announce } = options
  const open = new Set<TLSSocket>()
  const fresh = new Set<TLSSocket>()
  let aim = 0
  const roster = createRotationRoster({ isReachable: (nodeId) => isReachable(nodeId, self, presence) })
  const members = (state: ClusterState): RotationMembers => roster.of(state.membership)

  const use = async (identity: ManagerIdentity): Promise<void> => {
    await keys.saveIdentity(identity)
    adopt(identity)
  }

  /** What was presented since the last look; after a change of the aim, what all open connections were opened with. */
  const presented = async (authority: FoundedAuthority): Promise<readonly RootObservation[]> => {
    const sockets = [...(authority.rotation?.aim === aim ? fresh : open)]
    fresh.clear()
    aim = authority.rotation?.aim ?? 0
    const trust = { roots: rotationRootsOf(authority), clusterId, now: now() }
    const seen: RootObservation[] = []
    for (const [at, socket] of sockets.entries()) {
      // After a change of the aim there are thousands, and nodes want answers meanwhile.
      if (at % SEEN_PER_TURN === SEEN_PER_TURN - 1) await nextTurn()
      try {
        const observed = observePeer(socket, trust)
        if (observed !== null) seen.push(observed)
      } catch {
        // it has gone meanwhile
      }
    }
    const own = parseCertificateChain(keys.identity().certificateChain ?? '')
    return [...seen, observePresented(own, { ...trust, verifier: systemVerifier })]
  }

  const order = async (plan: (state: ClusterState) => readonly ClusterCommand[]): Promise<FoundedAuthority> =>
    foundedCluster(await store.commit(plan))

  const askNext = async (): Promise<void> => {
    await order((state) => {
      const command = {
        type: 'next-batch',
        members: members(state),
        load: load(),
        now: now(),
      } as const
      const asked = authorityLife
        .decide(state.authority, command)
        .flatMap((event) => (event.type === 'batch-asked' ? event.nodes : []))
        .filter((nodeId) => nodeId !== self)
      return [
        { part: 'authority', command },
        ...asked.map(
          (nodeId): ClusterCommand => ({
            part: 'membership',
            command: { type: 'request-renewal', nodeId: parseNodeId(nodeId) },
          }),
        ),
      ]
    })
  }

  const bringOver = async (authority: FoundedAuthority): Promise<void> => {
    const goal = authority.rotation?.target?.rootId ?? rootIdOf(parseCertificate(authority.roots[0].certificate))
    const nodes = await presented(authority)
    await order(() => [{ part: 'authority', command: { type: 'observe', nodes, now: now() } }])
    if (nodes.at(-1)?.rootId !== goal) await use(await renewSelf())
    const due = evictionsDue(authority, members(store.state()), now())
    if (due.length > 0) {
      await order((state) =>
        due.flatMap((nodeId) => evictionOrders(state, nodeId, 'did not come over to the new root in time', now())),
      )
      recheck()
    }
    await askNext()
    if (countBehind(foundedCluster(store.state()), members(store.state()), now()) > 0) return
    await order((state) => [
      { part: 'authority', command: { type: 'finish-rotation', members: members(state), now: now() } },
    ])
    announce({ event: 'root-rotation', phase: foundedCluster(store.state()).rotation?.phase ?? 'idle' })
  }

  const step = async (): Promise<void> => {
    const authority = foundedCluster(store.state())
    const trustBundle = trustBundleOf(authority)
    if (keys.identity().trustBundle !== trustBundle) await use({ ...keys.identity(), trustBundle })
    const { rotation } = authority
    switch (rotation?.phase) {
      case 'cross-signed':
        await order(() => [{ part: 'authority', command: { type: 'begin-reissue', now: now() } }])
        announce({ event: 'root-rotation', phase: 'reissuing' })
        break
      case 'reissuing':
      case 'reverting':
        await bringOver(authority)
        break
      case 'finishing':
        if (now() < (rotation.tokensUntil ?? 0)) break
        await order(() => [{ part: 'authority', command: { type: 'close-rotation', now: now() } }])
        announce({ event: 'root-rotation', phase: 'idle' })
        break
      case 'planned':
      case undefined:
        break
    }
  }

  return {
    saw: (socket) => {
      if (open.has(socket)) return
      open.add(socket)
      fresh.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        // Nobody may look for days: while a rotation finishes, old join tokens are waited for and nothing else.
        fresh.delete(socket)
      })
      if (foundedCluster(store.state()).rotation === null) fresh.clear()
    },
    run: async (signal) => {
      while (!signal.aborted) {
        try {
          await step()
        } catch (error) {
          // Somebody ordered something else in between, or a request was superseded: the next step sees it.
          announce({ event: 'root-rotation-delayed', code: codeOf(error) ?? 'INTERNAL' })
        }
        await sleep(STEP_MS, undefined, { signal }).catch(() => undefined)
      }
    },
  }
}
