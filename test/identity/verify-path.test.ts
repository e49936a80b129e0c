import {
  type Certificate,
  CLIENT_AUTH,
  parseCertificate,
  SERVER_AUTH,
  type Signer,
  type SyncVerifyPathOptions,
  verifyPath,
  verifyPathSync,
} from '@leastwise/identity'
import { createNodeKey, systemVerifier } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import {
  authorityKeyId,
  basicConstraints,
  CLIENT,
  CN,
  codeOf,
  extKeyUsage,
  type ForgedExtension,
  type Forgery,
  forge,
  forgeName,
  keyUsage,
  SERVER,
  subjectKeyId,
} from './forge.ts'
import { altNames, ip } from './intermediate-support.ts'

const NOW = Date.UTC(2026, 10, 25)
const DAY = 86_400_000

interface Made {
  readonly signer: Signer
  readonly certificate: Certificate
}

const keyId = (byte: number): Uint8Array => new Uint8Array(20).fill(byte)
const ids = (own: number, issuer: number): readonly ForgedExtension[] => [
  subjectKeyId(keyId(own)),
  authorityKeyId(keyId(issuer)),
]
const signs = keyUsage(0x06)

async function make(
  name: string,
  issuer: { readonly name: string; readonly signer?: Signer },
  extensions: readonly ForgedExtension[],
  changes: Partial<Forgery> = {},
): Promise<Made> {
  const signer = createNodeKey()
  const der = await forge({
    issuer: forgeName([CN, issuer.name]),
    subject: forgeName([CN, name]),
    publicKey: signer.publicKey,
    signer: issuer.signer ?? signer,
    notBefore: NOW - DAY,
    notAfter: NOW + DAY,
    extensions,
    ...changes,
  })
  return { signer, certificate: parseCertificate(der) }
}

const rootOf = async (...more: readonly ForgedExtension[]): Promise<Made> =>
  await make('root', { name: 'root' }, [signs, basicConstraints(true), subjectKeyId(keyId(1)), ...more])
const root = await rootOf()
const under = (made: Made, name: string): { readonly name: string; readonly signer: Signer } => ({
  name,
  signer: made.signer,
})
const LEAF = [keyUsage(0x80), extKeyUsage(SERVER), ...ids(9, 1)]
const leafWith = async (
  extensions: readonly ForgedExtension[],
  issuer = under(root, 'root'),
  changes: Partial<Forgery> = {},
): Promise<Certificate> => (await make('host.example', issuer, extensions, changes)).certificate

const options = (changes: Partial<SyncVerifyPathOptions> = {}): SyncVerifyPathOptions => ({
  roots: [root.certificate],
  now: NOW,
  purposes: [SERVER_AUTH],
  verifier: systemVerifier,
  ...changes,
})

async function outcome(chain: readonly Certificate[], changes: Partial<SyncVerifyPathOptions> = {}): Promise<string> {
  const sync = codeOf(() => verifyPathSync(chain, options(changes)))
  const verifier = {
    verify: async (...args: Parameters<typeof systemVerifier.verify>) => systemVerifier.verify(...args),
  }
  const slow = await verifyPath(chain, { ...options(changes), verifier }).then(
    () => 'ok',
    (error: unknown) => (error as { code: string }).code,
  )
  expect(slow).toBe(sync)
  return sync
}

