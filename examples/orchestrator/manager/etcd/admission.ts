import { createHash } from 'node:crypto'
import { isEvicted, nodeOf, parseClusterId } from '@leastwise/identity'
import { systemClock } from '@leastwise/raftlog/node'
import { type EtcdClient, EtcdLogError, type KeyPin, type KeyRange, type SharedLog } from '@leastwise/raftlog-etcd'
import { deadlineOf } from '../../deadline.ts'
import { OrchestratorError } from '../../errors.ts'
import { foundedCluster } from '../issuing/issuing.ts'
import type { ManagerIdentity } from '../manager-keys.ts'
import { managerBehind, signed } from '../signed-by-manager.ts'
import type { Store } from '../store.ts'
import {
  type AdmissionRequest,
  decodeAnswer,
  decodeRequest,
  decodeSigned,
  encodeAnswer,
  encodeRequest,
  encodeSigned,
  REQUEST_AGE_MS,
} from './admission-statement.ts'
import { isMemberOf } from './member-id.ts'

const folder = (clusterId: string, name: string): string => `/leastwise-orchestrator/${clusterId}/${name}/`
const requests = (clusterId: string): KeyRange => {
  const start = folder(clusterId, 'asking')
  return { key: start, end: `${start.slice(0, -1)}0` }
}
/** The answer to one request: another request, even of the same manager, waits for another one. */
const answerKey = (clusterId: string, statement: Uint8Array): string =>
  folder(clusterId, 'admitted') + createHash('sha256').update(statement).digest('hex')

/** Before asking etcd again, which was silent. */
const PAUSE_MS = 500

const isPassing = (error: unknown): error is EtcdLogError =>
  error instanceof EtcdLogError && (error.code === 'ETCD_UNREACHABLE' || error.code === 'ETCD_COMPACTED')

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

export interface AskOptions {
  readonly etcd: EtcdClient
  readonly identity: ManagerIdentity
  readonly request: AdmissionRequest
  readonly now: () => number
  readonly waitMs: number
  readonly signal: AbortSignal
}

/**
 * Asks the managers of the cluster to let this one read the log, and waits for the answer of one of them.
 *
 * @returns where the chain of data keys stands, to open the log with.
 * @throws {@link OrchestratorError} `ADMISSION_REFUSED` when nobody answered in time.
 */
export async function askForAdmission(options: AskOptions): Promise<KeyPin> {
  const { etcd, identity, request, now, waitMs, signal } = options
  const { clusterId } = request
  const statement = encodeRequest(request)
  using time = deadlineOf(signal, waitMs)
  const deadline = time.signal
  const at = answerKey(clusterId, statement)
  const key = requests(clusterId).key + request.memberId
  const value = encodeSigned(signed(statement, identity))
  let silence: EtcdLogError | null = null
  const attempt = async (): Promise<KeyPin | null> => {
    await etcd.txn({ compare: [], success: [{ kind: 'put', key, value }] }, { signal: deadline })
    silence = null
    for await (const answered of valuesOf(etcd, at, deadline)) {
      const pin = await pinIn(answered, request, identity, now())
      if (pin !== null) return pin
    }
    return null
  }
  const isOver = (): boolean => deadline.aborted
  try {
    while (!isOver()) {
      try {
        const pin = await attempt()
        if (pin !== null) return pin
      } catch (error) {
        signal.throwIfAborted()
        // A member of etcd that dies is no answer: asking twice is as good as once.
        if (!isOver()) {
          if (!isPassing(error)) throw error
          silence = error
        }
      }
      await systemClock.sleep(PAUSE_MS, { signal: deadline }).catch(() => undefined)
    }
  } finally {
    const clear = [key, at].map((gone) => ({ kind: 'delete', key: gone }) as const)
    await etcd.txn({ compare: [], success: clear }, { signal: AbortSignal.timeout(2000) }).catch(() => undefined)
  }
  signal.throwIfAborted()
  if (silence !== null) throw silence
  throw new OrchestratorError(
    'ADMISSION_REFUSED',
    'no manager let this one into the log; see that another manager is running and that this one was not removed, then start it again',
  )
}

