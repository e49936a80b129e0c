import { join } from 'node:path'
import { connect } from 'node:tls'
import {
  type Certificate,
  formatCertificateChain,
  parseCertificate,
  parseCertificateChain,
  parseNodeSubject,
} from '@leastwise/identity'
import {
  clearWrapper,
  clientContextOptions,
  createNodeKey,
  exportPrivateKey,
  type LocalSigner,
  openSigner,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { decodeIssuer, ISSUER } from '../../examples/orchestrator/manager/intermediate/issuer-key.ts'
import { openSealed } from '../../examples/orchestrator/manager/manager-keys.ts'
import { authorityKeyId, basicConstraints, type Forgery, forge, keyUsage, subjectKeyId } from '../identity/forge.ts'
import { leafNamed, subjectOf } from '../identity/intermediate-support.ts'
import { rawCall, rawHttp2 } from '../support/swarm-raw.ts'
import { contentOfKeyFile } from './key-file-of-a-process.ts'

const HOUR_MS = 3_600_000

/** What lies on the disk of a node. */
export async function credentialsIn(data: string): Promise<{
  readonly identity: TlsIdentity
  /** Leaf first. */
  readonly chain: readonly Certificate[]
  readonly nodeId: string
}> {
  const { privateKey, certificateChain, trustBundle } = await contentOfKeyFile(join(data, 'node.key'))
  const chain = parseCertificateChain(certificateChain ?? '')
  const { nodeId } = parseNodeSubject(chain[0]!.subject)
  return { identity: { privateKey, certificateChain: certificateChain ?? '', trustBundle }, chain, nodeId }
}

/** Whoever has read the disk of a manager: the key that it issues with. */
export interface Thief {
  readonly intermediate: Certificate
  readonly clusterId: string
  /** A chain that says what the thief wants, with the key of its leaf. */
  readonly leaf: (role: string, nodeId: string, changes?: ThiefLeaf) => Promise<TlsIdentity>
  /** A CA below the intermediate, and a leaf below that. */
  readonly below: (role: string, nodeId: string) => Promise<TlsIdentity>
}

export interface ThiefLeaf {
  /** Of the subject. */
  readonly cluster?: string
  readonly names?: readonly (string | Uint8Array)[]
  readonly serial?: Uint8Array
}

/** Reads the issuing key out of the data directory of a manager that is not locked. */
export async function stealIssuer(managerData: string): Promise<Thief> {
  const content = await contentOfKeyFile(join(managerData, 'state', 'node.key'))
  const { current } = decodeIssuer((await openSealed(content, clearWrapper)).get(ISSUER) ?? null)
  const intermediate = parseCertificate(current!.certificate)
  const key = openSigner(current!.privateKey)
  const { trustBundle, certificateChain } = content
  const { clusterId } = parseNodeSubject(parseCertificateChain(certificateChain ?? '')[0]!.subject)
  const made = async (changes: Pick<Forgery, 'extensions' | 'publicKey' | 'subject'> & Partial<Forgery>) =>
    parseCertificate(
      await forge({
        issuer: intermediate.subject.der,
        signer: key,
        notBefore: Date.now() - HOUR_MS,
        notAfter: Date.now() + HOUR_MS,
        ...changes,
      }),
    )
  const identity = (chain: readonly Certificate[], signer: LocalSigner): TlsIdentity => ({
    privateKey: exportPrivateKey(signer),
    certificateChain: formatCertificateChain(chain),
    trustBundle,
  })
  const namesOf = (role: string, nodeId: string): readonly string[] => [role, `${nodeId}.${clusterId}`]
  return {
    intermediate,
    clusterId,
    leaf: async (role, nodeId, { cluster = clusterId, names = namesOf(role, nodeId), serial } = {}) => {
      const signer = createNodeKey()
      const leaf = await made({
        subject: subjectOf(cluster, role, nodeId),
        publicKey: signer.publicKey,
        extensions: leafNamed(intermediate, names),
        ...(serial === undefined ? {} : { serial }),
      })
      return identity([leaf, intermediate], signer)
    },
    below: async (role, nodeId) => {
      const [caKey, signer] = [createNodeKey(), createNodeKey()]
      const ca = await made({
        // Its own name: a CA that OpenSSL does not count against the path length.
        subject: intermediate.subject.der,
        publicKey: caKey.publicKey,
        extensions: [
          keyUsage(0x04),
          basicConstraints(true, 0),
          subjectKeyId(new Uint8Array(20).fill(3)),
          authorityKeyId(intermediate.subjectKeyId!),
        ],
      })
      const leaf = await made({
        issuer: ca.subject.der,
        signer: caKey,
        subject: subjectOf(clusterId, role, nodeId),
        publicKey: signer.publicKey,
        extensions: leafNamed(ca, namesOf(role, nodeId)),
      })
      return identity([leaf, ca, intermediate], signer)
    },
  }
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))

/** What a manager answers to an empty call under this identity: a code, or `cut` when it ends the connection. */
export async function managerSays(address: string, identity: TlsIdentity, method: string): Promise<string | null> {
  try {
    const session = await rawHttp2(portOf(address), clientContextOptions(identity))
    session.on('error', () => undefined)
    const { code, httpStatus } = await rawCall(session, method, new Uint8Array())
    session.destroy()
    return httpStatus === 0 ? 'cut' : code
  } catch {
    return 'cut'
  }
}

/** Whether the service of a worker lets this identity in. */
export async function serviceLetsIn(address: string, identity: TlsIdentity): Promise<boolean> {
  const socket = connect({
    ...clientContextOptions(identity),
    host: '127.0.0.1',
    port: portOf(address),
    servername: 'swarm-worker',
    ALPNProtocols: ['http/1.1'],
  })
  socket.on('error', () => undefined)
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once('close', () => {
        resolve(false)
      })
      socket.once('data', (data: Buffer) => {
        resolve(data.toString().startsWith('HTTP/1.1 200'))
      })
      socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'))
    })
  } finally {
    socket.destroy()
  }
}
