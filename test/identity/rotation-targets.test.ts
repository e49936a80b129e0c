import {
  type AuthorityCommand,
  type AuthorityState,
  authorityLife,
  type Certificate,
  DEFAULT_LIFETIME_MS,
  importAuthority,
  parseCertificate,
  planRotation,
} from '@leastwise/identity'
import { openSigner, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { encodeElement, encodeSequence, encodeText } from '../../packages/identity/src/der/writer.ts'
import {
  authorityKeyId,
  basicConstraints,
  CA,
  CLIENT,
  CN,
  extKeyUsage,
  type ForgedExtension,
  type Forgery,
  forge,
  forgeName,
  keyUsage,
  SERVER,
  subjectKeyId,
  twinOf,
} from './forge.ts'
import { apply, calm, crossed, founded, foundedOn, start, type TestRoot, testRoot } from './rotation-support.ts'

const NOW = Date.UTC(2026, 11, 1)
const EMAIL_USE = '1.3.6.1.5.5.7.3.4'
const BOUND: ForgedExtension = {
  type: '2.5.29.30',
  critical: true,
  value: encodeSequence(encodeElement(0xa0, encodeSequence(encodeText(0x82, 'example')))),
}

let old: TestRoot
let next: TestRoot
let third: TestRoot
let crossNext: Certificate
let crossThird: Certificate
beforeAll(async () => {
  old = await testRoot('swarm-ca', NOW)
  next = await testRoot('swarm-ca-2', NOW)
  third = await testRoot('swarm-ca-3', NOW)
  crossNext = await crossed(next, old, NOW)
  crossThird = await crossed(third, old, NOW)
})

/** A root over the key of another one, with whatever differs. */
async function variant({ certificate, privateKey }: TestRoot, change: Partial<Forgery>): Promise<TestRoot> {
  const subject = change.subject ?? certificate.subject.der
  const made = await forge({
    ...twinOf(certificate),
    issuer: subject,
    signer: openSigner(privateKey),
    extensions: [...CA, subjectKeyId(certificate.subjectKeyId!)],
    ...change,
  })
  return { certificate: parseCertificate(made), privateKey }
}

/** What an honest signer would not make. */
async function forcedTwin(
  of: TestRoot,
  by: TestRoot,
  extensions: readonly ForgedExtension[] = CA,
): Promise<Certificate> {
  const identifiers = [subjectKeyId(of.certificate.subjectKeyId!), authorityKeyId(by.certificate.subjectKeyId!)]
  const issuer = by.certificate.subject.der
  const signer = openSigner(by.privateKey)
  return parseCertificate(
    await forge({ ...twinOf(of.certificate), issuer, signer, extensions: [...extensions, ...identifiers] }),
  )
}

const refused = (state: AuthorityState, command: AuthorityCommand, code = 'ROTATION_TARGET_UNFIT'): void => {
  expect(() => authorityLife.decide(state, command)).toThrowCode(code)
}

describe('a target after another one was given up', () => {
  const begin: AuthorityCommand = { type: 'begin-reissue', now: NOW }

  it('may not share name, key or key identifier with it: nodes that hang on the first would count as come over', async () => {
    const reissued = apply(foundedOn(old, NOW), start(next, crossNext, NOW), begin)
    const renamed = await variant(next, { subject: forgeName([CN, 'swarm-ca-9']) })
    const sameId = await variant(third, { extensions: [...CA, subjectKeyId(next.certificate.subjectKeyId!)] })
    const sameName = await variant(third, { subject: next.certificate.subject.der })
    const stale = apply(reissued, start(third, crossThird, NOW), begin)
    const reverting = apply(reissued, { type: 'abort-rotation', now: NOW })
    for (const alike of [renamed, sameId, sameName]) {
      const command = start(alike, await forcedTwin(alike, old), NOW)
      refused(reissued, command)
      refused(reverting, command)
    }
    const command = start(renamed, await forcedTwin(renamed, old), NOW)
    refused(stale, command)
    // Where nothing was issued under it, it does not matter.
    expect(() => authorityLife.decide(apply(foundedOn(old, NOW), start(next, crossNext, NOW)), command)).not.toThrow()
  })

  it('may be the very one that was given up', () => {
    const state = apply(foundedOn(old, NOW), start(next, crossNext, NOW), begin, start(third, crossThird, NOW), begin)
    const back = founded(apply(state, start(next, crossNext, NOW)))
    expect(back.rotation?.target?.root.certificate).toBe(next.certificate.pem)
  })
})

describe('a root in force that may have no CA below it, or binds names', () => {
  const SHAPES: readonly (readonly ForgedExtension[])[] = [
    [keyUsage(0x06), basicConstraints(true, 0)],
    [...CA, BOUND],
  ]

  it('vouches for no other root, and the plan says so', async () => {
    for (const extensions of SHAPES) {
      const narrow = await variant(old, { extensions: [...extensions, subjectKeyId(old.certificate.subjectKeyId!)] })
      const state = foundedOn(narrow, NOW)
      await expect(crossed(next, narrow, NOW)).rejects.toThrowCode('AUTHORITY_UNFIT')
      refused(state, start(next, await forcedTwin(next, narrow), NOW))
      const { blockers } = planRotation(state, { members: [], load: calm, now: NOW })
      expect(blockers).toContainEqual({ code: 'root-vouches-for-none', fatal: true, nodes: [], until: null })
    }
    const { blockers } = planRotation(foundedOn(old, NOW), { members: [], load: calm, now: NOW })
    expect(blockers).toEqual([])
  })

  it('has room for as many as it says', async () => {
    const extensions = [keyUsage(0x06), basicConstraints(true, 1), subjectKeyId(old.certificate.subjectKeyId!)]
    const narrow = await variant(old, { extensions })
    const signed = await crossed(next, narrow, NOW)
    expect(() => authorityLife.decide(foundedOn(narrow, NOW), start(next, signed, NOW))).not.toThrow()
    const intermediate = await below(next)
    const command = start(next, signed, NOW)
    const root = { ...command.root, intermediates: [intermediate.pem] }
    refused(foundedOn(narrow, NOW), { ...command, root })
    const wide = start(next, crossNext, NOW)
    expect(() => authorityLife.decide(foundedOn(old, NOW), { ...wide, root })).not.toThrow()
    // The twin counts as well, whatever the root behind it says.
    const tight = start(next, await forcedTwin(next, old, [keyUsage(0x06), basicConstraints(true, 0)]), NOW)
    refused(foundedOn(old, NOW), { ...tight, root })
    expect(() => authorityLife.decide(foundedOn(old, NOW), tight)).not.toThrow()
  })
})

/** An intermediate of a root, with whatever differs. */
async function below(root: TestRoot, change: Partial<Forgery> = {}): Promise<Certificate> {
  const made = await forge({
    subject: forgeName([CN, 'Issuing CA']),
    publicKey: third.certificate.publicKey,
    notBefore: root.certificate.notBefore,
    notAfter: root.certificate.notAfter,
    issuer: root.certificate.subject.der,
    signer: openSigner(root.privateKey),
    extensions: [...CA, subjectKeyId(new Uint8Array(20).fill(7)), authorityKeyId(root.certificate.subjectKeyId!)],
    ...change,
  })
  return parseCertificate(made)
}

describe('a target that no peer would go by', () => {
  it('is refused before anything is issued under it', async () => {
    const state = foundedOn(old, NOW)
    const id = subjectKeyId(next.certificate.subjectKeyId!)
    for (const extensions of [
      [...CA, extKeyUsage(SERVER, CLIENT), id],
      [keyUsage(0x06), { type: '2.5.29.19', value: basicConstraints(true).value }, id],
      [...CA, id, authorityKeyId(new Uint8Array(20).fill(1))],
      [...CA, id, { type: '1.2.3.4', critical: true as const, value: Uint8Array.of(5, 0) }],
    ]) {
      const target = await variant(next, { extensions })
      refused(state, start(target, await forcedTwin(target, old), NOW))
    }
    refused(state, start(next, await forcedTwin(next, old, [...CA, extKeyUsage(EMAIL_USE)]), NOW))
  })

  it('is refused with an intermediate that it did not make, or that cannot issue', async () => {
    const state = foundedOn(old, NOW)
    const command = start(next, crossNext, NOW)
    const withIntermediate = (pem: string): AuthorityCommand => ({
      ...command,
      root: { ...command.root, intermediates: [pem] },
    })
    refused(state, withIntermediate((await below(old)).pem))
    const ids = [subjectKeyId(new Uint8Array(20).fill(7)), authorityKeyId(next.certificate.subjectKeyId!)]
    refused(state, withIntermediate((await below(next, { extensions: [...CA, extKeyUsage(EMAIL_USE), ...ids] })).pem))
    refused(state, withIntermediate('garbage'), 'CERTIFICATE_MALFORMED')
  })
})

describe('an import of an intermediate', () => {
  const take = async (intermediate: Certificate, root: TestRoot = next): Promise<unknown> =>
    await importAuthority({
      chain: [intermediate.pem, root.certificate.pem],
      signer: openSigner(third.privateKey),
      privateKey: null,
      now: NOW,
      lifetimeMs: DEFAULT_LIFETIME_MS,
      verifier: systemVerifier,
    })

  it('is refused when no peer would believe what it issues', async () => {
    await expect(take(await below(next))).resolves.toBeDefined()
    const ids = [subjectKeyId(new Uint8Array(20).fill(7)), authorityKeyId(next.certificate.subjectKeyId!)]
    const both = await below(next, { extensions: [...CA, extKeyUsage(SERVER, CLIENT), ...ids] })
    await expect(take(both)).resolves.toBeDefined()
    const uses = await below(next, { extensions: [...CA, extKeyUsage(EMAIL_USE), ...ids] })
    await expect(take(uses)).rejects.toThrowCode('AUTHORITY_UNFIT')
    // Signed by the root, and saying that another key did.
    const other = [...CA, subjectKeyId(new Uint8Array(20).fill(7)), authorityKeyId(new Uint8Array(20).fill(1))]
    await expect(take(await below(next, { extensions: other }))).rejects.toThrowCode('AUTHORITY_CHAIN_INVALID')
    const bound = await variant(next, { extensions: [...CA, BOUND, subjectKeyId(next.certificate.subjectKeyId!)] })
    await expect(take(await below(bound), bound)).rejects.toThrowCode('AUTHORITY_UNFIT')
  })
})
