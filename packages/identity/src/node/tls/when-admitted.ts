import type { TLSSocket } from 'node:tls'
import { IdentityError } from '../../errors.ts'

/** Calls back once: with the connection when it is secure and was admitted, or with why it is not. */
export function whenAdmitted(socket: TLSSocket, callback: (error: Error | null) => void): void {
  let done = false
  const settle = (error: Error | null): void => {
    if (!done) callback(error)
    done = true
  }
  socket.once('secureConnect', () => {
    settle(null)
  })
  socket.on('error', settle)
  // Who destroys a connection need not say why.
  socket.once('close', () => {
    settle(
      new IdentityError(
        'PEER_DISCONNECTED',
        'the connection ended before the peer was admitted; see why it was refused, or connect again',
      ),
    )
  })
}
