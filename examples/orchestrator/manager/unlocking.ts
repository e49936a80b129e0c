import { type KeyWrapper, parseCertificateChain, parseNodeSubject } from '@leastwise/identity'
import { clearWrapper, type KeyFileContent, openKeyFile } from '@leastwise/identity/node'
import type { SealedLog } from '@leastwise/raftlog'
import { unlockKeyWrapper } from '@leastwise/raftlog'
import { openLog } from '@leastwise/raftlog/node'
import { parseUnlockKey } from '@leastwise/tokens'
import { systemRandom } from '@leastwise/tokens/node'
import { OrchestratorError } from '../errors.ts'
import { statePlaces } from './found.ts'
import { type ManagerKeys, managerKeys } from './manager-keys.ts'

/** What an unlocked manager works on. */
export interface Opened {
  readonly clusterId: string
  readonly nodeId: string
  readonly keys: ManagerKeys
  readonly log: SealedLog
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

/** Opens key file and log; `wrapper` is null when there is no lock. */
export async function openManager(dataDirectory: string, wrapper: KeyWrapper | null): Promise<Opened> {
  const places = statePlaces(dataDirectory)
  const file = await openKeyFile(places.keyFile)
  const used = wrapper ?? clearWrapper
  const content = await file.load(used)
  if (content === null) throw noKeyFile()
  const { clusterId, nodeId } = namesIn(content)
  const keys = managerKeys({ file, wrapper: used, content })
  const log = await openLog({ directory: places.log, clusterId, logId: nodeId, keys: keys.keyStore, wrapper: used })
  return { clusterId, nodeId, keys, log }
}