/** What a key holds, and then what it is given. */
async function* valuesOf(etcd: EtcdClient, key: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  const { kvs, revision } = await etcd.range({ key }, { signal })
  for (const { value } of kvs) yield value
  for await (const { events } of etcd.watch({ key }, revision + 1n, { signal }))
    for (const { kind, value } of events) if (kind === 'put') yield value
}

async function pinIn(
  bytes: Uint8Array,
  { clusterId, memberId, boxKey }: AdmissionRequest,
  { trustBundle }: ManagerIdentity,
  now: number,
): Promise<KeyPin | null> {
  const record = decodeSigned(bytes)
  const answer = record === null ? null : decodeAnswer(record.statement)
  if (record === null || answer === null) return null
  // Whoever can write to etcd can write an answer; only another manager can sign one, and only for this very request.
  if (answer.clusterId !== clusterId || answer.memberId !== memberId || !same(answer.boxKey, boxKey)) return null
  const peer = await managerBehind(record, { trustBundle, clusterId: parseClusterId(clusterId), now })
  return peer === null ? null : { generation: answer.generation, mark: answer.mark }
}

export interface AdmitOptions {
  readonly etcd: EtcdClient
  readonly log: SharedLog
  readonly store: Store
  readonly identity: () => ManagerIdentity
  readonly now: () => number
  readonly onAdmitted: (memberId: string) => void
  readonly signal: AbortSignal
}

/** Answers managers that ask, until the signal fires: wraps the data key for each that the cluster knows as a manager. */
export async function admitManagers(options: AdmitOptions): Promise<void> {
  const { etcd, store, signal } = options
  const range = requests(foundedCluster(store.state()).clusterId)
  const waiting = await etcd.range(range, { signal })
  for (const { value } of waiting.kvs) await admitOne(value, options)
  for await (const { events } of etcd.watch(range, waiting.revision + 1n, { signal }))
    for (const { kind, value } of events) if (kind === 'put') await admitOne(value, options)
}

async function admitOne(
  value: Uint8Array,
  { etcd, log, store, identity, now, onAdmitted, signal }: AdmitOptions,
): Promise<void> {
  const record = decodeSigned(value)
  const request = record === null ? null : decodeRequest(record.statement)
  if (record === null || request === null) return
  // It may have joined by way of another manager just now, or have been removed.
  await store.upToDate()
  if (!(await mayEnter(request, record, store, now()))) return
  const { clusterId, memberId, boxKey } = request
  await log.refresh({ signal })
  // Who has a box key already needs no other one let in; a request of earlier, sent again by somebody else, would bring an old one back.
  const isNode = (id: string): boolean => isMemberOf(id, request.nodeId)
  if (log.membership.members.some(({ id }) => id !== memberId && isNode(id))) return
  try {
    await log.membership.admit({ id: memberId, publicKey: boxKey })
  } catch (error) {
    // The name is taken by another box key, or the log has as many members as it can: whoever asks is told nothing, and the one who leads goes on.
    if (error instanceof RangeError || (error instanceof EtcdLogError && error.code === 'MEMBER_EXISTS')) return
    throw error
  }
  const { generation, mark } = log.membership.pin
  const answer = encodeAnswer({ clusterId, memberId, boxKey, generation, mark })
  const put = {
    kind: 'put',
    key: answerKey(clusterId, record.statement),
    value: encodeSigned(signed(answer, identity())),
  } as const
  await etcd.txn({ compare: [], success: [put] }, { signal })
  onAdmitted(memberId)
}

/** Whether the request is of a manager that is in the cluster now, and of today. */
async function mayEnter(
  request: AdmissionRequest,
  record: Parameters<typeof managerBehind>[0],
  store: Store,
  now: number,
): Promise<boolean> {
  const state = store.state()
  const { clusterId, roots } = foundedCluster(state)
  if (request.clusterId !== clusterId || Math.abs(now - request.at) > REQUEST_AGE_MS) return false
  const trustBundle = roots[0].certificate
  const peer = await managerBehind(record, { trustBundle, clusterId: parseClusterId(clusterId), now })
  const node = nodeOf(state.membership, request.nodeId)
  return (
    peer?.nodeId === request.nodeId &&
    node?.role === 'manager' &&
    !isEvicted(state.membership, request.nodeId) &&
    isMemberOf(request.memberId, request.nodeId)
  )
}