describe('verifyPath', () => {
  it('gives the leaf and who vouches for it', async () => {
    const ca = await make('ca', under(root, 'root'), [signs, basicConstraints(true, 0), ...ids(2, 1)])
    const leaf = await leafWith([keyUsage(0x80), extKeyUsage(SERVER), ...ids(9, 2)], under(ca, 'ca'))
    const chain = [leaf, ca.certificate]
    expect(verifyPathSync(chain, options())).toEqual({ leaf, issuers: [ca.certificate, root.certificate] })
    await expect(verifyPath([...chain, root.certificate], options())).resolves.toEqual({
      leaf,
      issuers: [ca.certificate, root.certificate],
    })
  })

  it('needs to know what for', async () => {
    const leaf = await leafWith(LEAF)
    expect(() => verifyPathSync([leaf], options({ purposes: [] }))).toThrow(RangeError)
    expect(await outcome([leaf], { purposes: [SERVER_AUTH, CLIENT_AUTH] })).toBe('PEER_PROFILE_INVALID')
    expect(await outcome([leaf])).toBe('ok')
  })

  it('says when a proven leaf is out of its time', async () => {
    const leaf = await leafWith(LEAF, under(root, 'root'), { notBefore: NOW, notAfter: NOW + 1000 })
    expect(await outcome([leaf], { now: NOW - 1 })).toBe('PEER_NOT_YET_VALID')
    expect(await outcome([leaf], { now: NOW + 1001 })).toBe('PEER_EXPIRED')
    expect(await outcome([leaf], { now: NOW + 1000 })).toBe('ok')
  })

  it.each<readonly [string, readonly ForgedExtension[]]>([
    ['no key identifier of its issuer', [keyUsage(0x80), extKeyUsage(SERVER)]],
    ['a critical extended usage', [keyUsage(0x80), { ...extKeyUsage(SERVER), critical: true }, ...ids(9, 1)]],
    ['any usage', [keyUsage(0x80), extKeyUsage(SERVER, '2.5.29.37.0'), ...ids(9, 1)]],
    [
      'a critical key identifier',
      [keyUsage(0x80), extKeyUsage(SERVER), { ...subjectKeyId(keyId(9)), critical: true }, authorityKeyId(keyId(1))],
    ],
    ['policy constraints that are not critical', [...LEAF, { type: '2.5.29.36', value: Uint8Array.of(0x30, 0) }]],
    ['constraints on names', [...LEAF, { type: '2.5.29.30', value: Uint8Array.of(0x30, 0) }]],
  ])('refuses a leaf with %s', async (_, extensions) => {
    expect(await outcome([await leafWith(extensions)])).toBe('PEER_PROFILE_INVALID')
  })

  it.each<readonly [string, readonly ForgedExtension[]]>([
    ['no key usage', [basicConstraints(true), subjectKeyId(keyId(1))]],
    [
      'basic constraints that are not critical',
      [signs, { type: '2.5.29.19', value: basicConstraints(true).value }, subjectKeyId(keyId(1))],
    ],
    ['no key identifier', [signs, basicConstraints(true)]],
    ['the key identifier of somebody else', [signs, basicConstraints(true), ...ids(1, 2)]],
    ['extended usages', [signs, basicConstraints(true), subjectKeyId(keyId(1)), extKeyUsage(SERVER, CLIENT)]],
    [
      'policy constraints',
      [signs, basicConstraints(true), subjectKeyId(keyId(1)), { type: '2.5.29.36', value: Uint8Array.of(0x30, 0) }],
    ],
  ])('refuses a root with %s', async (_, extensions) => {
    const made = await make('root', { name: 'root' }, extensions)
    const leaf = await leafWith(LEAF, under(made, 'root'))
    expect(await outcome([leaf], { roots: [made.certificate] })).toBe('PEER_ISSUER_UNFIT')
  })

  it('refuses a trusted certificate that is no root', async () => {
    const ca = await make('ca', under(root, 'root'), [signs, basicConstraints(true), ...ids(2, 1)])
    const leaf = await leafWith([keyUsage(0x80), extKeyUsage(SERVER), ...ids(9, 2)], under(ca, 'ca'))
    expect(await outcome([leaf], { roots: [ca.certificate] })).toBe('PEER_ISSUER_UNFIT')
    expect(await outcome([leaf, ca.certificate])).toBe('ok')
  })

  it('holds intermediates to the uses that they name', async () => {
    const used = async (...uses: readonly string[]): Promise<string> => {
      const extensions = [signs, basicConstraints(true), ...ids(2, 1), extKeyUsage(...uses)]
      const ca = await make('ca', under(root, 'root'), extensions)
      const leaf = await leafWith([keyUsage(0x80), extKeyUsage(SERVER, CLIENT), ...ids(9, 2)], under(ca, 'ca'))
      return await outcome([leaf, ca.certificate], { purposes: [SERVER_AUTH, CLIENT_AUTH] })
    }
    expect(await used(SERVER, CLIENT)).toBe('ok')
    expect(await used(SERVER)).toBe('PEER_ISSUER_UNFIT')
    expect(await used('2.5.29.37.0')).toBe('PEER_ISSUER_UNFIT')
  })

  it('counts intermediates', async () => {
    const high = await make('high', under(root, 'root'), [signs, basicConstraints(true), ...ids(2, 1)])
    const low = await make('low', under(high, 'high'), [signs, basicConstraints(true), ...ids(3, 2)])
    const leaf = await leafWith([keyUsage(0x80), extKeyUsage(SERVER), ...ids(9, 3)], under(low, 'low'))
    const chain = [leaf, low.certificate, high.certificate]
    expect(await outcome(chain)).toBe('ok')
    expect(await outcome(chain, { maxIntermediates: 2 })).toBe('ok')
    expect(await outcome(chain, { maxIntermediates: 1 })).toBe('PEER_ISSUER_UNFIT')
    expect(await outcome([await leafWith(LEAF)], { maxIntermediates: 0 })).toBe('ok')
  })

  it('asks whether an intermediate was withdrawn, and never that of the root', async () => {
    const ca = await make('ca', under(root, 'root'), [signs, basicConstraints(true), ...ids(2, 1)])
    const leaf = await leafWith([keyUsage(0x80), extKeyUsage(SERVER), ...ids(9, 2)], under(ca, 'ca'))
    const asked: Certificate[] = []
    const isRevokedIssuer = (issuer: Certificate): boolean => asked.push(issuer) > 2
    expect(await outcome([leaf, ca.certificate], { isRevokedIssuer })).toBe('ok')
    expect(asked).toEqual([ca.certificate, ca.certificate])
    expect(await outcome([leaf, ca.certificate], { isRevokedIssuer })).toBe('PEER_ISSUER_REVOKED')
  })
})

