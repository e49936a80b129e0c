import { Code, ConnectError } from '@connectrpc/connect'
import { EtcdLogError } from '../errors.ts'

// etcd has no codes of its own; these are its words, which its own clients compare as well.
const FULL = 'database space exceeded'
const COMPACTED = 'required revision has been compacted'
// Said by this client's own limit, which comes with the same status as a full database.
const TOO_LARGE_HERE = 'configured readMaxBytes'
const BUSY = 'too many requests'

// OpenSSL's and Node's words for "I do not trust this certificate", mine or the other's.
const UNTRUSTED =
  /^(?:ERR_TLS_CERT_ALTNAME_INVALID|CERT_.*|.*SELF_SIGNED_CERT.*|UNABLE_TO_.*|INVALID_CA|.*_ISSUER_CERT.*|ERR_SSL_.*(?:CERTIFICATE|UNKNOWN_CA).*)$/

const SILENT: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Canceled,
  Code.Aborted,
  Code.Unknown,
  Code.Internal,
])

/** What a failed call means. Nothing of the server's text goes into the message: it may name keys. */
export function statusError(error: unknown): EtcdLogError {
  if (error instanceof EtcdLogError) return error
  const made = (code: EtcdLogError['code'], message: string): EtcdLogError =>
    new EtcdLogError(code, message, { cause: error })
  const { code, rawMessage } = ConnectError.from(error)
  if (rawMessage.includes(FULL)) return made('ETCD_FULL', 'quota of etcd is used up; compact it, and clear its alarm')
  if (rawMessage.includes(COMPACTED))
    return made('ETCD_COMPACTED', 'etcd has forgotten this revision; read the newest one')
  if (rawMessage.includes(TOO_LARGE_HERE))
    return made('ETCD_ANSWER_INVALID', 'answer of etcd is too large; ask for less')
  if (causeCodes(error).some((each) => UNTRUSTED.test(each))) {
    return made(
      'ETCD_UNTRUSTED',
      'etcd and this manager do not trust each other; check the roots, names and certificates',
    )
  }
  if (SILENT.has(code) || rawMessage.includes(BUSY)) {
    return made('ETCD_UNREACHABLE', 'etcd did not answer, or has no majority; check its members and the network')
  }
  return made('ETCD_REFUSED', 'etcd refused the request; look into its log and at the permissions of this manager')
}

const LEASE_GONE = 'requested lease not found'

/** Whether the lease of the call has ended. */
export const isLeaseGone = (error: unknown): boolean =>
  error instanceof ConnectError && (error.code === Code.NotFound || error.rawMessage.includes(LEASE_GONE))

const NO_CONNECTION: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND'])

/** Whether a call failed before it had a connection, so that nothing of it can have arrived. */
export const wasNeverSent = (error: unknown): boolean =>
  causeCodes(error).some((code) => NO_CONNECTION.has(code) || UNTRUSTED.test(code))

/** The codes along the chain of causes; a connection's own error lies some levels deep. */
function causeCodes(error: unknown): readonly string[] {
  const codes: string[] = []
  let at: unknown = error
  for (let depth = 0; depth < 8 && typeof at === 'object' && at !== null; depth += 1) {
    if ('code' in at && typeof at.code === 'string') codes.push(at.code)
    at = 'cause' in at ? at.cause : null
  }
  return codes
}
