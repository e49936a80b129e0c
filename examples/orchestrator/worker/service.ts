import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { TLSSocket } from 'node:tls'
import { type HeldEvictions, parseTrustBundle } from '@leastwise/identity'
import { createPeerGate, guardedListen, hotTls, type TlsIdentity } from '@leastwise/identity/node'
import type { NodeCredentials } from '@leastwise/swarm'
import { type Address, formatAddress } from '../address.ts'
import type { Announce } from '../announce.ts'
import { codeOf } from '../errors.ts'

/** A service of this node for the other nodes of its cluster: it says who asks. A host has its own in its place. */
export interface NodeService {
  /** `host:port` */
  readonly address: string
  /** This node has another certificate, or trusts other roots. */
  readonly adopt: (credentials: NodeCredentials) => void
  readonly close: () => void
}

const identityOf = ({ privateKey, certificateChain, trustBundle }: NodeCredentials): TlsIdentity => ({
  privateKey,
  certificateChain,
  trustBundle: new TextDecoder().decode(trustBundle),
})

const rootsOf = ({ trustBundle }: NodeCredentials) => parseTrustBundle(trustBundle).roots

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify(body)}\n`)
}

/**
 * Serves HTTPS under the node's own identity, to nodes of the cluster that are not evicted. No manager is asked: what counts is what the managers have
 * pushed. When they have not for a day, nobody is let in.
 */
export async function serveNodes(
  where: Address,
  {
    credentials,
    evictions,
    announce,
  }: { readonly credentials: NodeCredentials; readonly evictions: HeldEvictions; readonly announce: Announce },
): Promise<NodeService> {
  let roots = rootsOf(credentials)
  const gate = createPeerGate({ roots: () => roots, evictions, now: Date.now, whenStale: 'refuse' })
  const hot = hotTls(identityOf(credentials), {
    admit: (socket) => {
      try {
        gate.admit(socket)
      } catch (error) {
        announce({ event: 'peer-refused', code: codeOf(error) ?? 'INTERNAL' })
        throw error
      }
    },
  })
  const server = createServer(hot.serverOptions(['http/1.1']), (request, response) => {
    const { socket } = request
    // HTTPS has no other.
    if (!(socket instanceof TLSSocket)) return
    try {
      const { nodeId, role } = gate.peerOf(socket)
      answer(response, 200, { nodeId, role })
    } catch (error) {
      answer(response, 403, { code: codeOf(error) ?? 'INTERNAL' })
    }
  })
  const leave = hot.serve(server)
  const { port } = await guardedListen(server, where)
  const address = formatAddress({ host: where.host, port })
  announce({ event: 'serving', address })
  return {
    address,
    adopt: (next) => {
      roots = rootsOf(next)
      hot.update(identityOf(next))
      gate.recheck()
    },
    close: () => {
      leave()
      gate[Symbol.dispose]()
      server.close()
      server.closeAllConnections()
    },
  }
}
