import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import {
  createCsr,
  type Grant,
  issueCertificate,
  openAuthority,
  parseCertificate,
  parseNodeId,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  hotTls,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
  type TlsIdentity,
} from '@leastwise/identity/node'
import { type Contestant, race, type Standing } from './harness.ts'
import { createRoot, NATIVE, NODE, NOW, WORKER } from './identity-fixture.ts'
import { type Area, ratioRow } from './row.ts'

const CLIENTS = 8
const SWAP_MS = 100
/** Some swaps belong into each slice, or a slice has none. */
const LEAST_SLICE_MS = 500

async function createIdentities(count: number): Promise<readonly TlsIdentity[]> {
  const { root, keys } = await createRoot(NATIVE)
  const certificate = parseCertificate(new Uint8Array(root.rawData))
  const signer = openSigner(new Uint8Array(await NATIVE.subtle.exportKey('pkcs8', keys.privateKey)))
  const authority = await openAuthority({ certificate, signer }, { verifier: systemVerifier })
  const options = { random: systemRandom, now: NOW, verifier: systemVerifier, digest: systemDigest }
  const manager: Grant = { ...WORKER, nodeId: parseNodeId(NODE), role: 'manager' }
  const identities: TlsIdentity[] = []
  for (let made = 0; made < count; made += 1) {
    const key = createNodeKey()
    const { pem } = await issueCertificate(authority, await createCsr(key), manager, options)
    identities.push({ privateKey: exportPrivateKey(key), certificateChain: pem, trustBundle: certificate.pem })
  }
  return identities
}

/** Full handshakes with both certificates, many at a time, while the server's identity stays or changes ten times a second. */
export const swap: Area = async function* (effort) {
  const [client, ...servers] = (await createIdentities(5)) as [TlsIdentity, TlsIdentity, ...TlsIdentity[]]
  const hot = hotTls(servers[0])
  const near = hotTls(client)
  const listener = createServer(hot.serverOptions(), (socket) => {
    socket.on('error', () => undefined)
    socket.end()
  })
  hot.serve(listener)
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  let failed = 0
  let swaps = 0
  listener.on('tlsClientError', () => {
    failed += 1
  })

  const handshake = async (): Promise<void> => {
    const socket = near.dial({ host: '127.0.0.1', port })
    try {
      await once(socket, 'secureConnect')
      // Read to its end, or it would never close.
      socket.resume()
      await once(socket, 'close')
    } catch {
      failed += 1
    }
  }
  const handshakes = async (): Promise<void> => {
    await Promise.all(Array.from({ length: CLIENTS }, handshake))
  }
  let last = 0
  const contestants: readonly Contestant[] = [
    {
      name: 'ten swaps a second',
      units: CLIENTS,
      run: async () => {
        const work = handshakes()
        const now = performance.now()
        if (now - last >= SWAP_MS) {
          // In the middle of handshakes that began a moment ago.
          await new Promise<void>((resolve) => setImmediate(resolve))
          last = now
          swaps += 1
          hot.update(servers[swaps % servers.length]!)
        }
        await work
      },
    },
    { name: 'without swaps', units: CLIENTS, run: handshakes },
  ]
  const sliced = { ...effort, sliceMs: Math.max(effort.sliceMs, LEAST_SLICE_MS) }
  try {
    const [swapped, still] = (await race(contestants, sliced)) as [Standing, Standing]
    yield ratioRow({ job: 'certificate swap under handshakes', unit: 'handshakes/s', atLeast: 0.9 }, swapped, still)
    yield {
      job: `failed handshakes in ${swaps} swaps`,
      versus: 'none',
      value: failed,
      unit: 'handshakes',
      atMost: 0,
      median: failed,
      spread: 0,
    }
  } finally {
    listener.close()
  }
}
