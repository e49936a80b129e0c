import { emptyShardedMap, withEntry } from '../sharded-map.ts'
import { type FoundedAuthority, withRotation } from './founded.ts'
import { DEFAULT_ROTATION_POLICY, type RotationPolicy } from './policy.ts'
import { aimOf, hasCome, progressOf } from './progress.ts'
import type { RotationEvent } from './rotation-messages.ts'
import { MAX_GIVEN_UP, type NodeProgress, type Rotation } from './rotation-state.ts'

const planned = (policy: RotationPolicy, at: number): Rotation => ({
  phase: 'planned',
  policy,
  plannedAt: at,
  target: null,
  givenUp: [],
  aim: 0,
  hasReissued: false,
  reissuingSince: null,
  window: policy.startWindow,
  progress: emptyShardedMap(),
  converged: 0,
  latestNotAfter: 0,
  tokensUntil: null,
})

/** Towards another aim: what nodes present stays known, what they were asked counts for nothing. */
function towards(state: FoundedAuthority, change: Pick<Rotation, 'phase' | 'target'>, at: number): FoundedAuthority {
  // A rotation whose old root has gone already is over; only its bridge stays.
  const before =
    state.rotation === null || state.rotation.phase === 'finishing'
      ? planned(state.rotation?.policy ?? DEFAULT_ROTATION_POLICY, at)
      : state.rotation
  const aims = state.aims + 1
  const rotation: Rotation = {
    ...before,
    ...change,
    givenUp:
      before.hasReissued && before.target !== null
        ? [...before.givenUp, before.target.root.certificate].slice(-MAX_GIVEN_UP)
        : before.givenUp,
    aim: aims,
    reissuingSince: change.phase === 'reverting' ? at : null,
    window: before.policy.startWindow,
    converged: 0,
    latestNotAfter: 0,
  }
  return { ...withRotation(state, rotation), aims }
}

function asked(rotation: Rotation, event: RotationEvent & { type: 'batch-asked' }): Rotation {
  let { progress } = rotation
  for (const nodeId of event.nodes) {
    const node = progressOf(rotation, nodeId)
    const asks = node.askedFor === rotation.aim ? node.asks + 1 : 1
    progress = withEntry(progress, nodeId, { ...node, askedFor: rotation.aim, askedAt: event.at, asks })
  }
  return { ...rotation, progress, window: event.window }
}

function observed(rotation: Rotation, aim: string, event: RotationEvent & { type: 'nodes-observed' }): Rotation {
  let { progress, converged, latestNotAfter } = rotation
  for (const { nodeId, rootId, notAfter } of event.nodes) {
    const node = progressOf({ ...rotation, progress }, nodeId)
    converged += (rootId === aim ? 1 : 0) - (hasCome(rotation, aim, node) ? 1 : 0)
    if (rootId === aim) latestNotAfter = Math.max(latestNotAfter, notAfter)
    const presented = { presents: rootId, presentedFor: rotation.aim, presentedAt: event.at }
    progress = withEntry(progress, nodeId, { ...node, ...presented })
  }
  return { ...rotation, progress, converged, latestNotAfter }
}

function finished(state: FoundedAuthority, event: RotationEvent & { type: 'rotation-finished' }): FoundedAuthority {
  const { rotation, roots } = state
  if (rotation?.target === null || rotation === null) return state
  const { root, crossSigned } = rotation.target
  const bridge = { certificate: roots[0].certificate, crossSigned, until: event.bridgeUntil }
  const bridges = [bridge, ...state.bridges.filter(({ until }) => until > event.at)]
  const finishing = { ...rotation, phase: 'finishing' as const, target: null, tokensUntil: event.tokensUntil }
  // Who came over has been counted for the last time.
  return { ...withRotation(state, { ...finishing, progress: emptyShardedMap() }), roots: [root], bridges }
}

/** Applies what happened to a rotation. An event that does not fit the state changes nothing. */
export function evolveRotation(state: FoundedAuthority, event: RotationEvent): FoundedAuthority {
  const { rotation } = state
  switch (event.type) {
    case 'rotation-planned':
      return withRotation(
        state,
        rotation === null ? planned(event.policy, event.at) : { ...rotation, policy: event.policy },
      )
    case 'rotation-started': {
      const { root, rootId, crossSigned, at } = event
      return towards(state, { phase: 'cross-signed', target: { root, rootId, crossSigned } }, at)
    }
    case 'rotation-restored': {
      const { aims, bridges } = event
      const restored = event.rotation === null ? null : { ...event.rotation, progress: emptyShardedMap<NodeProgress>() }
      return { ...withRotation(state, restored), aims, bridges }
    }
    case 'rotation-closed':
      return withRotation(state, null)
    case 'rotation-reverted':
      return withRotation(state, null)
    case 'rotation-finished':
      return finished(state, event)
    case 'rotation-aborted':
      return rotation?.hasReissued === true
        ? towards(state, { phase: 'reverting', target: null }, event.at)
        : withRotation(state, null)
    case 'reissue-begun':
    case 'batch-asked':
    case 'nodes-observed':
    case 'rotation-nodes-restored':
      return rotation === null ? state : withRotation(state, evolveNodes(state, rotation, event))
  }
}

type NodeEvent = Extract<
  RotationEvent,
  { type: 'batch-asked' | 'nodes-observed' | 'reissue-begun' | 'rotation-nodes-restored' }
>

function evolveNodes(state: FoundedAuthority, rotation: Rotation, event: NodeEvent): Rotation {
  switch (event.type) {
    case 'reissue-begun':
      return { ...rotation, phase: 'reissuing', hasReissued: true, reissuingSince: event.at }
    case 'batch-asked':
      return asked(rotation, event)
    case 'nodes-observed':
      return observed(rotation, aimOf(rotation, state.roots[0]), event)
    case 'rotation-nodes-restored': {
      let { progress } = rotation
      for (const node of event.nodes) progress = withEntry(progress, node.nodeId, node)
      return { ...rotation, progress }
    }
  }
}
