import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EtcdMembers, startEtcd } from './etcd-members.ts'
import { operate, type Running, start } from './processes.ts'

/** A worker of the demo. */
export interface DemoWorker {
  readonly data: string
  readonly process: Running
  readonly nodeId: string
}

/** A manager that joined the first one. */
export interface DemoManager {
  readonly data: string
  readonly process: Running
  readonly nodeId: string
}

/** Everything that the demo started and must end. */
export interface DemoCluster {
  readonly directory: string
  readonly managerData: string
  /** Starts the first manager, on etcd once {@link DemoCluster.useEtcd} was called. */
  readonly startManager: (listen: string) => Running
  /** Starts one more manager, which joins, and waits until it is ready; gives its data directory. */
  readonly joinManager: (name: string, address: string, token: string) => Promise<DemoManager>
  /** Starts three members of etcd for the managers to come. */
  readonly useEtcd: () => Promise<EtcdMembers>
  /** Starts a worker and waits until it has a session. */
  readonly startWorker: (name: string, address: string, token: string, more?: readonly string[]) => Promise<DemoWorker>
  readonly dataOf: (name: string) => string
  readonly tokenFile: (token: string) => string
  /** Commands of the operator go to the manager of this data directory from now on. */
  readonly speakTo: (data: string) => void
  /** Runs an operator's command against the manager; an answer with an error rejects. */
  readonly operator: <Answer>(args: readonly string[], input?: Uint8Array | string, data?: string) => Promise<Answer>
  /** The same, giving the code with which the manager refused, or null. */
  readonly refusal: (args: readonly string[], input?: Uint8Array | string) => Promise<string | null>
  readonly close: () => Promise<void>
}

export class OperatorRefused extends Error {
  override readonly name = 'OperatorRefused'
}

const errorOf = (answer: unknown): { readonly code: string; readonly message: string } | null =>
  typeof answer === 'object' && answer !== null && 'error' in answer
    ? (answer.error as { code: string; message: string })
    : null

export function openCluster(): DemoCluster {
  const directory = mkdtempSync(join(tmpdir(), 'leastwise-demo-'))
  // Tasks with users of their own leave their findings in here.
  chmodSync(directory, 0o711)
  const managerData = join(directory, 'manager')
  const processes: Running[] = []
  const run = (args: readonly string[]): Running => {
    const process = start(args)
    processes.push(process)
    return process
  }
  let etcd: EtcdMembers | null = null
  const manage = (data: string, listen: string, more: readonly string[] = []): Running =>
    run(['manager', '--data', data, '--listen', listen, ...(etcd?.managerArguments ?? []), ...more])
  let spokenTo = managerData
  const withData = (args: readonly string[], data = spokenTo): readonly string[] => {
    const at = args.indexOf('--')
    const own = ['--data', data]
    return at < 0 ? [...args, ...own] : [...args.slice(0, at), ...own, ...args.slice(at)]
  }
  const tokenFile = (token: string): string => {
    const path = join(directory, 'join-token')
    writeFileSync(path, `${token}\n`, { mode: 0o600 })
    return path
  }
  const dataOf = (name: string): string => join(directory, name)
  return {
    directory,
    managerData,
    dataOf,
    tokenFile,
    speakTo: (data) => {
      spokenTo = data
    },
    useEtcd: async () => {
      etcd = await startEtcd(directory)
      return etcd
    },
    startManager: (listen) => manage(managerData, listen),
    joinManager: async (name, address, token) => {
      const data = dataOf(name)
      const process = manage(data, '127.0.0.1:0', ['--join', address, '--token-file', tokenFile(token)])
      const ready = await process.wait('ready')
      return { data, process, nodeId: String(ready['nodeId']) }
    },
    startWorker: async (name, address, token, more = []) => {
      const data = dataOf(name)
      const worker = run(['worker', '--data', data, '--join', address, '--token-file', tokenFile(token), ...more])
      const joined = await worker.wait('joined')
      await worker.wait('session')
      return { data, process: worker, nodeId: String(joined['nodeId']) }
    },
    operator: async <Answer>(args: readonly string[], input?: Uint8Array | string, data?: string) => {
      const { answer } = await operate(withData(args, data), input)
      const error = errorOf(answer)
      if (error !== null || answer === null)
        throw new OperatorRefused(
          `${args.slice(0, 2).join(' ')}: ${error?.code ?? 'no answer'}: ${error?.message ?? ''}`,
        )
      return answer as Answer
    },
    refusal: async (args, input) => errorOf((await operate(withData(args), input)).answer)?.code ?? null,
    close: async () => {
      // First politely: a worker takes its files off tmpfs before it goes.
      await Promise.all(processes.map(async (process) => await process.end()))
      await etcd?.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
