import type { Anchoring } from '@leastwise/raftlog'
import { formatAddress, parseAddress } from '../../address.ts'
import { OrchestratorError } from '../../errors.ts'
import type { NewTokenAnswer } from '../../operator/answers.ts'
import { type Given, textOf } from '../../operator/command.ts'
import type { OwnCa } from '../../own-ca.ts'
import { tokenFrom } from '../../token-given.ts'
import { foundInEtcd, joinAsManager } from '../etcd/first-start.ts'
import { connectEtcd, type EtcdSettings } from '../etcd/settings.ts'
import { foundOutside } from '../root/external-ca/found-outside.ts'
import type { ExternalCaSettings } from '../root/external-ca/settings.ts'
import { foundWithKeeper } from '../root/found-with-keeper.ts'
import type { SigningKeeper } from '../root/root-keeper.ts'
import { type FoundOptions, foundCluster } from './found.ts'
import { foundOnOwnCa } from './genesis.ts'

/** What the command line says about where the cluster's state and its key are. */
export interface FirstStartOptions {
  readonly etcd: EtcdSettings | null
  readonly externalCa: ExternalCaSettings | null
  /** Where to make the root's key; null for the log. */
  readonly keeper: SigningKeeper | null
  /** A CA to found the cluster on; null for one of its own making. */
  readonly ownCa: OwnCa | null
  readonly anchoring: Anchoring | null
  readonly signal: AbortSignal
}

/**
 * Founds a cluster, or joins the one that `--join` leads to.
 *
 * @returns the first join tokens of a new cluster.
 */
export async function firstStart(
  dataDirectory: string,
  given: Given,
  { etcd, externalCa, keeper, ownCa, anchoring, signal }: FirstStartOptions,
): Promise<readonly NewTokenAnswer[]> {
  const join = textOf(given, 'join')
  const found = async (make: (options: FoundOptions) => Promise<readonly NewTokenAnswer[]>) => {
    const now = Date.now()
    const authority =
      externalCa !== null
        ? await foundOutside(externalCa, { now, signal })
        : ownCa !== null
          ? await foundOnOwnCa(ownCa, { now })
          : keeper !== null
            ? await foundWithKeeper(keeper, { now })
            : null
    try {
      const options = { ...(authority === null ? {} : { authority }), ...(anchoring === null ? {} : { anchoring }) }
      return await make({ now, signal, ...options })
    } catch (error) {
      await authority?.discard()
      throw error
    }
  }
  if (etcd === null) {
    if (join === undefined) return await found(async (options) => await foundCluster(dataDirectory, options))
    throw new OrchestratorError('USAGE', 'several managers share their log in etcd: start with --engine etcd to join')
  }
  if (join !== undefined) {
    const addresses = join.split(',').map((address) => formatAddress(parseAddress(address)))
    const [first = '', ...rest] = addresses
    await joinAsManager(dataDirectory, { addresses: [first, ...rest], token: tokenFrom(given), signal })
    return []
  }
  await using client = connectEtcd(etcd)
  return await found(async (options) => await foundInEtcd(dataDirectory, client, options))
}
