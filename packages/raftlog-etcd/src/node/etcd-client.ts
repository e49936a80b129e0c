import { EtcdLogError } from '../errors.ts'
import type { CallOptions, EtcdClient, KeyRange, WatchAnswer } from '../etcd/etcd.ts'
import { joinSignals } from '../joined-signal.ts'
import { CALL_TIMEOUT_MS, type Endpoint, type EtcdClientOptions, openEndpoints } from './endpoints.ts'
import { isLeaseGone, statusError, wasNeverSent } from './etcd-status.ts'
import { decodeRange, decodeTxn, decodeWatch, encodeRange, encodeTxn } from './etcd-wire.ts'

// A stream of a member that lost the majority ends instead of staying silent.
const NEEDS_LEADER = { hasleader: 'true' }

const closedClient = (): EtcdLogError =>
  new EtcdLogError('ETCD_UNREACHABLE', 'client of etcd is closed; make another one')

const silentMember = (cause?: unknown): EtcdLogError =>
  new EtcdLogError('ETCD_UNREACHABLE', 'etcd did not answer; look at its members and the network', { cause })

/** Whether another member may do better. */
const isPassedOver = ({ code }: EtcdLogError): boolean => code === 'ETCD_UNREACHABLE' || code === 'ETCD_UNTRUSTED'

/** A stream that says one thing, and ends when it is told to. */
async function* saying<T>(message: T, until: AbortSignal): AsyncGenerator<T, void, void> {
  yield message
  await new Promise<void>((resolve) => {
    if (until.aborted) resolve()
    until.addEventListener(
      'abort',
      () => {
        resolve()
      },
      { once: true },
    )
  })
}

/**
 * A client of etcd. Reads that get no answer go to the next member. A transaction that writes does so only if the
 * connection could not be made; otherwise it is sent once, and the next call goes to another member.
 *
 * @throws TypeError if an address is none, or is not protected by TLS with a client certificate.
 */
