import { type EtcdClient, EtcdLogError, type TxnAnswer } from '@leastwise/raftlog-etcd'

/**
 * What becomes of one transaction: lost before or after it happened; `late` if it happens some calls later; and
 * `before the next` if it happens just before the next one that this client sends.
 */
export type Fate = 'fine' | 'request lost' | 'answer lost' | 'late' | 'before the next'

export interface FaultyClient {
  readonly client: EtcdClient
  /** Lets what is on its way arrive. */
  readonly arrive: () => Promise<void>
}

const silent = (): EtcdLogError => new EtcdLogError('ETCD_UNREACHABLE', 'no answer came; try again')

/** A client whose transactions that write meet the fates that are asked for, one each. */
export function faultyClient(inner: EtcdClient, fate: () => Fate, pause: () => Promise<void>): FaultyClient {
  const late: (() => Promise<TxnAnswer>)[] = []
  const due: (() => Promise<TxnAnswer>)[] = []
  const arrive = async (): Promise<void> => {
    for (const send of [...due.splice(0), ...late.splice(0)]) await send().catch(() => undefined)
  }
  return {
    arrive,
    client: {
      ...inner,
      range: async (request, call) => {
        await pause()
        return await inner.range(request, call)
      },
      txn: async (request, call) => {
        await pause()
        const writes = request.success.some(({ kind }) => kind !== 'range')
        if (writes) for (const send of due.splice(0)) await send().catch(() => undefined)
        const chosen = writes ? fate() : 'fine'
        switch (chosen) {
          case 'request lost':
            throw silent()
          case 'late':
          case 'before the next': {
            // Whoever sent it hears nothing, and cannot call it back.
            const { signal } = new AbortController()
            const waiting = chosen === 'late' ? late : due
            waiting.push(async () => await inner.txn(request, { signal }))
            throw silent()
          }
          case 'answer lost':
            await inner.txn(request, call)
            throw silent()
          case 'fine': {
            const answer = await inner.txn(request, call)
            if (writes && late.length > 0) await arrive()
            return answer
          }
        }
      },
    },
  }
}
