import { inspect } from 'node:util'
import { createCsr, issueCertificate, openAuthority, selfSignedRoot, verifyPeer } from '@leastwise/identity'
import {
  createNodeKey,
  openPkcs11,
  type Pkcs11Options,
  type Pkcs11Token,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import { openPkcs11With } from '../../packages/identity/src/node/pkcs11/open-pkcs11.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import { type FakeHsm, type FakeToken, fakeHsm, fakeToken, returned } from './pkcs11-fake.ts'

const DATA = new TextEncoder().encode('signed')
// By name: its types are not ours to check.
const PACKAGE = 'node-webcrypto-p11'
const LOST = returned('SESSION_HANDLE_INVALID', 0xb3)

const open = async (hsm: FakeHsm, changes: Partial<Pkcs11Options> = {}): Promise<Pkcs11Token> =>
  await openPkcs11With({ library: 'fake', token: { label: 'one' }, pin: '1234', ...changes }, async () => hsm.p11)

async function opened(
  ...tokens: readonly FakeToken[]
): Promise<{ readonly hsm: FakeHsm; readonly token: Pkcs11Token }> {
  const hsm = fakeHsm(...(tokens.length === 0 ? [fakeToken('one')] : tokens))
  return { hsm, token: await open(hsm) }
}

describe('a key in a token', () => {
  it('is made, found again, and signs a root and its leaves', async () => {
    const { token } = await opened()
    const made = await token.createSigner({ label: 'root' })
    expect(made.facts).toMatchObject({ label: 'root', kind: 'signing', extractable: false, bornInside: true })
    const signer = await token.openSigner({ label: 'root' })
    expect(signer.publicKey).toEqual(made.publicKey)
    const now = Date.now()
    const needs = { random: systemRandom, digest: systemDigest, verifier: systemVerifier, now }
    const root = await selfSignedRoot(made, needs)
    const authority = await openAuthority({ certificate: root, signer }, needs)
    const grant = { nodeId: testNodeId(1), role: 'worker', clusterId: testClusterId(1), lifetimeMs: 3_600_000 } as const
    const leaf = await issueCertificate(authority, await createCsr(createNodeKey()), grant, needs)
    const peer = await verifyPeer([leaf], { ...needs, roots: [root], clusterId: grant.clusterId })
    expect(peer.nodeId).toBe(grant.nodeId)
  })

  it('may be of P-384, and found by its id', async () => {
    const { token } = await opened()
    const { facts } = await token.createSigner({ label: 'root', keyType: 'p384' })
    const signer = await token.openSigner({ id: facts.id })
    expect(systemVerifier.verify(signer, 'ecdsa-sha384', DATA, await signer.sign(DATA))).toBe(true)
  })

  it('wraps other keys', async () => {
    const { token } = await opened()
    const { key, subtle } = await token.createWrappingKey({ label: 'kek' })
    const algorithm = { name: 'AES-GCM', iv: new Uint8Array(12), additionalData: DATA, tagLength: 128 } as const
    const sealed = await subtle.encrypt(algorithm, key, new Uint8Array(32).fill(7))
    const again = await token.openWrappingKey({ label: 'kek' })
    const plain = await again.subtle.decrypt(algorithm, again.key, new Uint8Array(sealed))
    expect(new Uint8Array(plain)).toEqual(new Uint8Array(32).fill(7))
  })

  it('is refused and removed at once if the token would give it out', async () => {
    for (const lie of ['extractable', 'sensitive', 'local', 'neverExtractable', 'alwaysSensitive']) {
      const one = fakeToken('one', { attributes: { [lie]: lie === 'extractable' } })
      const { token } = await opened(one)
      await expect(token.createSigner({ label: 'root' }), lie).rejects.toThrowCode('HSM_KEY_UNSAFE')
      await expect(token.createWrappingKey({ label: 'kek' }), lie).rejects.toThrowCode('HSM_KEY_UNSAFE')
      expect(one.keys).toEqual([])
      await token.close()
    }
  })

  it('that exists already is refused if the token would give it out, and used if it was brought in and stays', async () => {
    const one = fakeToken('one')
    const { token } = await opened(one)
    await token.createSigner({ label: 'root' })
    const set = (changes: Readonly<Record<string, boolean>>): void => {
      for (const [index, key] of one.keys.entries())
        one.keys[index] = { ...key, attributes: { ...key.attributes, ...changes } }
    }
    set({ local: false, neverExtractable: false, alwaysSensitive: false })
    expect((await token.openSigner({ label: 'root' })).facts).toMatchObject({ extractable: false, bornInside: false })
    set({ sensitive: false })
    await expect(token.openSigner({ label: 'root' })).rejects.toThrowCode('HSM_KEY_UNSAFE')
    set({ sensitive: true, extractable: true })
    await expect(token.openSigner({ label: 'root' })).rejects.toThrowCode('HSM_KEY_UNSAFE')
    expect(await token.listKeys()).toMatchObject([{ label: 'root', extractable: true, bornInside: false }])
  })

  it('has a label of its own, and is named without doubt', async () => {
    const one = fakeToken('one')
    const { token } = await opened(one)
    const { facts } = await token.createSigner({ label: 'root' })
    await expect(token.createSigner({ label: 'root' })).rejects.toThrowCode('HSM_KEY_EXISTS')
    await expect(token.createWrappingKey({ label: 'root' })).rejects.toThrowCode('HSM_KEY_EXISTS')
    await expect(token.openSigner({ label: 'other' })).rejects.toThrowCode('HSM_KEY_ABSENT')
    await expect(token.openWrappingKey({ label: 'root' })).rejects.toThrowCode('HSM_KEY_ABSENT')
    await expect(token.openSigner({})).rejects.toThrow(TypeError)
    await expect(token.createSigner({ label: '' })).rejects.toThrow(TypeError)
    await expect(token.createSigner({ label: 'x'.repeat(65) })).rejects.toThrow(TypeError)
    one.keys.push(...one.keys.map((key) => ({ ...key, id: 'ff' })))
    await expect(token.openSigner({ label: 'root' })).rejects.toThrowCode('HSM_KEY_ABSENT')
    expect((await token.openSigner({ label: 'root', id: facts.id })).facts).toEqual(facts)
  })

  it('is absent without its public half, or without an id', async () => {
    const one = fakeToken('one')
    const { token } = await opened(one)
    await token.createSigner({ label: 'root' })
    one.keys.splice(
      one.keys.findIndex(({ type }) => type === 'public'),
      1,
    )
    await expect(token.openSigner({ label: 'root' })).rejects.toThrowCode('HSM_KEY_ABSENT')
    one.keys[0] = { ...one.keys[0]!, id: '' }
    await expect(token.openSigner({ label: 'root' })).rejects.toThrowCode('HSM_KEY_ABSENT')
    await expect(token.removeKey('')).rejects.toThrowCode('HSM_KEY_ABSENT')
  })

  it('is removed with both halves', async () => {
    const one = fakeToken('one')
    const { token } = await opened(one)
    const { facts } = await token.createSigner({ label: 'root' })
    await token.removeKey(facts.id)
    expect(one.keys).toEqual([])
    await expect(token.removeKey(facts.id)).rejects.toThrowCode('HSM_KEY_ABSENT')
  })

  it('does one thing after the other', async () => {
    const { hsm, token } = await opened()
    const signer = await token.createSigner({ label: 'root' })
    const signatures = await Promise.all(Array.from({ length: 6 }, async () => await signer.sign(DATA)))
    for (const signature of signatures)
      expect(systemVerifier.verify(signer, 'ecdsa-sha256', DATA, signature)).toBe(true)
    expect(hsm.mostAtOnce()).toBe(1)
  })
})

describe('a session that is lost', () => {
  it('is opened anew, with the same key', async () => {
    const { hsm, token } = await opened()
    const signer = await token.createSigner({ label: 'root' })
    hsm.closeAll()
    expect(systemVerifier.verify(signer, 'ecdsa-sha256', DATA, await signer.sign(DATA))).toBe(true)
    expect(await token.listKeys()).toHaveLength(1)
  })

  it('is opened anew once for each request, and the next request may try again', async () => {
    const { hsm, token } = await opened()
    const signer = await token.createSigner({ label: 'root' })
    hsm.fail('sign', LOST, LOST)
    const before = hsm.calls.filter((call) => call === 'login').length
    await expect(signer.sign(DATA)).rejects.toMatchObject({ code: 'HSM_FAILED', retryable: true })
    expect(hsm.calls.filter((call) => call === 'login').length - before).toBe(1)
    expect(await signer.sign(DATA)).toBeInstanceOf(Uint8Array)
  })

  it('makes no key twice', async () => {
    const one = fakeToken('one')
    const { hsm, token } = await opened(one)
    hsm.fail('generateKey', LOST)
    await expect(token.createSigner({ label: 'root' })).rejects.toMatchObject({ code: 'HSM_FAILED', retryable: true })
    expect(hsm.calls.filter((call) => call === 'generateKey')).toHaveLength(1)
    await token.createSigner({ label: 'root' })
    expect(one.keys).toHaveLength(2)
  })

  it('waits for a token that was taken out, and finds it wherever it is put back', async () => {
    const [zero, one] = [fakeToken('zero'), fakeToken('one')]
    const { hsm, token } = await opened(zero, one)
    const signer = await token.createSigner({ label: 'root' })
    one.present = false
    hsm.closeAll()
    await expect(signer.sign(DATA)).rejects.toMatchObject({ code: 'HSM_TOKEN_ABSENT', retryable: true })
    zero.present = false
    one.present = true
    expect(systemVerifier.verify(signer, 'ecdsa-sha256', DATA, await signer.sign(DATA))).toBe(true)
  })

  it('asks for the PIN again, and never tries a refused one twice', async () => {
    const hsm = fakeHsm(fakeToken('one'))
    const pins = ['1234', '1234', 'marked-wrong']
    const token = await open(hsm, { pin: async () => pins.shift() ?? 'marked-none' })
    const signer = await token.createSigner({ label: 'root' })
    hsm.closeAll()
    await signer.sign(DATA)
    hsm.closeAll()
    await expect(signer.sign(DATA)).rejects.toThrowCode('HSM_PIN_REFUSED')
    const tries = hsm.calls.filter((call) => call === 'login').length
    await expect(signer.sign(DATA)).rejects.toThrowCode('HSM_PIN_REFUSED')
    await expect(token.listKeys()).rejects.toThrowCode('HSM_PIN_REFUSED')
    expect(hsm.calls.filter((call) => call === 'login')).toHaveLength(tries)
  })

  it('leaves the last try to an operator', async () => {
    const one = fakeToken('one')
    const { hsm, token } = await opened(one)
    const signer = await token.createSigner({ label: 'root' })
    one.flags = 0x20000
    hsm.closeAll()
    const tries = hsm.calls.filter((call) => call === 'login').length
    await expect(signer.sign(DATA)).rejects.toThrowCode('HSM_PIN_REFUSED')
    expect(hsm.calls.filter((call) => call === 'login')).toHaveLength(tries)
    await token.close()
    expect((await open(hsm)).label).toBe('one')
  })

  it('goes on where somebody else is logged in meanwhile', async () => {
    const one = fakeToken('one')
    const { hsm, token } = await opened(one)
    const signer = await token.createSigner({ label: 'root' })
    hsm.closeAll()
    one.loggedIn = true
    expect(await signer.sign(DATA)).toBeInstanceOf(Uint8Array)
  })

  it('is not blamed for other faults', async () => {
    const { hsm, token } = await opened()
    const signer = await token.createSigner({ label: 'root' })
    hsm.fail('sign', returned('DEVICE_MEMORY', 0x31), new Error('vendor text with marked-pin'))
    await expect(signer.sign(DATA)).rejects.toMatchObject({ code: 'HSM_FAILED', retryable: false })
    const failure: unknown = await Promise.resolve(signer.sign(DATA)).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'HSM_FAILED' })
    expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain('marked')
  })
})

