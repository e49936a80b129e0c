import type { ServiceImpl } from '@connectrpc/connect'
import { linkSignals } from '../abortable.ts'
import { callerOf } from '../access.ts'
import { SwarmError } from '../errors.ts'
import type { Evictions } from '../gen/leastwise/v1/evictions_pb.ts'
import { safeNumber } from '../wire/fields.ts'
import type { EvictionsPort } from './port.ts'

/** Pushes the signed lists of evictions: one stream for each node, so that nobody makes the manager send the same to him many times at once. */
export function evictionsService(evictions: EvictionsPort): ServiceImpl<typeof Evictions> {
  const streams = new Map<string, (reason: unknown) => void>()
  return {
    follow: async function* ({ known }, context) {
      const { nodeId } = callerOf(context)
      const number = safeNumber(known, 'caller', 'number of the last list')
      using scope = linkSignals(context.signal)
      streams.get(nodeId)?.(
        new SwarmError('SESSION_REPLACED', 'this node follows the evictions in another stream, listen there'),
      )
      streams.set(nodeId, scope.abort)
      try {
        for await (const list of evictions.lists(number, { signal: scope.signal })) yield { list }
      } finally {
        if (streams.get(nodeId) === scope.abort) streams.delete(nodeId)
      }
    },
  }
}
