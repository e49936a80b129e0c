import { decodePlain, encodePlain } from '../../plain-data.ts'

/** A manager says which nodes are connected to it, under a signature of its node key. */
export interface PresenceStatement {
  readonly clusterId: string
  readonly managerId: string
  readonly nodes: readonly string[]
  /** Epoch milliseconds; a later one takes the place of an earlier one. */
  readonly at: number
}

const LABEL = 'leastwise-orchestrator presence v1'
/** Etcd takes 1.5 MiB in a request: some 35,000 nodes. */
export const MAX_PRESENCE_BYTES = 1024 * 1024

export const encodePresence = (statement: PresenceStatement): Uint8Array => encodePlain([LABEL, { ...statement }])

export function decodePresence(bytes: Uint8Array): PresenceStatement | null {
  try {
    const pair = decodePlain(bytes)
    if (!Array.isArray(pair) || pair.length !== 2 || pair[0] !== LABEL) return null
    const { clusterId, managerId, nodes, at } = pair[1] as Readonly<Record<string, unknown>>
    const isWell =
      typeof clusterId === 'string' &&
      typeof managerId === 'string' &&
      Number.isSafeInteger(at) &&
      Array.isArray(nodes) &&
      nodes.every((node) => typeof node === 'string')
    return isWell ? { clusterId, managerId, nodes, at: at as number } : null
  } catch {
    return null
  }
}
