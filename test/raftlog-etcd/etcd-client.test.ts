import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { Code, ConnectError, type ConnectRouter } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { serverContextOptions } from '@leastwise/identity/node'
import type { EtcdClient } from '@leastwise/raftlog-etcd'
import { allowClearText, etcdClient } from '@leastwise/raftlog-etcd/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { KV, Lease, Watch } from '../../packages/raftlog-etcd/src/gen/etcdserverpb/rpc_pb.ts'
import { statusError, wasNeverSent } from '../../packages/raftlog-etcd/src/node/etcd-status.ts'
import { identityOf, listen } from '../identity/tls-support.ts'
import { testCluster } from '../support/test-authority.ts'

const NO_TLS = { trustBundle: '', certificateChain: '', privateKey: '' }
const call = { signal: new AbortController().signal }
const put = (key: string) => ({ compare: [], success: [{ kind: 'put', key, value: new Uint8Array(1) }] }) as const

/** A member that answers as the test likes; gives its address. */
async function member(routes: (router: ConnectRouter) => void): Promise<string> {
  const server: Http2Server = createServer(connectNodeAdapter({ routes }))
  const sessions = new Set<ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const open = (endpoints: readonly string[], callTimeoutMs = 2000) => {
  const client = etcdClient({ endpoints, callTimeoutMs, [allowClearText]: true })
  onTestFinished(async () => {
    await client.close()
  })
  return client
}

const header = (revision: bigint) => ({ header: { revision } })

const hang = async (_request: unknown, { signal }: { readonly signal: AbortSignal }): Promise<never> =>
  await new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(new ConnectError('gone', Code.Canceled))
    })
  })

/** A member that answers nothing but watches, of which each tells of one change. */
const watched = async (): Promise<string> =>
  await member((router) => {
    router.service(KV, { range: hang })
    router.service(Watch, {
      watch: async function* (requests) {
        for await (const _request of requests) {
          yield { ...header(5n), created: true }
          yield { ...header(6n), events: [{ kv: { key: new TextEncoder().encode('a'), modRevision: 6n } }] }
        }
      },
    })
  })

