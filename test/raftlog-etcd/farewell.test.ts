import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { expect, it, onTestFinished } from 'vitest'
import { KV } from '../../packages/raftlog-etcd/src/gen/etcdserverpb/rpc_pb.ts'
import { lastLineOf } from '../support/leaving-peer.ts'

const ROUNDS = 300

// Each call comes at another moment of the end of the connection before.
const CLIENT = `
  import { allowClearText, etcdClient } from '@leastwise/raftlog-etcd/node'
  const { endpoint, rounds } = JSON.parse(process.env.LEASTWISE_TOLD)
  const etcd = etcdClient({ endpoints: [endpoint], [allowClearText]: true })
  const { signal } = new AbortController()
  for (let round = 0; round < rounds; round += 1) {
    await etcd.range({ key: 'a' }, { signal }).catch(() => undefined)
    const until = performance.now() + Math.random() * 2
    while (performance.now() < until) await new Promise(setImmediate)
  }
  await etcd.close()
  console.log(JSON.stringify({ done: true }))
  process.exit(0)
`

it('a manager outlives a member that says farewell to a connection that is not in use', {
  timeout: 30_000,
}, async () => {
  const routes = connectNodeAdapter({
    routes: (router) => router.service(KV, { range: () => ({ header: { revision: 1n } }) }),
  })
  const server = createServer(routes)
  server.on('session', (session) => {
    session.on('stream', (stream) => {
      stream.once('close', () => {
        session.close()
      })
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    server.close()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect(await lastLineOf(CLIENT, { endpoint, rounds: ROUNDS })).toEqual({ done: true })
})
