import { generateKeyPairSync } from 'node:crypto'
import type { Certificate, Signer, SpiffeId } from '@leastwise/identity'
import { parseCertificate } from '@leastwise/identity'
import { createNodeKey } from '@leastwise/identity/node'
import { encodeElement, encodeSequence } from '../../packages/identity/src/der/writer.ts'
import { authorityKeyId, CA, CN, type ForgedExtension, forge, forgeName, LEAF, O, subjectKeyId } from './forge.ts'

/** A fresh RSA key as PKCS #8 DER. */
export const rsaKey = (): Uint8Array =>
  new Uint8Array(
    generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'der', type: 'pkcs8' }),
  )

/** A subject alternative name of these URIs. */
export const uris = (...texts: readonly string[]): ForgedExtension => ({
  type: '2.5.29.17',
  value: encodeSequence(...texts.map((text) => encodeElement(0x86, new TextEncoder().encode(text)))),
})

/** A certification authority of a trust domain, which signs whatever it is told to. */
export interface TestDomain {
  readonly root: Certificate
  readonly key: Signer
  /** A leaf with these names and this profile under `by`, its own root unless said otherwise. */
  readonly leaf: (options: LeafOptions) => Promise<Certificate>
  /** An intermediate under the root. */
  readonly intermediate: (...names: readonly string[]) => Promise<TestDomain>
}

export interface LeafOptions {
  readonly names?: readonly (SpiffeId | string)[]
  readonly profile?: readonly ForgedExtension[]
  readonly notBefore?: number
  readonly notAfter?: number
  readonly subject?: Uint8Array
  readonly publicKey?: Uint8Array
}

export const NOW: number = Date.UTC(2026, 5, 1)
const HOUR_MS = 3_600_000

const idOf = (number: number): Uint8Array => new Uint8Array(20).fill(number)
let made = 1

async function domainOf(name: string, names: readonly string[], by: TestDomain | null): Promise<TestDomain> {
  const key = createNodeKey()
  const subject = forgeName([O, name], [CN, `ca ${made}`])
  const number = (made += 1)
  const der = await forge({
    ...{
      issuer: by === null ? subject : by.root.subject.der,
      subject,
      publicKey: key.publicKey,
      signer: by?.key ?? key,
    },
    ...{ notBefore: NOW - 24 * HOUR_MS, notAfter: NOW + 240 * HOUR_MS },
    extensions: [
      ...CA,
      subjectKeyId(idOf(number)),
      ...(by?.root.subjectKeyId == null ? [] : [authorityKeyId(by.root.subjectKeyId)]),
      ...(names.length === 0 ? [] : [uris(...names)]),
    ],
  })
  const root = parseCertificate(der)
  const self: TestDomain = {
    root,
    key,
    intermediate: async (...below) => await domainOf(name, below, self),
    leaf: async ({ names: own = [], profile = LEAF, notBefore = NOW - HOUR_MS, notAfter = NOW + HOUR_MS, ...rest }) =>
      parseCertificate(
        await forge({
          ...{ issuer: root.subject.der, subject: rest.subject ?? forgeName([O, name], [CN, 'leaf']), signer: key },
          ...{ publicKey: rest.publicKey ?? createNodeKey().publicKey, notBefore, notAfter },
          extensions: [...profile, authorityKeyId(idOf(number)), ...(own.length === 0 ? [] : [uris(...own)])],
        }),
      ),
  }
  return self
}

/** A fresh trust domain; its root carries `names`, as a rule the id of the trust domain or none. */
export const testDomain = async (name: string, ...names: readonly string[]): Promise<TestDomain> =>
  await domainOf(name, names, null)
