import { createServer, type Server } from 'node:https'
import { TLSSocket } from 'node:tls'
import { activeOperator, type OperatorIdentity } from '@leastwise/identity'
import { type HotTls, type OperatorTrust, operatorOf, operatorServerOptions } from '@leastwise/identity/node'
import { type Address, formatAddress } from '../../address.ts'
import type { Announce } from '../../announce.ts'
import { OrchestratorError, publicFace } from '../../errors.ts'
import { listen } from '../listen.ts'
import { answerOperator, type Operation } from '../operator-server.ts'
import type { Store } from '../store.ts'

/** What the endpoint for operators from afar works with. */
export interface OperatorEndpointOptions {
  readonly tls: HotTls
  readonly trust: () => OperatorTrust
  readonly store: Store
  readonly announce: Announce
}

/** An endpoint that listens. */
export interface OperatorEndpoint {
  readonly address: string
  readonly close: () => void
}

/** Operators are few, and each command has a connection of its own. */
const MAX_CONNECTIONS = 64
const MAX_REQUEST_MS = 60_000
/** What names a file of the manager's machine: from afar it would be a way to write there. */
const ON_THE_MACHINE: ReadonlySet<string> = new Set(['backup/create'])

const onlyOnTheMachine = (): never => {
  throw new OrchestratorError('OPERATOR_REFUSED', "this writes a file of the manager's machine; run the command there")
}

/**
 * Serves operators from afar what the local socket serves: over TLS, to whoever shows the certificate of an operator that is in good standing at
 * this very request. Nodes are refused, managers too.
 */
export async function serveOperators(
  where: Address,
  find: (path: string) => Operation | undefined,
  { tls, trust, store, announce }: OperatorEndpointOptions,
): Promise<OperatorEndpoint> {
  const active = activeOperator(() => store.state().operators)
  const operatorBehind = (socket: unknown): OperatorIdentity => {
    if (!(socket instanceof TLSSocket)) throw new OrchestratorError('INTERNAL', 'a request came without TLS')
    const operator = operatorOf(socket, trust())
    active(operator)
    return operator
  }
  const server: Server = createServer({ ...operatorServerOptions(tls.identity), ALPNProtocols: ['http/1.1'] })
  server.maxConnections = MAX_CONNECTIONS
  server.requestTimeout = MAX_REQUEST_MS
  server.on('tlsClientError', () => undefined)
  server.on('request', (request, response) => {
    let operator: OperatorIdentity
    try {
      operator = operatorBehind(request.socket)
    } catch (error) {
      const face = publicFace(error)
      announce({ event: 'operator-refused', from: request.socket.remoteAddress ?? '', code: face.code })
      response.writeHead(403, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify({ error: face }), () => request.socket.destroy())
      return
    }
    const [path = ''] = (request.url ?? '').split('?')
    announce({ event: 'operator-call', operator: operator.operatorId, path: path.slice(1) })
    void answerOperator(request, response, (asked) => (ON_THE_MACHINE.has(asked) ? onlyOnTheMachine : find(asked)))
  })
  // A renewed certificate of this manager, and another trust bundle, act on the next connection.
  const leave = tls.serve(server)
  const { port } = await listen(server, where)
  return {
    address: formatAddress({ host: where.host, port }),
    close: () => {
      leave()
      server.close()
      server.closeAllConnections()
    },
  }
}