describe('a client of etcd', () => {
  it('reads at the next member where one is silent, gone or without a majority', async () => {
    const asked: string[] = []
    const good = await member((router) =>
      router.service(KV, {
        range: () => {
          asked.push('good')
          return header(7n)
        },
      }),
    )
    const lost = await member((router) =>
      router.service(KV, {
        range: () => {
          asked.push('lost')
          throw new ConnectError('etcdserver: no leader', Code.Unavailable)
        },
      }),
    )
    const silent = await member((router) =>
      router.service(KV, {
        range: async (_request, { signal }) => {
          asked.push('silent')
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve)
          })
          return header(1n)
        },
      }),
    )
    const client = open(['http://127.0.0.1:1', silent, lost, good], 200)
    expect((await client.range({ key: 'a' }, call)).revision).toBe(7n)
    expect((await client.range({ key: 'a' }, call)).revision).toBe(7n)
    expect(asked).toEqual(['silent', 'lost', 'good', 'good'])
  })

  it('sends a transaction once, unless there was no connection', async () => {
    let sent = 0
    const failing = await member((router) =>
      router.service(KV, {
        txn: () => {
          sent += 1
          throw new ConnectError('etcdserver: request timed out', Code.Unavailable)
        },
      }),
    )
    const good = await member((router) => router.service(KV, { txn: () => ({ ...header(3n), succeeded: true }) }))
    const client = open([failing, good])
    await expect(client.txn(put('a'), call)).rejects.toThrowCode('ETCD_UNREACHABLE')
    expect(sent).toBe(1)
    expect(await client.txn(put('a'), call)).toEqual({ revision: 3n, succeeded: true, ranges: [] })
    const refusing = open(['http://127.0.0.1:1', good])
    expect((await refusing.txn(put('a'), call)).revision).toBe(3n)
    // One that only reads may be asked again.
    const reading = open([failing, good])
    expect((await reading.txn({ compare: [], success: [{ kind: 'range', range: { key: 'a' } }] }, call)).revision).toBe(
      3n,
    )
  })

  it('ends a watch that etcd ends, with the reason as a code', async () => {
    const answers = [
      { ...header(5n), created: true },
      { ...header(6n), events: [{ kv: { key: new TextEncoder().encode('a'), modRevision: 6n } }] },
    ]
    const serve = async (last: object) =>
      open([
        await member((router) =>
          router.service(Watch, {
            watch: async function* (requests) {
              for await (const _request of requests) {
                yield* answers
                yield last
                return
              }
            },
          }),
        ),
      ])
    for (const [last, code] of [
      [{ canceled: true, compactRevision: 9n }, 'ETCD_COMPACTED'],
      [{ canceled: true, cancelReason: 'no leader' }, 'ETCD_UNREACHABLE'],
      [header(6n), 'ETCD_UNREACHABLE'],
      [{ events: [{}] }, 'ETCD_ANSWER_INVALID'],
      [{ events: [{ kv: { key: Uint8Array.of(0xff) } }] }, 'ETCD_ANSWER_INVALID'],
    ] as const) {
      const watch = (await serve(last)).watch({ key: 'a' }, 1n, call)[Symbol.asyncIterator]()
      expect((await watch.next()).value).toMatchObject({ events: [{ kind: 'put', key: 'a', modRevision: 6n }] })
      await expect(watch.next(), code).rejects.toThrowCode(code)
    }
  })

  it('calls members untrusted only if no other one may come back', async () => {
    const identity = async () => identityOf(await (await testCluster()).issue({ role: 'manager' }))
    const [own, strange] = [await identity(), await identity()]
    const { port } = await listen({ ...serverContextOptions(strange), requestCert: false })
    const untrusted = `https://127.0.0.1:${port}`
    const { trustBundle } = own
    const connect = (endpoints: readonly string[]) => {
      const client = etcdClient({ endpoints, tls: { ...NO_TLS, trustBundle } })
      onTestFinished(async () => {
        await client.close()
      })
      return client
    }
    const watchFrom = async (client: EtcdClient): Promise<unknown> =>
      await client.watch({ key: 'a' }, 1n, call)[Symbol.asyncIterator]().next()
    await expect(connect([untrusted, untrusted]).range({ key: 'a' }, call)).rejects.toThrowCode('ETCD_UNTRUSTED')
    await expect(watchFrom(connect([untrusted]))).rejects.toThrowCode('ETCD_UNTRUSTED')
    const gone = 'https://127.0.0.1:1'
    for (const endpoints of [
      [untrusted, gone],
      [gone, untrusted],
    ]) {
      await expect(connect(endpoints).range({ key: 'a' }, call)).rejects.toThrowCode('ETCD_UNREACHABLE')
      await expect(connect(endpoints).txn(put('a'), call)).rejects.toThrowCode('ETCD_UNREACHABLE')
      await expect(watchFrom(connect(endpoints))).rejects.toThrowCode('ETCD_UNREACHABLE')
    }
  })

  it('gives a watch up where a member does not begin it, and begins the next one elsewhere', async () => {
    const silent = await member((router) =>
      router.service(Watch, {
        watch: async function* (_requests, { signal }) {
          await new Promise((resolve) => {
            signal.addEventListener('abort', resolve)
          })
          yield {}
        },
      }),
    )
    const client = open([silent, await watched()], 200)
    const first = client.watch({ key: 'a' }, 1n, call)[Symbol.asyncIterator]()
    await expect(first.next()).rejects.toThrowCode('ETCD_UNREACHABLE')
    const second = client.watch({ key: 'a' }, 1n, call)[Symbol.asyncIterator]()
    expect((await second.next()).value).toMatchObject({ events: [{ kind: 'put', key: 'a' }] })
    await second.return?.()
  })

  it('ends a watch at a member that does not answer other calls', async () => {
    const good = await member((router) => router.service(KV, { range: () => header(7n) }))
    const client = open([await watched(), good], 200)
    const watch = client.watch({ key: 'a' }, 1n, call)[Symbol.asyncIterator]()
    await watch.next()
    const waiting = expect(watch.next()).rejects.toThrowCode('ETCD_UNREACHABLE')
    expect((await client.range({ key: 'a' }, call)).revision).toBe(7n)
    await waiting
  })

  it('gives up a connection that is not made in time, and makes another one the next time', async () => {
    // It takes connections, and never says a word.
    const sockets: { closed: boolean }[] = []
    const hanging = createTcpServer((socket) => {
      const state = { closed: false }
      sockets.push(state)
      socket
        .resume()
        .on('error', () => undefined)
        .on('close', () => {
          state.closed = true
        })
    })
    await new Promise<void>((resolve) => {
      hanging.listen(0, '127.0.0.1', resolve)
    })
    onTestFinished(() => {
      hanging.close()
    })
    const endpoint = `https://127.0.0.1:${(hanging.address() as AddressInfo).port}`
    const client = etcdClient({ endpoints: [endpoint], callTimeoutMs: 100, tls: NO_TLS })
    onTestFinished(async () => {
      await client.close()
    })
    await expect(client.range({ key: 'a' }, call)).rejects.toThrowCode('ETCD_UNREACHABLE')
    await expect.poll(() => sockets, { timeout: 5000 }).toEqual([{ closed: true }])
    await expect(client.range({ key: 'a' }, call)).rejects.toThrowCode('ETCD_UNREACHABLE')
    await expect.poll(() => sockets, { timeout: 5000 }).toEqual([{ closed: true }, { closed: true }])
  })

  it('refuses answers that are larger than its limit, or have no header', async () => {
    const large = await member((router) =>
      router.service(KV, {
        range: () => ({ ...header(1n), kvs: [{ value: new Uint8Array(17 * 1024 * 1024) }] }),
        txn: () => ({}),
      }),
    )
    await expect(open([large], 10_000).range({ key: 'a' }, call)).rejects.toThrowCode('ETCD_ANSWER_INVALID')
    await expect(open([large], 10_000).txn(put('a'), call)).rejects.toThrowCode('ETCD_ANSWER_INVALID')
  })

  it('takes a lease that has ended for what it is', async () => {
    const gone = await member((router) =>
      router.service(Lease, {
        leaseRevoke: () => {
          throw new ConnectError('etcdserver: requested lease not found', Code.NotFound)
        },
        leaseKeepAlive: async function* (requests) {
          for await (const { ID } of requests) yield { ID, TTL: 0n }
        },
      }),
    )
    const client = open([gone])
    await client.revokeLease(5n, call)
    expect(await client.keepLease(5n, call)).toBe(0)
  })

  it('asks for protection, and for addresses that are some', () => {
    const tls = NO_TLS
    expect(() => etcdClient({ endpoints: [] })).toThrow(TypeError)
    expect(() => etcdClient({ endpoints: ['http://127.0.0.1:2379'] })).toThrow(TypeError)
    expect(() => etcdClient({ endpoints: ['http://127.0.0.1:2379'], tls })).toThrow(TypeError)
    expect(() => etcdClient({ endpoints: ['https://127.0.0.1:2379'] })).toThrow(TypeError)
    expect(() => etcdClient({ endpoints: ['127.0.0.1:2379'], tls })).toThrow(TypeError)
    expect(() => etcdClient({ endpoints: ['not an address'], tls })).toThrow(TypeError)
  })
})

