import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import {
  allOf,
  allowRoles,
  type Certificate,
  createCsr,
  inCluster,
  issueCertificate,
  openAuthority,
  type PeerIdentity,
  parseCertificate,
  parseNodeSubject,
} from '@leastwise/identity'
import {
  clientContextOptions,
  createDecisionCache,
  createNodeKey,
  exportPrivateKey,
  openSigner,
  peerOf,
  serverContextOptions,
  systemClock,
  systemDigest,
  systemRandom,
  systemVerifier,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { type Contestant, race, type Standing, summarize } from './harness.ts'
import { createRoot, HOUR_MS, NATIVE, NOW, REQUESTS, turns, WORKER } from './identity-fixture.ts'
import { type Area, ratioRow, type ValueRow } from './row.ts'

const { clusterId } = WORKER
const rule = allOf(inCluster(clusterId), allowRoles('worker'))
/** A call of a contestant costs as much as a warm decision, so each call makes many. */
const DECISIONS = 1000

interface Node {
  readonly certificate: Certificate
  readonly identity: TlsIdentity
}

async function createNodes(count: number): Promise<{ readonly root: Certificate; readonly nodes: readonly Node[] }> {
  const { root: made, keys } = await createRoot(NATIVE)
  const root = parseCertificate(new Uint8Array(made.rawData))
  const signer = openSigner(new Uint8Array(await NATIVE.subtle.exportKey('pkcs8', keys.privateKey)))
  const authority = await openAuthority({ certificate: root, signer }, { verifier: systemVerifier })
  const options = { random: systemRandom, now: NOW, verifier: systemVerifier, digest: systemDigest }
  const nodes: Node[] = []
  for (let index = 0; index < count; index += 1) {
    const key = createNodeKey()
    const certificate = await issueCertificate(authority, await createCsr(key), WORKER, options)
    const identity = { privateKey: exportPrivateKey(key), certificateChain: certificate.pem, trustBundle: root.pem }
    nodes.push({ certificate, identity })
  }
  return { root, nodes }
}

/** A real connection: the server's end of it, and what ends both. */
async function connectPeers(server: TlsIdentity, client: TlsIdentity): Promise<readonly [TLSSocket, () => void]> {
  const listener = createServer(serverContextOptions(server))
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>
  const { port } = listener.address() as AddressInfo
  // The nodes of the bench are workers, whose certificates bear no manager's name.
  const checkServerIdentity = (): undefined => undefined
  const near = connect({ host: '127.0.0.1', port, ...clientContextOptions(client), checkServerIdentity })
  await once(near, 'secureConnect')
  const [socket] = await accepted
  return [
    socket,
    () => {
      near.destroy()
      socket.destroy()
      listener.close()
    },
  ]
}

const many = (name: string, decide: () => PeerIdentity | null): Contestant => ({
  name,
  units: DECISIONS,
  run: () => {
    for (let index = 0; index < DECISIONS; index += 1) {
      const peer = decide()
      if (peer === null) throw new Error('nobody is there')
      rule(peer)
    }
  },
})

function nanoseconds(job: string, versus: string, { rates }: Standing, atMost: number): ValueRow {
  const { median, spread } = summarize(rates.map((rate) => 1e9 / rate))
  return { job, versus, value: median, unit: 'ns', atMost, median, spread }
}

/** Who is there, and may it do this: again for a peer that was proven before, and for a certificate that was never seen. */
export const authorize: Area = async function* (effort) {
  const { root, nodes } = await createNodes(REQUESTS)
  const roots = [root]
  const [server, client] = nodes as [Node, Node]
  const [socket, close] = await connectPeers(server.identity, client.identity)
  try {
    const proven = peerOf(socket, { roots, clusterId, now: NOW })
    const fingerprint = proven?.fingerprint
    if (proven === null || fingerprint === undefined) throw new Error('the peer was not proven')
    const cache = createDecisionCache<PeerIdentity>({ max: 1000, ttlMs: HOUR_MS, clock: systemClock })
    const trust = { roots, clusterId, now: NOW }
    const warm = [
      many('the socket', () => peerOf(socket, trust)),
      many('the decision cache', () => cache.recall(fingerprint, 1, () => proven)),
    ]
    for (const standing of await race(warm, effort))
      yield nanoseconds('authorization, warm', standing.name, standing, 100)
  } finally {
    close()
  }

  const next = turns(nodes.map(({ certificate }) => certificate.der))
  const cold: Contestant = {
    name: 'leastwise',
    units: 1,
    run: () => {
      const certificate = parseCertificate(next())
      const { serial, notBefore, notAfter } = certificate
      const subject = parseNodeSubject(certificate.subject)
      const { nodeId, role } = subject
      rule({ clusterId: subject.clusterId, role, nodeId, serial, notBefore, notAfter })
    },
  }
  const platform: Contestant = {
    name: 'new X509Certificate alone',
    units: 1,
    run: () => {
      if (new X509Certificate(next()).ca) throw new Error('a leaf is no authority')
    },
  }
  const standings = (await race([cold, platform], effort)) as [Standing, Standing]
  yield ratioRow({ job: 'authorization, cold: parse + rule', unit: 'decisions/s', atLeast: 50 }, ...standings)
}
