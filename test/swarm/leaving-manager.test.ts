import { createSecureServer } from 'node:http2'
import { serverContextOptions } from '@leastwise/identity/node'
import { expect, it } from 'vitest'
import { identityOf } from '../identity/tls-support.ts'
import { lastLineOf, leavesAfterFirstCall } from '../support/leaving-peer.ts'
import { testCluster } from '../support/test-authority.ts'

const ROUNDS = { farewell: 100, cut: 30 }

// As an agent's session does: when one call fails, the others are given up.
const CLIENT = `
  import { openManagerLink } from '@leastwise/swarm/node'
  const { address, bundle, rounds } = JSON.parse(process.env.LEASTWISE_TOLD)
  const begin = (answers) => answers[Symbol.asyncIterator]()
  let refused = 0
  for (let round = 0; round < rounds; round += 1) {
    const link = openManagerLink(address, { kind: 'bundle', trustBundle: new TextEncoder().encode(bundle) })
    const scope = new AbortController()
    const session = begin(link.dispatcher.session({}, { signal: scope.signal }))
    // A connection that was cut at once may be gone before its first answer was read.
    await session.next().catch(() => undefined)
    const assignments = begin(link.dispatcher.assignments({}, { signal: scope.signal, timeoutMs: 500 }))
    await assignments.next().catch(() => { refused += 1 })
    scope.abort(new DOMException('another part ended', 'AbortError'))
    await session.next().catch(() => undefined)
    link[Symbol.dispose]()
  }
  console.log(JSON.stringify({ done: true, refused }))
  process.exit(0)
`

it.each(['farewell', 'cut'] as const)(
  'a node whose manager goes away by %s while it asks for more gives up its other calls, and goes on',
  { timeout: 30_000 },
  async (by) => {
    const cluster = await testCluster()
    const manager = await cluster.issue({ role: 'manager' })
    const server = createSecureServer({ ...serverContextOptions(identityOf(manager)), requestCert: false })
    const address = `127.0.0.1:${await leavesAfterFirstCall(server, { by })}`
    const ended = await lastLineOf(CLIENT, { address, bundle: manager.trustBundle, rounds: ROUNDS[by] })
    expect(ended).toEqual({ done: true, refused: expect.any(Number) as number })
    // Otherwise nothing was proven.
    expect((ended as { readonly refused: number }).refused).toBeGreaterThan(ROUNDS[by] / 10)
  },
)
