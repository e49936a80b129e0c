import { valuesOf } from '../sharded-map.ts'
import type { FoundedAuthority } from './founded.ts'
import type { RotationEvent } from './rotation-messages.ts'

/** Nodes in one event of a snapshot. */
const NODES_PER_EVENT = 1000

/** The fewest events that bring the rotation of `state` back onto a freshly founded authority. The first may hold a private key. */
export function rotationHistory(state: FoundedAuthority): readonly RotationEvent[] {
  const { aims, bridges, rotation } = state
  if (rotation === null && aims === 0 && bridges.length === 0) return []
  if (rotation === null) return [{ type: 'rotation-restored', aims, bridges, rotation }]
  const { progress, ...rest } = rotation
  const events: RotationEvent[] = [{ type: 'rotation-restored', aims, bridges, rotation: rest }]
  const nodes = [...valuesOf(progress)]
  for (let at = 0; at < nodes.length; at += NODES_PER_EVENT)
    events.push({ type: 'rotation-nodes-restored', nodes: nodes.slice(at, at + NODES_PER_EVENT) })
  return events
}
