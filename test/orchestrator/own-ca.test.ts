import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { type Certificate, crossSignRoot, parseCertificateChain, parseTrustBundle } from '@leastwise/identity'
import { openSigner, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CaAnswer, CrlAnswer, RootAnswer } from '../../examples/orchestrator/operator/answers.ts'
import type { Given } from '../../examples/orchestrator/operator/command.ts'
import { createIdentityFile } from '../../examples/orchestrator/operator/remote/identity-file.ts'
import { ownCaOf } from '../../examples/orchestrator/own-ca.ts'
import { answerOf, refusalCode, run, Sandbox, until } from './cluster-processes.ts'
import { contentOfKeyFile } from './key-file-of-a-process.ts'

interface Ca {
  readonly certificate: Certificate
  readonly privateKey: Uint8Array
}

const DAY_MS = 86_400_000

let sandbox: Sandbox
let company: Ca
/** A CA under the company's root, with a key of its own. */
let intermediate: Ca

const pemOf = (key: Uint8Array): string =>
  `-----BEGIN PRIVATE KEY-----\n${Buffer.from(key).toString('base64')}\n-----END PRIVATE KEY-----\n`
const make = async (commonName: string, lifetimeMs?: number): Promise<Ca> =>
  await createRoot({
    now: Date.now(),
    serial: systemRandom.bytes(20),
    commonName,
    ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
  })
const files = (name: string, certificates: readonly Certificate[], key: Uint8Array): readonly string[] => {
  const [cert, keyFile] = [sandbox.path(`${name}.crt`), sandbox.path(`${name}.key`)]
  writeFileSync(cert, certificates.map(({ pem }) => pem).join(''))
  writeFileSync(keyFile, pemOf(key), { mode: 0o600 })
  return ['--ca-cert', cert, '--ca-key', keyFile]
}
const refusedStart = async (name: string, more: readonly string[]): Promise<string> =>
  refusalCode(await run(['manager', '--data', sandbox.path(name), '--listen', '127.0.0.1:0', '--json', ...more]))
const kept = async (file: string) => {
  const content = await contentOfKeyFile(file)
  return {
    chain: parseCertificateChain(content.certificateChain ?? '').map(({ pem }) => pem),
    roots: parseTrustBundle(content.trustBundle).roots.map(({ pem }) => pem),
  }
}
const given = (...words: readonly string[]): Given => ({
  options: Object.fromEntries(words.flatMap((word, at) => (at % 2 === 0 ? [[word.slice(2), words[at + 1]]] : []))),
  positionals: [],
  rest: [],
})

beforeAll(async () => {
  sandbox = new Sandbox()
  company = await make('company root')
  const below = await make('company cluster ca')
  const twin = await crossSignRoot({
    root: below.certificate,
    issuer: company.certificate,
    signer: openSigner(company.privateKey),
    serial: systemRandom.bytes(20),
    now: Date.now(),
    verifier: systemVerifier,
  })
  intermediate = { certificate: twin, privateKey: below.privateKey }
})
afterAll(async () => {
  await sandbox[Symbol.asyncDispose]()
})

describe("a CA of one's own", () => {
  it('founds a cluster, and a change of the root brings in another one', async () => {
    const manager = await sandbox.manager('on-root', '127.0.0.1:0', {
      more: files('company', [company.certificate], company.privateKey),
    })
    const worker = await sandbox.worker(manager, 'w1')
    expect((await manager.call<CaAnswer>('ca/info')).certificate).toBe(company.certificate.pem)
    expect((await kept(join(worker.data, 'node.key'))).roots).toEqual([company.certificate.pem])

    const next = await make('company root of next year')
    await answerOf(await manager.operate(['root', 'rotate', ...files('next', [next.certificate], next.privateKey)]))
    await until('all have come over', async () => {
      const { phase } = await manager.call<RootAnswer>('root/status')
      return phase === 'finishing'
    })
    expect((await manager.call<CaAnswer>('ca/info')).certificate).toBe(next.certificate.pem)
    await until('the worker trusts the new root alone', async () => {
      const { roots } = await kept(join(worker.data, 'node.key'))
      return roots.length === 1 && roots[0] === next.certificate.pem
    })
    // A third one is in use already: by its key it would be taken for the second.
    const again = await manager.operate(['root', 'rotate', ...files('again', [next.certificate], next.privateKey)])
    expect(refusalCode(again)).toMatch(/^(AUTHORITY_UNFIT|ROTATION_TARGET_UNFIT)$/)
  })

  it('may be an intermediate: nodes trust its root, and its key alone is in the log', async () => {
    const more = files('below', [intermediate.certificate, company.certificate], intermediate.privateKey)
    const manager = await sandbox.manager('on-intermediate', '127.0.0.1:0', { more })
    const worker = await sandbox.worker(manager, 'w2')
    const { chain, roots } = await kept(join(worker.data, 'node.key'))
    expect(roots).toEqual([company.certificate.pem])
    expect(chain.slice(1)).toEqual([intermediate.certificate.pem])
    expect((await manager.call<CrlAnswer>('cluster/crl', {})).entries).toBe(0)

    // Operators come from a root itself, and new roots are vouched for by one: neither key is here.
    const csr = await createIdentityFile(sandbox.path('anna.identity'))
    await expect(manager.call('operator/issue', { name: 'anna', csr })).rejects.toThrowCode('AUTHORITY_UNFIT')
    const rotated = await manager.operate(['root', 'rotate'])
    expect(refusalCode(rotated)).toBe('ROOT_KEY_OUTSIDE')
  })

  it('is refused with its reason, and then nothing was founded', async () => {
    const other = await make('other')
    const short = await make('short', 30 * DAY_MS)
    const { certificate, privateKey } = company
    expect(await refusedStart('a', files('a', [certificate], other.privateKey))).toBe('AUTHORITY_KEY_MISMATCH')
    expect(await refusedStart('b', files('b', [short.certificate], short.privateKey))).toBe('AUTHORITY_ENDS_SOON')
    const strangers = [intermediate.certificate, other.certificate]
    expect(await refusedStart('c', files('c', strangers, intermediate.privateKey))).toBe('AUTHORITY_CHAIN_INVALID')
    expect(await refusedStart('d', files('d', [certificate], privateKey).slice(0, 2))).toBe('USAGE')
    const good = files('e', [certificate], privateKey)
    expect(await refusedStart('e', [...good, '--join', '127.0.0.1:1'])).toBe('USAGE')
    // What was refused left nothing behind: the same directory founds a cluster of its own now.
    const manager = await sandbox.manager('a')
    expect((await manager.call<CaAnswer>('ca/info')).certificate).not.toBe(certificate.pem)
    await manager.process.kill('SIGTERM')
    expect(await refusedStart('a', good)).toBe('USAGE')
  })

  it('never shows a byte of its key in a refusal', () => {
    const marked = 'MARKEDKEYMARKEDKEY'
    const [cert, key] = [sandbox.path('marked.crt'), sandbox.path('marked.key')]
    writeFileSync(cert, company.certificate.pem)
    writeFileSync(key, `-----BEGIN PRIVATE KEY-----\n${marked}\n-----END PRIVATE KEY-----\n`)
    let refusal: unknown
    try {
      ownCaOf(given('--ca-cert', cert, '--ca-key', key))
    } catch (error) {
      refusal = error
    }
    expect(refusal).toMatchObject({ code: 'USAGE' })
    expect(inspect(refusal)).not.toContain(marked)
  })
})
