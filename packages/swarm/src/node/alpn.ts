import type { Http2SecureServer } from 'node:http2'
import type { TLSSocket } from 'node:tls'

/**
 * Serves clients that negotiate no protocol as HTTP/2.
 *
 * A stock engine offers `h2` only until its first renewal; the TLS settings that it swaps in then offer nothing, and a server
 * that insists would lose every node at its first reconnect, for good. Clients that offer something else stay refused.
 */
export function acceptWithoutAlpn(server: Http2SecureServer): void {
  server.on('unknownProtocol', (socket: TLSSocket) => {
    if (typeof socket.alpnProtocol === 'string') {
      socket.destroy()
      return
    }
    // The server reads this property to choose the protocol; it is how the handshake itself would have marked the socket.
    socket.alpnProtocol = 'h2'
    server.emit('secureConnection', socket)
  })
}
