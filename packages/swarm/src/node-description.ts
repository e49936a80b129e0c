/** `worker` runs tasks; `manager` decides which. */
export type NodeRole = 'manager' | 'worker'

/** Whether new tasks may come to a node. */
export type Availability = 'active' | 'drain' | 'pause'

/** A plugin that an engine reports; real schedulers ask for some (`Network`/`host`, `Volume`/`local`, `Log`/`json-file`). */
export interface NodePlugin {
  readonly type: string
  readonly name: string
}

/** Which trust root a node uses and who issued its certificate (its own word; judge by the certificate it presents). */
export interface NodeTlsInfo {
  /** PEM. */
  readonly trustRoot: Uint8Array
  /** DER of the issuer's name, exactly as in the root. */
  readonly issuerSubject: Uint8Array
  /** SubjectPublicKeyInfo, DER. */
  readonly issuerPublicKey: Uint8Array
}

/** What a node tells of itself when it registers. All of it is the node's own word. */
export interface NodeDescription {
  readonly hostname: string
  readonly architecture: string
  readonly os: string
  readonly nanoCpus: number
  readonly memoryBytes: number
  readonly engineVersion: string
  readonly labels: Readonly<Record<string, string>>
  readonly plugins: readonly NodePlugin[]
  readonly tls: NodeTlsInfo | null
}