describe('opening a token', () => {
  it('needs to be told which', async () => {
    await expect(open(fakeHsm(fakeToken('one')), { token: {} })).rejects.toThrow(TypeError)
  })

  it('takes label, serial number and slot together', async () => {
    const tokens = [fakeToken('one'), fakeToken('one', { serialNumber: '2' }), fakeToken('three')]
    const found = async (token: Pkcs11Options['token']): Promise<string> => {
      await using one = await open(fakeHsm(...tokens), { token })
      return one.serialNumber
    }
    expect(await found({ serialNumber: '2' })).toBe('2')
    expect(await found({ label: 'one', slot: 1 })).toBe('2')
    expect(await found({ slot: 2 })).toBe('serial of three')
    await expect(found({ label: 'one' })).rejects.toThrowCode('HSM_TOKEN_ABSENT')
    await expect(found({ label: 'one', slot: 2 })).rejects.toThrowCode('HSM_TOKEN_ABSENT')
    await expect(found({ slot: 3 })).rejects.toThrowCode('HSM_TOKEN_ABSENT')
  })

  it('is for one in a process at a time', async () => {
    const { hsm, token } = await opened()
    await expect(open(hsm)).rejects.toThrowCode('HSM_BUSY')
    await token.close()
    await using again = await open(hsm)
    await token.close()
    await expect(open(hsm)).rejects.toThrowCode('HSM_BUSY')
    expect(again.label).toBe('one')
  })

  it('is for the first of two who ask at the same time, who need not have given the PIN yet', async () => {
    const hsm = fakeHsm(fakeToken('one'))
    let give: ((pin: string) => void) | null = null
    const first = open(hsm, {
      pin: async () =>
        await new Promise<string>((resolve) => {
          give = resolve
        }),
    })
    await expect(open(hsm)).rejects.toThrowCode('HSM_BUSY')
    give!('1234')
    expect((await first).label).toBe('one')
  })

  it('does not take the login of somebody else for its own', async () => {
    await expect(open(fakeHsm(fakeToken('one', { loggedIn: true })))).rejects.toThrowCode('HSM_BUSY')
  })

  it('refuses a wrong, locked or unusable PIN, and shows none', async () => {
    const attempt = async (token: FakeToken, pin: Pkcs11Options['pin']): Promise<unknown> =>
      await open(fakeHsm(token), { pin }).catch((error: unknown) => error)
    const wrong = await attempt(fakeToken('one'), 'marked-wrong')
    expect(wrong).toMatchObject({ code: 'HSM_PIN_REFUSED', retryable: false })
    expect(inspect(wrong, { depth: 9, showHidden: true })).not.toContain('marked')
    expect(await attempt(fakeToken('one', { flags: 0x40000 }), '1234')).toMatchObject({ code: 'HSM_PIN_REFUSED' })
    expect(await attempt(fakeToken('one'), '')).toBeInstanceOf(TypeError)
    expect(await attempt(fakeToken('one'), () => 'x'.repeat(257))).toBeInstanceOf(TypeError)
    const hsm = fakeHsm(fakeToken('one', { pin: 'marked-right' }))
    const token = await open(hsm, { pin: 'marked-right' })
    expect(inspect(token, { depth: 9, showHidden: true, getters: true })).not.toContain('marked')
  })

  it('after a refusal starts from the beginning', async () => {
    const hsm = fakeHsm(fakeToken('one'))
    await expect(open(hsm, { pin: 'wrong' })).rejects.toThrowCode('HSM_PIN_REFUSED')
    await using token = await open(hsm)
    expect(token.label).toBe('one')
  })

  it('loads a library once, and says what is wrong with it', async () => {
    const { hsm, token } = await opened()
    await token.close()
    await using again = await open(hsm)
    expect(again.label).toBe('one')
    expect(hsm.calls.filter((call) => call === 'load')).toHaveLength(1)
    const refused = async (...errors: readonly Error[]): Promise<unknown> => {
      const broken = fakeHsm(fakeToken('one'))
      broken.fail('load', ...errors)
      return await open(broken).catch((error: unknown) => error)
    }
    expect(await refused(new Error('no such file'))).toMatchObject({ code: 'HSM_LIBRARY_INVALID' })
    expect(await refused(returned('GENERAL_ERROR', 5))).toMatchObject({ code: 'HSM_FAILED' })
    expect(await open(fakeHsm()).catch((error: unknown) => error)).toMatchObject({ code: 'HSM_TOKEN_ABSENT' })
  })

  it('passes over slots whose token is not initialized', async () => {
    const hsm = fakeHsm(fakeToken('one'), fakeToken('two'))
    hsm.fail('load', returned('TOKEN_NOT_RECOGNIZED', 0xe1))
    await using token = await open(hsm)
    expect(token.label).toBe('one')
  })

  it('says what to install, and does not take another failure for that', async () => {
    const missing = openPkcs11With(
      { library: 'fake', token: { label: 'one' }, pin: '1' },
      async () => await Promise.reject(new RangeError('from the loader')),
    )
    await expect(missing).rejects.toThrow('from the loader')
    await expect(openPkcs11({ library: '/nowhere/libnone.so', token: { label: 'one' }, pin: '1' })).rejects.toThrowCode(
      await import(PACKAGE).then(
        () => 'HSM_LIBRARY_INVALID',
        () => 'HSM_NOT_INSTALLED',
      ),
    )
  })

  it('ends with the logout, after what is under way', async () => {
    const one = fakeToken('one')
    const { hsm, token } = await opened(one)
    const signer = await token.createSigner({ label: 'root' })
    const signature = signer.sign(DATA)
    await token.close()
    expect(systemVerifier.verify(signer, 'ecdsa-sha256', DATA, await signature)).toBe(true)
    expect(one.loggedIn).toBe(false)
    expect(hsm.calls.slice(-2)).toEqual(['logout', 'close'])
    await expect(signer.sign(DATA)).rejects.toThrowCode('HSM_CLOSED')
    await expect(token.listKeys()).rejects.toThrowCode('HSM_CLOSED')
    await token.close()
  })
})
