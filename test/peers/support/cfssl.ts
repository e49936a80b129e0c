import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { type Certificate, parseCertificate } from '@leastwise/identity'
import { program } from './needs.ts'

/** Long for a busy machine. */
export const START_MS = 20_000

/** A CA as cfssl makes it: PEM files below a directory, and the root. */
export interface MadeCa {
  readonly root: Certificate
  readonly certificate: string
  readonly key: string
}

export function makeCa(directory: string, name: string, key: { readonly algo: string; readonly size: number }): MadeCa {
  const csr = join(directory, `${name}-csr.json`)
  writeFileSync(csr, JSON.stringify({ CN: name, key, ca: { expiry: '87600h' } }))
  const made = spawnSync(program('cfssl'), ['genkey', '-loglevel=5', '-initca', csr], {
    encoding: 'utf8',
    timeout: START_MS,
  })
  const { cert, key: pem } = JSON.parse(made.stdout) as { readonly cert: string; readonly key: string }
  const files = { certificate: join(directory, `${name}.pem`), key: join(directory, `${name}-key.pem`) }
  writeFileSync(files.certificate, cert)
  writeFileSync(files.key, pem, { mode: 0o600 })
  return { root: parseCertificate(cert), ...files }
}

/** A certificate for a server on loopback, signed by the CA itself. */
export function makeServerCertificate(
  directory: string,
  ca: MadeCa,
): { readonly certificate: string; readonly key: string } {
  const csr = join(directory, 'server-csr.json')
  writeFileSync(csr, JSON.stringify({ CN: 'server', hosts: ['127.0.0.1'], key: { algo: 'ecdsa', size: 256 } }))
  const args = ['gencert', '-loglevel=5', '-ca', ca.certificate, '-ca-key', ca.key, csr]
  const made = spawnSync(program('cfssl'), args, { encoding: 'utf8', timeout: START_MS })
  const { cert, key: pem } = JSON.parse(made.stdout) as { readonly cert: string; readonly key: string }
  const files = { certificate: join(directory, 'server.pem'), key: join(directory, 'server-key.pem') }
  writeFileSync(files.certificate, cert)
  writeFileSync(files.key, pem, { mode: 0o600 })
  return files
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