export function etcdClient(options: EtcdClientOptions): EtcdClient {
  const endpoints = openEndpoints(options)
  const timeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS
  const closing = new AbortController()
  let current = 0
  /** Lasts as long as `current` stays. */
  let stay = new AbortController()

  /** Goes on at the next member, the watches as well: one that hangs would end them much later. */
  const passOver = (at: number): void => {
    if (current !== at) return
    current += 1
    stay.abort(silentMember())
    stay = new AbortController()
  }

  const endpoint = (): Endpoint => {
    const chosen = endpoints[current % endpoints.length]
    if (chosen === undefined || closing.signal.aborted) throw closedClient()
    return chosen
  }

  /** One call at one member; a silent one is passed over next time. */
  const once = async <T>(
    { signal }: CallOptions,
    run: (at: Endpoint, how: { readonly signal: AbortSignal; readonly timeoutMs: number }) => Promise<T>,
  ): Promise<T> => {
    signal.throwIfAborted()
    const at = current
    using joined = joinSignals(signal, closing.signal)
    try {
      return await run(endpoint(), { signal: joined.signal, timeoutMs })
    } catch (error) {
      signal.throwIfAborted()
      if (closing.signal.aborted) throw closedClient()
      const coded = statusError(error)
      if (isPassedOver(coded)) passOver(at)
      throw coded
    }
  }
  /** Asks one member after the other as long as `isSafe` says that the failed call may be made again. */
  const anywhere = async <T>(
    call: CallOptions,
    run: Parameters<typeof once<T>>[1],
    isSafe: (error: unknown) => boolean = () => true,
  ): Promise<T> => {
    let silence: EtcdLogError | null = null
    for (let left = endpoints.length; ; left -= 1) {
      try {
        return await once(call, run)
      } catch (error) {
        if (!(error instanceof EtcdLogError && isPassedOver(error))) throw error
        if (error.code === 'ETCD_UNREACHABLE') silence = error
        // One that is not trusted is no reason to give up as long as another may come back.
        if (!isSafe(error) || left <= 1) throw silence ?? error
      }
    }
  }

  async function* watch(
    { key, end }: KeyRange,
    revision: bigint,
    { signal }: CallOptions,
  ): AsyncGenerator<WatchAnswer, void, void> {
    signal.throwIfAborted()
    const text = new TextEncoder()
    const ending = new AbortController()
    using joined = joinSignals(signal, closing.signal, stay.signal, ending.signal)
    const ends = joined.signal
    // A member says at once that it watches; from then on pings tell whether it is there.
    const beginning = setTimeout(() => {
      ending.abort(silentMember())
    }, timeoutMs)
    const request = {
      requestUnion: {
        case: 'createRequest' as const,
        value: {
          key: text.encode(key),
          ...(end === undefined ? {} : { rangeEnd: text.encode(end) }),
          startRevision: revision,
        },
      },
    }
    const at = current
    try {
      const stream = endpoint().watch.watch(saying(request, ends), { signal: ends, headers: NEEDS_LEADER })
      for await (const message of stream) {
        clearTimeout(beginning)
        const answer = decodeWatch(message)
        if (answer !== null) yield answer
      }
      throw new EtcdLogError('ETCD_UNREACHABLE', 'etcd ended the watch; begin another one')
    } catch (error) {
      signal.throwIfAborted()
      if (closing.signal.aborted) throw closedClient()
      const coded = statusError(error)
      if (isPassedOver(coded)) passOver(at)
      // Others may be trusted: the call that comes before the next watch asks all of them.
      throw coded.code === 'ETCD_UNTRUSTED' && endpoints.length > 1 ? silentMember(coded) : coded
    } finally {
      clearTimeout(beginning)
      ending.abort()
    }
  }

  const keepLease: EtcdClient['keepLease'] = async (lease, call) =>
    await anywhere(call, async (at, how) => {
      const ending = new AbortController()
      using joined = joinSignals(how.signal, ending.signal)
      const ends = joined.signal
      try {
        const answers = at.lease.leaseKeepAlive(saying({ ID: lease }, ends), {
          signal: ends,
          timeoutMs: how.timeoutMs,
          headers: NEEDS_LEADER,
        })
        for await (const { TTL } of answers) return Number(TTL) * 1000
        throw new EtcdLogError('ETCD_UNREACHABLE', 'etcd did not renew the lease; try again')
      } finally {
        ending.abort()
      }
    })

  const close = async (): Promise<void> => {
    closing.abort(closedClient())
    for (const each of endpoints) each[Symbol.dispose]()
    await Promise.resolve()
  }

  return {
    range: async (request, call) =>
      decodeRange(await anywhere(call, async (at, how) => await at.kv.range(encodeRange(request), how))),
    txn: async (request, call) => {
      const reads = [...request.success, ...(request.failure ?? [])].every(({ kind }) => kind === 'range')
      const send = async (at: Endpoint, how: { readonly signal: AbortSignal; readonly timeoutMs: number }) =>
        await at.kv.txn(encodeTxn(request), how)
      return decodeTxn(await anywhere(call, send, reads ? () => true : wasNeverSent))
    },
    compact: async (revision, call) => {
      try {
        await anywhere(call, async (at, how) => await at.kv.compact({ revision, physical: true }, how))
      } catch (error) {
        // Somebody went further: it is done.
        if (!(error instanceof EtcdLogError && error.code === 'ETCD_COMPACTED')) throw error
      }
    },
    watch,
    grantLease: async (ttlMs, call) => {
      const answer = await anywhere(
        call,
        async (at, how) => await at.lease.leaseGrant({ TTL: BigInt(Math.ceil(ttlMs / 1000)) }, how),
      )
      return { lease: answer.ID, ttlMs: Number(answer.TTL) * 1000 }
    },
    keepLease,
    revokeLease: async (lease, call) => {
      await anywhere(call, async (at, how) => {
        try {
          await at.lease.leaseRevoke({ ID: lease }, how)
        } catch (error) {
          if (!isLeaseGone(error)) throw error
        }
      })
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
