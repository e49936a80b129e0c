import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { clearWrapper, openKeyFile } from '@leastwise/identity/node'
import type { Anchoring } from '@leastwise/raftlog'
import { createLog } from '@leastwise/raftlog/node'
import type { NewTokenAnswer } from '../../operator/answers.ts'
import { managerKeys } from '../manager-keys.ts'
import { openStore } from '../store.ts'
import { type FoundingAuthority, newCluster } from './genesis.ts'

/** Where a manager's durable state lies inside its data directory. */
export const statePlaces = (
  dataDirectory: string,
): { readonly state: string; readonly keyFile: string; readonly log: string } => {
  const state = join(dataDirectory, 'state')
  return { state, keyFile: join(state, 'node.key'), log: join(state, 'log') }
}

export const isFounded = (dataDirectory: string): boolean => existsSync(statePlaces(dataDirectory).state)

function renameDurably(from: string, to: string, directory: string): void {
  renameSync(from, to)
  const handle = openSync(directory, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/**
 * The first start of a manager.
 *
 * Everything is made in a directory beside the final one, which then gets its name in one step: a crash on the way
 * leaves no half-made cluster, and no root key in an abandoned log.
 */
export async function makeState<T>(dataDirectory: string, make: (founding: string) => Promise<T>): Promise<T> {
  const founding = join(dataDirectory, 'founding')
  rmSync(founding, { recursive: true, force: true })
  mkdirSync(founding, { mode: 0o700 })
  try {
    const made = await make(founding)
    renameDurably(founding, statePlaces(dataDirectory).state, dataDirectory)
    return made
  } catch (error) {
    rmSync(founding, { recursive: true, force: true })
    throw error
  }
}

/** How a cluster is founded. */
export interface FoundOptions {
  readonly now: number
  readonly signal: AbortSignal
  /** Default is a new root of the cluster's own. */
  readonly authority?: FoundingAuthority
  /** What remembers how far a log in the data directory has come; nothing unless given. */
  readonly anchoring?: Anchoring
}

/**
 * Founds a cluster with a log in the manager's own data directory.
 *
 * @returns the two tokens; they are kept nowhere, so show them now.
 */
export async function foundCluster(
  dataDirectory: string,
  { now, ...options }: FoundOptions,
): Promise<readonly NewTokenAnswer[]> {
  return await makeState(dataDirectory, async (founding) => {
    const { clusterId, nodeId, identity, orders, tokens } = await newCluster(now, options)
    const keys = managerKeys({
      file: await openKeyFile(join(founding, 'node.key')),
      wrapper: clearWrapper,
      content: { ...identity, companion: {} },
    })
    await using log = await createLog({
      directory: join(founding, 'log'),
      clusterId,
      logId: nodeId,
      keys: keys.keyStore,
      wrapper: clearWrapper,
      ...(options.anchoring === undefined ? {} : { anchoring: options.anchoring }),
    })
    const store = await openStore(log)
    await store.commit(() => orders)
    await log.close()
    return tokens
  })
}
