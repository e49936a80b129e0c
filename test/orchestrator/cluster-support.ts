import { createId, createJoinToken, hashTokenSecret } from '@leastwise/tokens'
import { systemDigest, systemRandom } from '@leastwise/tokens/node'
import type { ClusterCommand } from '../../examples/orchestrator/manager/cluster-state.ts'

const HOUR_MS = 3_600_000
const NOW = Date.UTC(2026, 10, 21, 12)

/** A node's id that ends in `number`. */
export const nodeId = (number: number): string => `n${number.toString(36).padStart(24, '0')}`

export const createSecret = (name: string, value: Uint8Array = new Uint8Array([1, 2, 3])): ClusterCommand => ({
  part: 'secrets',
  command: { type: 'create', id: createId(systemRandom), name, value, labels: { from: 'test' }, now: NOW },
})

export const createSecretWithId = (id: string, name: string): ClusterCommand => ({
  part: 'secrets',
  command: { type: 'create', id, name, value: new TextEncoder().encode(name), labels: {}, now: NOW },
})

export const mintToken = (): ClusterCommand => {
  const { secret } = createJoinToken({ trustDigest: new Uint8Array(32), random: systemRandom })
  return {
    part: 'tokens',
    command: {
      type: 'mint',
      id: createId(systemRandom),
      role: 'worker',
      secretHash: hashTokenSecret(secret, systemDigest),
      now: NOW,
      ttlMs: HOUR_MS,
      maxUses: 3,
    },
  }
}

export const runTask = (id: string, secretId: string, node = nodeId(1)): readonly ClusterCommand[] => [
  {
    part: 'secrets',
    command: {
      type: 'grant',
      taskId: id,
      nodeId: node,
      references: [{ secretId, target: 'file', uid: null, gid: null, mode: 0o400 }],
    },
  },
  {
    part: 'tasks',
    command: {
      type: 'run',
      id,
      nodeId: node,
      command: ['true'],
      secrets: [{ secretId, name: 'x', target: 'file', uid: null, gid: null, mode: 0o400 }],
      now: NOW,
    },
  },
]
