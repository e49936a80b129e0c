import { Agent, type AgentOptions, type RequestOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import type { HotTls } from '../hot-tls.ts'
import type { ManagerServerName } from '../tls-options.ts'
import { whenAdmitted } from './when-admitted.ts'

/** What a {@link HotAgent} does besides what an agent of `node:https` does. */
export interface HotAgentOptions extends Pick<AgentOptions, 'keepAlive' | 'maxSockets' | 'maxFreeSockets' | 'timeout'> {
  /** The name that each server must prove. Default is `swarm-manager`. */
  readonly servername?: ManagerServerName
}

// Names a connection's place in the pool, so that an old one is never found for a new request.
const GENERATION: unique symbol = Symbol('generation')

/** An agent of `node:https` whose connections have the identity of a {@link HotTls}. */
class IdentityAgent extends Agent {
  readonly #hot: HotTls
  readonly #servername: ManagerServerName | undefined

  constructor(hot: HotTls, { servername, ...options }: HotAgentOptions) {
    super({ keepAlive: true, ...options })
    this.#hot = hot
    this.#servername = servername
    this.retire()
  }

  /** Later requests ask for connections under another name. */
  retire(): void {
    // The agent lays its options over those of each request, and keeps the result with the connection.
    Object.assign(this.options, { [GENERATION]: this.#hot.generation })
    this.closeIdle()
  }

  closeIdle(): void {
    for (const idle of Object.values(this.freeSockets)) for (const socket of idle ?? []) socket.destroy()
  }

  override getName(options: RequestOptions & { readonly [GENERATION]?: number } = {}): string {
    return `${super.getName(options)}:${options[GENERATION] ?? this.#hot.generation}`
  }

  /** Not the platform's: the connection is given out when it was admitted, and not before. */
  override createConnection(
    target: RequestOptions,
    callback: (error: Error | null, socket: Duplex) => void = () => undefined,
  ): undefined {
    const where = {
      host: target.host ?? 'localhost',
      port: Number(target.port ?? 443),
      protocols: ['http/1.1'],
    } as const
    const socket = this.#hot.dial(this.#servername === undefined ? where : { ...where, servername: this.#servername })
    whenAdmitted(socket, (error) => {
      callback(error, socket)
    })
  }

  override keepSocketAlive(socket: Duplex): boolean {
    if (!this.#hot.isCurrent(socket)) return false
    super.keepSocketAlive(socket)
    return true
  }
}

/** An agent for `node:https`, which changes over to each new identity. */
export interface HotAgent {
  /** Pass it with each request. */
  readonly agent: Agent
  /** Ends idle connections, and follows the identity no longer. */
  readonly close: () => void
}

/**
 * An agent for clients of `node:https`. After an update, requests go over new connections; idle old ones are closed at once, busy ones after their
 * response.
 *
 * Requests that wait because of `maxSockets` may still get a connection that was opened before the update.
 */
export function hotAgent(hot: HotTls, options: HotAgentOptions = {}): HotAgent {
  const agent = new IdentityAgent(hot, options)
  const leave = hot.follow({
    swap: () => {
      agent.retire()
    },
  })
  return {
    agent,
    close: () => {
      leave()
      agent.closeIdle()
    },
  }
}
