import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { openKeyFile } from '@leastwise/identity/node'
import { parseAddress } from '../orchestrator/address.ts'
import { loadCredentials } from '../orchestrator/worker/credentials.ts'
import type { Scene } from './scene.ts'

const pemOf = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`

/** What the manager shows to whoever connects; its key file may be locked. */
async function shownByManager({ address, trustBundle }: Scene): Promise<string> {
  const { host, port } = parseAddress(address)
  return await new Promise((resolve, reject) => {
    const socket = connect(
      { host, port, ca: trustBundle, servername: 'swarm-manager', ALPNProtocols: ['h2'], minVersion: 'TLSv1.3' },
      () => {
        const { raw } = socket.getPeerCertificate()
        socket.destroy()
        resolve(pemOf(raw))
      },
    )
    socket.once('error', reject)
  })
}

/** Keeps every certificate that is in use now in `directory`, the root as `root.pem`, for somebody else to judge. */
export async function keepCertificates(scene: Scene, directory: string, when: string): Promise<void> {
  mkdirSync(directory, { recursive: true })
  const keep = (name: string, pem: string): void => {
    writeFileSync(join(directory, `${name}.pem`), pem)
  }
  keep('root', scene.trustBundle)
  keep(`manager-${when}`, await shownByManager(scene))
  for (const [at, { data }] of scene.workers.entries()) {
    const path = join(data, 'node.key')
    if (!existsSync(path)) continue
    const credentials = await loadCredentials(await openKeyFile(path))
    if (credentials !== null) keep(`worker-${at + 1}-${when}`, credentials.certificateChain)
  }
}
