import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { EtcdLogError } from '../errors.ts'
import type {
  Compare,
  KeyValue,
  Operation,
  RangeAnswer,
  RangeRequest,
  TxnAnswer,
  TxnRequest,
  WatchAnswer,
} from '../etcd/etcd.ts'
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  type CompareSchema,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  RangeRequestSchema,
  type RangeResponse,
  type RequestOpSchema,
  TxnRequestSchema,
  type TxnResponse,
  type WatchResponse,
  type TxnRequest as WireTxn,
} from '../gen/etcdserverpb/rpc_pb.ts'
import { Event_EventType, type KeyValue as WireKeyValue } from '../gen/mvccpb/kv_pb.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

const invalid = (what: string, cause?: unknown): EtcdLogError =>
  new EtcdLogError('ETCD_ANSWER_INVALID', `answer of etcd ${what}; look at its version`, { cause })

function textOf(key: Uint8Array): string {
  try {
    return decoder.decode(key)
  } catch (error) {
    throw invalid('names a key that is no text', error)
  }
}

const keyValue = (kv: WireKeyValue): KeyValue => ({
  key: textOf(kv.key),
  value: new Uint8Array(kv.value),
  createRevision: kv.createRevision,
  modRevision: kv.modRevision,
  version: kv.version,
  lease: kv.lease,
})

const revisionOf = ({ header }: { readonly header?: { readonly revision: bigint } | undefined }): bigint => {
  if (header === undefined) throw invalid('has no header')
  return header.revision
}

const rangeInit = ({
  key,
  end,
  limit,
  revision,
  order,
}: RangeRequest): MessageInitShape<typeof RangeRequestSchema> => ({
  key: encoder.encode(key),
  ...(end === undefined ? {} : { rangeEnd: encoder.encode(end) }),
  ...(limit === undefined ? {} : { limit: BigInt(limit) }),
  ...(revision === undefined ? {} : { revision }),
  sortOrder: order === 'descending' ? RangeRequest_SortOrder.DESCEND : RangeRequest_SortOrder.ASCEND,
  sortTarget: RangeRequest_SortTarget.KEY,
})

const TARGETS = {
  modRevision: Compare_CompareTarget.MOD,
  createRevision: Compare_CompareTarget.CREATE,
  version: Compare_CompareTarget.VERSION,
} as const
const RESULTS = {
  '=': Compare_CompareResult.EQUAL,
  '<': Compare_CompareResult.LESS,
  '>': Compare_CompareResult.GREATER,
  '!=': Compare_CompareResult.NOT_EQUAL,
} as const

const compareInit = ({ key, target, is, value }: Compare): MessageInitShape<typeof CompareSchema> => ({
  key: encoder.encode(key),
  target: TARGETS[target],
  result: RESULTS[is],
  targetUnion: { case: target, value },
})

function operationInit(operation: Operation): MessageInitShape<typeof RequestOpSchema> {
  switch (operation.kind) {
    case 'range':
      return { request: { case: 'requestRange', value: rangeInit(operation.range) } }
    case 'put': {
      const { key, value, lease = 0n } = operation
      return { request: { case: 'requestPut', value: { key: encoder.encode(key), value, lease } } }
    }
    case 'delete': {
      const { key, end } = operation
      const rangeEnd = end === undefined ? {} : { rangeEnd: encoder.encode(end) }
      return { request: { case: 'requestDeleteRange', value: { key: encoder.encode(key), ...rangeEnd } } }
    }
  }
}

/** A read as it goes over the wire; linearizable, because nothing else is asked for. */
export const encodeRange = (request: RangeRequest): ReturnType<typeof create<typeof RangeRequestSchema>> =>
  create(RangeRequestSchema, rangeInit(request))

/** A transaction as it goes over the wire. */
export const encodeTxn = ({ compare, success, failure = [] }: TxnRequest): WireTxn =>
  create(TxnRequestSchema, {
    compare: compare.map(compareInit),
    success: success.map(operationInit),
    failure: failure.map(operationInit),
  })

/** @throws {@link EtcdLogError} `ETCD_ANSWER_INVALID` */
export const decodeRange = (answer: RangeResponse): RangeAnswer => ({
  revision: revisionOf(answer),
  kvs: answer.kvs.map(keyValue),
  more: answer.more,
})

/** @throws {@link EtcdLogError} `ETCD_ANSWER_INVALID` */
export function decodeTxn(answer: TxnResponse): TxnAnswer {
  const revision = revisionOf(answer)
  const ranges = answer.responses.flatMap(({ response }) =>
    response.case === 'responseRange'
      ? [{ revision, kvs: response.value.kvs.map(keyValue), more: response.value.more }]
      : [],
  )
  return { revision, succeeded: answer.succeeded, ranges }
}

/**
 * What a message of a watch says; null if it holds no change.
 *
 * @throws {@link EtcdLogError} `ETCD_COMPACTED` or `ETCD_UNREACHABLE` if it ends the watch.
 */
export function decodeWatch(message: WatchResponse): WatchAnswer | null {
  if (message.compactRevision > 0n) {
    throw new EtcdLogError('ETCD_COMPACTED', 'etcd has forgotten this revision; read the newest one')
  }
  if (message.canceled) throw new EtcdLogError('ETCD_UNREACHABLE', 'etcd ended the watch; begin another one')
  if (message.events.length === 0) return null
  const events = message.events.map(({ type, kv }) => {
    if (kv === undefined) throw invalid('tells of a change without a key')
    const { key, value, modRevision } = keyValue(kv)
    return { kind: type === Event_EventType.DELETE ? ('delete' as const) : ('put' as const), key, value, modRevision }
  })
  return { revision: revisionOf(message), events }
}
