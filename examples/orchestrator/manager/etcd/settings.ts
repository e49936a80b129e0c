import type { EtcdClient } from '@leastwise/raftlog-etcd'
import { etcdClient } from '@leastwise/raftlog-etcd/node'
import { OrchestratorError } from '../../errors.ts'
import { namedFile } from '../../named-file.ts'
import { type Given, textOf } from '../../operator/command.ts'

/** How this manager reaches etcd, as the command line says it. */
export interface EtcdSettings {
  readonly endpoints: readonly string[]
  readonly trustBundle: string
  readonly certificateChain: string
  readonly privateKey: string
  readonly serverName: string | null
}

/** The options of `manager` that are about etcd. */
export const etcdOptions = ['engine', 'etcd', 'etcd-ca', 'etcd-cert', 'etcd-key', 'etcd-name'] as const

function fileOf(given: Given, option: string): string {
  const content = namedFile(given, option)
  if (content === null)
    throw new OrchestratorError('USAGE', `--engine etcd needs --${option} FILE; see leastwise-orchestrator help`)
  return content
}

/**
 * Reads them; null for the embedded default.
 *
 * @throws {@link OrchestratorError} `USAGE`
 */
export function etcdSettings(given: Given): EtcdSettings | null {
  const engine = textOf(given, 'engine') ?? 'file'
  if (engine !== 'file' && engine !== 'etcd') throw new OrchestratorError('USAGE', 'the engine is file or etcd')
  if (engine === 'file') {
    const stray = etcdOptions.slice(1).find((option) => textOf(given, option) !== undefined)
    if (stray === undefined) return null
    throw new OrchestratorError('USAGE', `--${stray} goes with --engine etcd`)
  }
  const endpoints = (textOf(given, 'etcd') ?? '').split(',').filter((endpoint) => endpoint !== '')
  if (endpoints.length === 0 || !endpoints.every((endpoint) => endpoint.startsWith('https://')))
    throw new OrchestratorError('USAGE', '--engine etcd needs --etcd https://HOST:PORT[,https://HOST:PORT...]')
  return {
    endpoints,
    trustBundle: fileOf(given, 'etcd-ca'),
    certificateChain: fileOf(given, 'etcd-cert'),
    privateKey: fileOf(given, 'etcd-key'),
    serverName: textOf(given, 'etcd-name') ?? null,
  }
}

export function connectEtcd({ endpoints, serverName, ...pems }: EtcdSettings): EtcdClient {
  try {
    return etcdClient({ endpoints, tls: { ...pems, ...(serverName === null ? {} : { serverName }) } })
  } catch (cause) {
    throw new OrchestratorError('USAGE', 'the addresses or certificates for etcd cannot be used; look at --etcd*', {
      cause,
    })
  }
}
