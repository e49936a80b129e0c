import type { Socket } from 'node:net'

/**
 * After so long a silence the system asks whether the other end is still there, in milliseconds; ten seconds without an answer end the connection.
 * Shorter than what firewalls and balancers remember a silent connection for, which is some minutes.
 */
const KEEP_ALIVE_MS = 30_000

/**
 * Lets a connection end whose other end is gone without a word, by a loss of power or because something between them forgot it. A manager says nothing on some
 * connections, and would hold those of dead nodes for good, up to its limit; a node whose heartbeats go over a newer connection than its streams would
 * hear of no work. The system asks, and not HTTP/2: servers of gRPC cut off whoever pings them often.
 */
export function keptAlive<Connection extends Socket>(connection: Connection): Connection {
  return connection.setKeepAlive(true, KEEP_ALIVE_MS)
}
