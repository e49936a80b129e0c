import { createPrivateKey } from 'node:crypto'
import { type CfsslUrl, parseCfsslUrl, type RequestAuthenticator } from '@leastwise/identity'
import { type ClientIdentity, hmacAuthenticator } from '@leastwise/identity/node'
import { OrchestratorError } from '../../../errors.ts'
import { namedFile } from '../../../named-file.ts'
import { type Given, textOf } from '../../../operator/command.ts'

/**
 * How this manager reaches an external CA, as the command line says it at each start. Nothing of it is kept: the log says only
 * that the key of the root is somewhere else.
 */
export interface ExternalCaSettings {
  readonly urls: readonly CfsslUrl[]
  /** PEM of the root that the cluster is to be founded on; null where the log knows it already. */
  readonly root: string | null
  /** PEM of the roots for the servers' own certificates; null when they are under the cluster's root. */
  readonly serverRoots: string | null
  /** Whom to appear as; null for this manager's own certificate, as soon as it has one. */
  readonly client: ClientIdentity | null
  readonly authenticator: RequestAuthenticator | null
  /** The cluster holds its key itself yet, and is to leave it to this CA by a rotation. */
  readonly forNextRoot: boolean
}

/** The options of `manager` that are about an external CA. */
export const externalCaOptions = [
  'external-ca',
  'external-ca-root',
  'external-ca-server-root',
  'external-ca-client-cert',
  'external-ca-client-key',
  'external-ca-auth-key-file',
] as const

/** A flag: these addresses sign under the root that comes next. */
export const FOR_NEXT_ROOT = 'external-ca-for-next-root'

const usage = (message: string, options?: ErrorOptions): OrchestratorError =>
  new OrchestratorError('USAGE', message, options)

/** An address without a path is a cfssl server's; where requests carry a token it wants them at an endpoint of their own. */
function urlOf(text: string, withToken: boolean): CfsslUrl {
  const bare = /^https:\/\/[^/]+\/?$/.test(text)
  const endpoint = withToken ? 'authsign' : 'sign'
  const url = parseCfsslUrl(bare ? `${text.replace(/\/$/, '')}/api/v1/cfssl/${endpoint}` : text)
  if (url.endsWith('/authsign') !== withToken)
    throw usage(
      'addresses of an external ca that end in /authsign go with --external-ca-auth-key-file, and no others do',
    )
  return url
}

function authenticatorOf(given: Given): RequestAuthenticator | null {
  const hex = namedFile(given, 'external-ca-auth-key-file')?.trim()
  if (hex === undefined) return null
  if (!/^(?:[0-9a-fA-F]{2}){16,64}$/.test(hex))
    throw usage('--external-ca-auth-key-file names a file with 16 to 64 bytes in hexadecimal and nothing else')
  return hmacAuthenticator(Uint8Array.from(Buffer.from(hex, 'hex')))
}

function clientOf(given: Given): ClientIdentity | null {
  const certificateChain = namedFile(given, 'external-ca-client-cert')
  const key = namedFile(given, 'external-ca-client-key')
  if (certificateChain === null && key === null) return null
  if (certificateChain === null || key === null)
    throw usage('--external-ca-client-cert and --external-ca-client-key go together')
  try {
    const privateKey = Uint8Array.from(createPrivateKey(key).export({ format: 'der', type: 'pkcs8' }))
    return { certificateChain, privateKey }
  } catch {
    // No cause: it may quote the key.
    throw usage('--external-ca-client-key names no private key in PEM without a passphrase')
  }
}

/**
 * Reads them; null when the cluster is to hold its own key.
 *
 * @throws OrchestratorError `USAGE`, and the `EXTERNAL_CA_URL_INVALID` of an address.
 */
export function externalCaSettings(given: Given): ExternalCaSettings | null {
  const text = textOf(given, 'external-ca')
  if (text === undefined) {
    const stray = externalCaOptions.find((option) => textOf(given, option) !== undefined)
    if (stray === undefined) return null
    throw usage(`--${stray} goes with --external-ca https://HOST:PORT[,...]`)
  }
  const authenticator = authenticatorOf(given)
  return {
    urls: text.split(',').map((url) => urlOf(url, authenticator !== null)),
    root: namedFile(given, 'external-ca-root'),
    serverRoots: namedFile(given, 'external-ca-server-root'),
    client: clientOf(given),
    authenticator,
    forNextRoot: given.options[FOR_NEXT_ROOT] === true,
  }
}