describe('what a failed call means', () => {
  it.each([
    ['etcdserver: mvcc: database space exceeded', Code.ResourceExhausted, 'ETCD_FULL'],
    ['etcdserver: mvcc: required revision has been compacted', Code.OutOfRange, 'ETCD_COMPACTED'],
    ['etcdserver: mvcc: required revision is a future revision', Code.OutOfRange, 'ETCD_REFUSED'],
    ['etcdserver: request is too large', Code.InvalidArgument, 'ETCD_REFUSED'],
    ['etcdserver: permission denied', Code.PermissionDenied, 'ETCD_REFUSED'],
    ['etcdserver: invalid auth token', Code.Unauthenticated, 'ETCD_REFUSED'],
    ['etcdserver: too many requests', Code.ResourceExhausted, 'ETCD_UNREACHABLE'],
    ['etcdserver: no leader', Code.Unavailable, 'ETCD_UNREACHABLE'],
    ['etcdserver: request timed out', Code.Unavailable, 'ETCD_UNREACHABLE'],
    ['deadline', Code.DeadlineExceeded, 'ETCD_UNREACHABLE'],
    ['stream was cut', Code.Internal, 'ETCD_UNREACHABLE'],
  ] as const)('%s', (message, status, code) => {
    const error = statusError(new ConnectError(message, status))
    expect(error.code).toBe(code)
    expect(error.message).not.toContain('etcdserver')
  })

  it('tells a certificate that is not trusted from silence', () => {
    const caused = (code: string) =>
      new ConnectError('x', Code.Unavailable, undefined, undefined, Object.assign(new Error('x'), { code }))
    for (const code of [
      'SELF_SIGNED_CERT_IN_CHAIN',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    ]) {
      expect(statusError(caused(code)).code, code).toBe('ETCD_UNTRUSTED')
      expect(wasNeverSent(caused(code)), code).toBe(true)
    }
    expect(statusError(caused('ECONNREFUSED')).code).toBe('ETCD_UNREACHABLE')
    expect(wasNeverSent(caused('ECONNREFUSED'))).toBe(true)
    expect(wasNeverSent(caused('ECONNRESET'))).toBe(false)
    expect(wasNeverSent(new ConnectError('x', Code.Unavailable))).toBe(false)
  })
})
