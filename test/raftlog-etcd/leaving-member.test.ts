import { createSecureServer } from 'node:http2'
import { serverContextOptions } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { identityOf } from '../identity/tls-support.ts'
import { lastLineOf, leavesAfterFirstCall } from '../support/leaving-peer.ts'
import { testCluster } from '../support/test-authority.ts'

const ROUNDS = 100
// WatchResponse: revision 1 of the store, at which key `a` was put.
const CHANGE = Buffer.from('0a0218015a0712050a01611801', 'hex')

// As whoever follows the log does: when a read fails, the watch beside it is given up.
const CLIENT = `
  import { etcdClient } from '@leastwise/raftlog-etcd/node'
  const { endpoint, tls, rounds } = JSON.parse(process.env.LEASTWISE_TOLD)
  let refused = 0
  for (let round = 0; round < rounds; round += 1) {
    const etcd = etcdClient({ endpoints: [endpoint], tls })
    const scope = new AbortController()
    const changes = etcd.watch({ key: 'a' }, 1n, { signal: scope.signal })
    // A connection that was cut at once may be gone before its first answer was read.
    await changes.next().catch(() => undefined)
    const watching = changes.next().catch(() => undefined)
    await etcd.range({ key: 'a' }, { signal: scope.signal }).catch(() => { refused += 1 })
    scope.abort(new DOMException('another part ended', 'AbortError'))
    await watching
    await etcd.close()
  }
  console.log(JSON.stringify({ done: true, refused }))
  process.exit(0)
`

it.each(['farewell', 'cut'] as const)(
  'a manager whose etcd member goes away by %s while it asks for more gives up its other calls, and goes on',
  { timeout: 30_000 },
  async (by) => {
    const cluster = await testCluster()
    const identity = identityOf(await cluster.issue({ role: 'manager' }))
    const server = createSecureServer({ ...serverContextOptions(identity), requestCert: false })
    const endpoint = `https://127.0.0.1:${await leavesAfterFirstCall(server, { by, message: CHANGE })}`
    const { trustBundle, certificateChain, privateKey } = identity
    const pem = `-----BEGIN PRIVATE KEY-----\n${Buffer.from(privateKey).toString('base64')}\n-----END PRIVATE KEY-----\n`
    const tls = { trustBundle, certificateChain, privateKey: pem, serverName: 'swarm-manager' }
    const ended = await lastLineOf(CLIENT, { endpoint, tls, rounds: ROUNDS })
    expect(ended).toEqual({ done: true, refused: expect.any(Number) as number })
    // Otherwise nothing was proven.
    expect((ended as { readonly refused: number }).refused).toBeGreaterThan(ROUNDS / 10)
  },
)
