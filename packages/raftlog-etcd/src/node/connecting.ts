import type { SecureClientSessionOptions } from 'node:http2'
import { isIP, connect as openTcp, type Socket } from 'node:net'
import { connect as openTls } from 'node:tls'

/**
 * Makes connections that have to be ready for use in time. Nothing else ends a handshake with a member that took the connection and
 * hangs: Node waits for it for ever, and closing the session that waits leaves the socket open.
 */
export const connectWithin =
  (limitMs: number, tls: SecureClientSessionOptions): NonNullable<SecureClientSessionOptions['createConnection']> =>
  ({ protocol, hostname, port }) => {
    const isTls = protocol === 'https:'
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    const at = { host, port: Number(port === '' ? (isTls ? 443 : 80) : port) }
    const name = isIP(host) === 0 ? { servername: host } : {}
    const socket: Socket = isTls ? openTls({ ...name, ...tls, ...at }) : openTcp(at)
    const late = setTimeout(() => {
      socket.destroy(Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' }))
    }, limitMs)
    const settled = (): void => {
      clearTimeout(late)
    }
    return socket.once(isTls ? 'secureConnect' : 'connect', settled).once('close', settled)
  }
