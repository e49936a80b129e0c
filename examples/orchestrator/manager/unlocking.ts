import { type KeyWrapper, parseCertificateChain, parseNodeSubject } from '@leastwise/identity'
import { clearWrapper, type KeyFileContent, openKeyFile } from '@leastwise/identity/node'
import { type Anchoring, unlockKeyWrapper } from '@leastwise/raftlog'
import { openLog } from '@leastwise/raftlog/node'
import { parseUnlockKey } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import { OrchestratorError } from '../errors.ts'
import { type Engine, fileEngine } from './engine.ts'
import { openMember } from './etcd/open-member.ts'
import { MEMBERSHIP } from './etcd/own-membership.ts'
import { connectEtcd, type EtcdSettings } from './etcd/settings.ts'
import { statePlaces } from './founding/found.ts'
import { type ManagerKeys, managerKeys, openSealed } from './manager-keys.ts'

/** What an unlocked manager works on. */
export interface Opened {
  readonly clusterId: string
  readonly nodeId: string
  readonly keys: ManagerKeys
  readonly engine: Engine
}

/** The wrapper that an unlock key stands for, as the operator types the key: one line, spaces around it do not matter. */
export function wrapperOf(unlockKey: Uint8Array): KeyWrapper {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(unlockKey).trim()
  } catch {
    text = ''
  }
  using key = parseUnlockKey(text)
  return key.expose((bytes) => unlockKeyWrapper(bytes, systemRandom))
}

const noKeyFile = (): OrchestratorError =>
  new OrchestratorError('JOURNAL_UNREADABLE', 'the data directory has no key file; restore it from a backup')

export async function isLocked(dataDirectory: string): Promise<boolean> {
  const facts = await (await openKeyFile(statePlaces(dataDirectory).keyFile)).inspect()
  if (facts === null)
    throw new OrchestratorError('JOURNAL_UNREADABLE', 'the data directory has no key file; restore it from a backup')
  return facts.locked
}

function namesIn(content: KeyFileContent): { readonly clusterId: string; readonly nodeId: string } {
  const leaf = content.certificateChain === null ? undefined : parseCertificateChain(content.certificateChain)[0]
  if (leaf === undefined)
    throw new OrchestratorError('JOURNAL_UNREADABLE', 'the key file holds no certificate; restore it from a backup')
  return parseNodeSubject(leaf.subject)
}

/** How to open a manager's state. */
export interface OpenOptions {
  /** Null when there is no lock. */
  readonly wrapper: KeyWrapper | null
  /** Null for the engine that lies in the data directory. */
  readonly etcd: EtcdSettings | null
  /** What remembers how far the log in the data directory had come; null for nothing. */
  readonly anchoring: Anchoring | null
  readonly now: () => number
  readonly signal: AbortSignal
}

/** Opens key file and log. */
export async function openManager(
  dataDirectory: string,
  { wrapper, etcd, anchoring, now, signal }: OpenOptions,
): Promise<Opened> {
  const places = statePlaces(dataDirectory)
  const file = await openKeyFile(places.keyFile)
  const used = wrapper ?? clearWrapper
  const content = await file.load(used)
  if (content === null) throw noKeyFile()
  const { clusterId, nodeId } = namesIn(content)
  const keys = managerKeys({ file, wrapper: used, content, sealed: await openSealed(content, used) })
  const bytes = keys.companion(MEMBERSHIP)
  if ((bytes !== null) !== (etcd !== null)) {
    throw new OrchestratorError(
      'ENGINE_DIFFERS',
      bytes === null
        ? 'this manager has its log in its data directory; start it without --engine etcd'
        : 'this manager has its log in etcd; start it with --engine etcd and the addresses',
    )
  }
  if (bytes === null || etcd === null) {
    const log = await openLog({
      ...{ directory: places.log, clusterId, logId: nodeId, keys: keys.keyStore, wrapper: used },
      ...(anchoring === null ? {} : { anchoring }),
    })
    return { clusterId, nodeId, keys, engine: fileEngine(log, keys) }
  }
  const client = connectEtcd(etcd)
  try {
    const engine = await openMember({ etcd: client, clusterId, nodeId, keys, bytes, now, signal })
    return { clusterId, nodeId, keys, engine }
  } catch (error) {
    await client.close()
    throw error
  }
}
