import { type Certificate, type ExternalAuthority, openExternalAuthority } from '@leastwise/identity'
import { type ClientIdentity, httpsPost, systemVerifier } from '@leastwise/identity/node'
import type { ExternalCaSettings } from './settings.ts'

/** An external CA as one manager reaches it. */
export interface OutsideSigner {
  readonly settings: ExternalCaSettings
  /** This manager's own certificate, for servers that want to see one; asked before each request. */
  readonly identity: () => ClientIdentity | null
}

/** The authority behind the addresses, which must sign under `root`. Nothing is sent yet. */
export const openExternalCa = ({ settings, identity }: OutsideSigner, root: Certificate): ExternalAuthority =>
  openExternalAuthority({
    urls: settings.urls,
    http: httpsPost({
      serverRoots: settings.serverRoots ?? root.pem,
      identity: () => settings.client ?? identity(),
    }),
    roots: [root],
    verifier: systemVerifier,
    ...(settings.authenticator === null ? {} : { authenticator: settings.authenticator }),
  })
