import { listNodes, type NodeRecord } from '@leastwise/identity'
import { OrchestratorError } from '../../errors.ts'
import type { ClusterState } from '../cluster-state.ts'

/** Shorter beginnings of an id are more likely a typing error than a choice. */
const MIN_PREFIX_CHARS = 4

/**
 * The node that an operator means by an id or by the beginning of one.
 *
 * @throws OrchestratorError `NOT_FOUND`
 */
export function findNode({ membership }: ClusterState, given: string): NodeRecord {
  const [found, ...others] = listNodes(membership).filter(
    ({ nodeId }) => nodeId === given || (given.length >= MIN_PREFIX_CHARS && nodeId.startsWith(given)),
  )
  if (found === undefined) throw new OrchestratorError('NOT_FOUND', 'no node has this id; node ls lists them')
  if (others.length > 0) throw new OrchestratorError('NOT_FOUND', 'several ids begin so; give more of it')
  return found
}