describe('names under which a peer is met', () => {
  const named = async (...names: readonly (string | Uint8Array)[]): Promise<Certificate> =>
    await leafWith([...LEAF, altNames(...names)])

  it('must all be there', async () => {
    const chain = [await named('host.example', ip(10, 0, 0, 1))]
    const dns = { kind: 'dns', value: 'HOST.example' } as const
    const address = { kind: 'ip', value: Uint8Array.of(10, 0, 0, 1) } as const
    expect(await outcome(chain, { names: [dns, address] })).toBe('ok')
    expect(await outcome(chain, { names: [dns, { kind: 'dns', value: 'other.example' }] })).toBe('PEER_NAMES_INVALID')
    expect(await outcome(chain, { names: [{ kind: 'ip', value: new Uint8Array(16) }] })).toBe('PEER_NAMES_INVALID')
    expect(await outcome(chain, { names: [{ kind: 'email', value: 'host.example' }] })).toBe('PEER_NAMES_INVALID')
    expect(await outcome([await leafWith(LEAF)], { names: [dns] })).toBe('PEER_NAMES_INVALID')
  })

  it('include the common name, to the letter', async () => {
    const names = [{ kind: 'dns', value: 'other.example' }] as const
    expect(await outcome([await named('other.example')], { names })).toBe('PEER_NAMES_INVALID')
    expect(await outcome([await named('other.example')])).toBe('ok')
    expect(await outcome([await named('other.example', 'host.example')], { names })).toBe('ok')
    expect(await outcome([await named('other.example', 'Host.example')], { names })).toBe('PEER_NAMES_INVALID')
  })

  it.each([
    '*.example',
    'a_b.example',
    '10.0.0.1',
    '.example',
    'example.',
    '-a.example',
    `${'a'.repeat(64)}.example`,
    'a..b',
  ])('are no patterns and nothing malformed: %s', async (name) => {
    expect(await outcome([await named(name, 'host.example')])).toBe('PEER_NAMES_INVALID')
  })

  it('are critical where there is no subject, and only there', async () => {
    const san = altNames('host.example')
    const critical: ForgedExtension = { ...san, critical: true }
    const empty = { subject: forgeName() }
    expect(await outcome([await leafWith([...LEAF, critical])])).toBe('PEER_NAMES_INVALID')
    expect(await outcome([await leafWith([...LEAF, san], under(root, 'root'), empty)])).toBe('PEER_NAMES_INVALID')
    expect(await outcome([await leafWith([...LEAF, critical], under(root, 'root'), empty)])).toBe('ok')
  })
})
