import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import {
  type Certificate,
  createCsr,
  issueCertificate,
  openAuthority,
  parseSpiffeId,
  parseTrustDomain,
  selfSignedRoot,
  verifyPeer,
} from '@leastwise/identity'
import {
  createNodeKey,
  openPkcs11,
  type Pkcs11Options,
  type Pkcs11Token,
  systemDigest,
  systemRandom,
  systemVerifier,
  type TokenSigner,
  type TokenWrappingKey,
} from '@leastwise/identity/node'
import { anyOf, type KeyWrapper, unlockKeyWrapper } from '@leastwise/raftlog'
import { createLog, fileKeyStore, openLog, webCryptoWrapper } from '@leastwise/raftlog/node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { P11Crypto, P11Package } from '../../packages/identity/src/node/pkcs11/p11-shape.ts'
import { keyWrapperContract } from '../contract/key-wrapper.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testClusterId, testNodeId } from '../support/test-authority.ts'
import { describePeer } from './support/needs.ts'
import { openssl } from './support/openssl.ts'
import { lacksSoftHsm, type SoftHsm, softHsm } from './support/softhsm.ts'

const PIN = 'marked-pin-4711'
const PACKAGE = 'node-webcrypto-p11'
const HOUR_MS = 3_600_000

const wrapperOf = ({ subtle, key, facts }: TokenWrappingKey): KeyWrapper =>
  webCryptoWrapper({ subtle, key, name: facts.id })

const READ_WRITE_SESSION = 6

/** Another session of this process on the token of a label, as anybody here could open one. */
async function rawSession(hsm: SoftHsm, label: string): Promise<P11Crypto> {
  const { Crypto } = (await import(PACKAGE)) as P11Package
  const { slot } = new Crypto({ library: hsm.library, slot: 0 })
  const slots = slot.module.getSlots(true)
  const own = Array.from({ length: slots.length }, (_, index) => slots.items(index)).find(
    (candidate) => candidate.getToken().label === label,
  )!
  return new Crypto({ session: own.open(READ_WRITE_SESSION) })
}

// SoftHSM lists the tokens that are there when it is used first, so all are made before that.
const TOKENS = ['leastwise', 'second', 'twin', 'twin', 'doomed', 'closing', 'keeper']
const reason = lacksSoftHsm()
let hsm: SoftHsm & Disposable

beforeAll(() => {
  if (reason !== null) return
  hsm = softHsm()
  for (const label of TOKENS) hsm.addToken(label, PIN)
})
afterAll(() => {
  if (reason === null) hsm[Symbol.dispose]()
})

describePeer('a token of SoftHSM 2', reason, () => {
  let options: Pkcs11Options
  let token: Pkcs11Token
  let signer: TokenSigner
  let root: Certificate

  const rootOf = async (key: TokenSigner): Promise<Certificate> =>
    await selfSignedRoot(key, {
      now: Date.now(),
      random: systemRandom,
      digest: systemDigest,
      verifier: systemVerifier,
      trustDomain: parseTrustDomain('hsm.test'),
    })

  beforeAll(async () => {
    options = { library: hsm.library, token: { label: 'leastwise' }, pin: PIN }
    token = await openPkcs11(options)
    signer = await token.createSigner({ label: 'root' })
    root = await rootOf(signer)
  })
  afterAll(async () => {
    await token.close()
  })

  it('makes a key that never leaves it, whoever asks', async () => {
    expect(signer.facts).toMatchObject({ label: 'root', kind: 'signing', extractable: false, bornInside: true })
    const { subtle, keyStorage, session } = await rawSession(hsm, 'leastwise')
    const ids = await keyStorage.keys()
    const key = await keyStorage.getItem(ids.find((id) => id.startsWith('private-'))!)
    const exportKey = subtle.exportKey.bind(subtle) as (format: string, key: unknown) => Promise<unknown>
    await expect(exportKey('pkcs8', key)).rejects.toThrow('not extractable')
    expect(() => key.p11Object.getAttribute('value')).toThrow('CKR_ATTRIBUTE_SENSITIVE')
    const object = key.p11Object as unknown as { readonly setAttribute: (name: string, value: boolean) => void }
    expect(() => {
      object.setAttribute('extractable', true)
    }).toThrow('CKR_')
    session.close()
  })

  it.each(['p256', 'p384'] as const)('signs a root and a leaf with %s, which openssl accepts', async (keyType) => {
    const key = await token.createSigner({ label: `root ${keyType}`, keyType })
    const own = await rootOf(key)
    const authority = await openAuthority({ certificate: own, signer: key }, { verifier: systemVerifier })
    const grant = { nodeId: testNodeId(1), role: 'manager', clusterId: testClusterId(1), lifetimeMs: HOUR_MS } as const
    const leaf = await issueCertificate(
      authority,
      await createCsr(createNodeKey()),
      { ...grant, spiffeId: parseSpiffeId('spiffe://hsm.test/node/one') },
      { random: systemRandom, now: Date.now(), verifier: systemVerifier, digest: systemDigest },
    )
    const dir = tempDir()
    writeFileSync(join(dir, 'root.pem'), own.pem)
    writeFileSync(join(dir, 'leaf.pem'), leaf.pem)
    const { code, output } = await openssl(
      ...['verify', '-x509_strict', '-purpose', 'sslserver'],
      ...['-CAfile', join(dir, 'root.pem'), join(dir, 'leaf.pem')],
    )
    expect({ code, output }).toEqual({ code: 0, output: `${join(dir, 'leaf.pem')}: OK` })
    const trustDomain = parseTrustDomain('hsm.test')
    const peer = await verifyPeer([leaf], {
      ...{ roots: [own], now: Date.now(), clusterId: grant.clusterId, verifier: systemVerifier, trustDomain },
    })
    expect(peer).toMatchObject({ nodeId: grant.nodeId, role: 'manager', spiffeId: 'spiffe://hsm.test/node/one' })
  })

  it.each([
    [
      'rsa',
      'rsa-sha256',
      { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) },
    ],
    ['p521', 'ecdsa-sha512', { name: 'ECDSA', namedCurve: 'P-521' }],
  ] as const)('takes a key of %s that was made by other means', async (keyType, algorithm, parameters) => {
    const { subtle, session } = await rawSession(hsm, 'leastwise')
    await subtle.generateKey({ ...parameters, token: true, sensitive: true, label: keyType }, false, ['sign', 'verify'])
    session.close()
    const key = await token.openSigner({ label: keyType })
    expect(key.keyType).toBe(keyType)
    expect(systemVerifier.verify(key, algorithm, key.publicKey, await key.sign(key.publicKey))).toBe(true)
    expect((await rootOf(key)).keyType).toBe(keyType)
  })

  it('issues many at once, one after the other inside', async () => {
    const authority = await openAuthority({ certificate: root, signer }, { verifier: systemVerifier })
    const csr = await createCsr(createNodeKey())
    const leaves = await Promise.all(
      Array.from(
        { length: 8 },
        async (_, index) =>
          await issueCertificate(
            authority,
            csr,
            { nodeId: testNodeId(index), role: 'worker', clusterId: testClusterId(1), lifetimeMs: HOUR_MS },
            { random: systemRandom, now: Date.now(), verifier: systemVerifier, digest: systemDigest },
          ),
      ),
    )
    const issued = { ...options, roots: [root], now: Date.now(), clusterId: testClusterId(1), verifier: systemVerifier }
    for (const [index, leaf] of leaves.entries())
      expect((await verifyPeer([leaf], issued)).nodeId).toBe(testNodeId(index))
  })

  it('goes on by itself when its sessions are closed, and when the library is finalized', async () => {
    const data = new TextEncoder().encode('signed again')
    const { session } = await rawSession(hsm, 'leastwise')
    const { slot } = session as unknown as {
      readonly slot: { readonly closeAll: () => void; readonly module: { readonly finalize: () => void } }
    }
    for (const end of [
      () => {
        slot.closeAll()
      },
      () => {
        slot.module.finalize()
      },
    ]) {
      end()
      const signature = await signer.sign(data)
      expect(systemVerifier.verify(signer, 'ecdsa-sha256', data, signature)).toBe(true)
    }
  })

  it('is opened once in a process, and says so to the second', async () => {
    await expect(openPkcs11(options)).rejects.toThrowCode('HSM_BUSY')
  })

  it('knows a taken label, and a key that is not there', async () => {
    await expect(token.createSigner({ label: 'root' })).rejects.toThrowCode('HSM_KEY_EXISTS')
    await expect(token.openSigner({ label: 'none' })).rejects.toThrowCode('HSM_KEY_ABSENT')
    await expect(token.openWrappingKey({ label: 'root' })).rejects.toThrowCode('HSM_KEY_ABSENT')
  })

  it('refuses a key that it would give out', async () => {
    const { subtle, session } = await rawSession(hsm, 'leastwise')
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', token: true, sensitive: false, label: 'loose' }
    await subtle.generateKey(algorithm, true, ['sign', 'verify'])
    session.close()
    await expect(token.openSigner({ label: 'loose' })).rejects.toThrowCode('HSM_KEY_UNSAFE')
    const loose = (await token.listKeys()).find(({ label }) => label === 'loose')!
    expect(loose).toMatchObject({ extractable: true, bornInside: false })
    await token.removeKey(loose.id)
    expect((await token.listKeys()).map(({ label }) => label)).not.toContain('loose')
    await expect(token.removeKey(loose.id)).rejects.toThrowCode('HSM_KEY_ABSENT')
  })

  it('gives the same key to the next process', () => {
    const code = `
      import { openPkcs11 } from '@leastwise/identity/node'
      const token = await openPkcs11(JSON.parse(process.argv[1]))
      const signer = await token.openSigner({ label: 'root' })
      const signature = await signer.sign(new TextEncoder().encode('next'))
      console.log(JSON.stringify([Buffer.from(signer.publicKey).toString('hex'), Buffer.from(signature).toString('hex')]))
      await token.close()`
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', code, JSON.stringify(options)],
      { encoding: 'utf8', cwd: fileURLToPath(new URL('..', import.meta.url)), timeout: 20_000 },
    )
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    const [publicKey, signature] = JSON.parse(stdout) as [string, string]
    expect(publicKey).toBe(Buffer.from(signer.publicKey).toString('hex'))
    const data = new TextEncoder().encode('next')
    expect(systemVerifier.verify(signer, 'ecdsa-sha256', data, Buffer.from(signature, 'hex'))).toBe(true)
  })

  it('unlocks a log, alone and beside another keeper', async () => {
    const dir = tempDir()
    const kek = wrapperOf(await token.createWrappingKey({ label: 'kek' }))
    const unlock = unlockKeyWrapper(systemRandom.bytes(32), systemRandom)
    const place = { directory: join(dir, 'log'), clusterId: 'c1', logId: 'n1', keys: fileKeyStore(join(dir, 'keys')) }
    await using log = await createLog({ ...place, wrapper: anyOf([kek, unlock]) })
    await log.append([new TextEncoder().encode('sealed')])
    await log[Symbol.asyncDispose]()
    const again = wrapperOf(await token.openWrappingKey({ label: 'kek' }))
    expect(again.id).toBe(kek.id)
    for (const wrapper of [again, unlock]) {
      await using opened = await openLog({ ...place, wrapper: anyOf([wrapper]) })
      expect(new TextDecoder().decode((await opened.entry(1n))!.data)).toBe('sealed')
    }
    const other = wrapperOf(await token.createWrappingKey({ label: 'other kek' }))
    await expect(openLog({ ...place, wrapper: anyOf([other]) })).rejects.toThrowCode('KEYS_WRONG')
  })

  describe('with other tokens', () => {
    it('refuses a wrong PIN, and shows neither', async () => {
      const second = { ...options, token: { label: 'second' } }
      const failure: unknown = await openPkcs11({ ...second, pin: 'marked-wrong' }).catch((error: unknown) => error)
      expect(failure).toMatchObject({ code: 'HSM_PIN_REFUSED', retryable: false })
      expect(inspect(failure, { depth: 9, showHidden: true })).not.toMatch(/marked/)
      await using right = await openPkcs11({ ...second, pin: async () => PIN })
      expect(right.label).toBe('second')
      expect(inspect(right, { depth: 9, showHidden: true })).not.toMatch(/marked/)
    })

    it('knows an absent token, and which of two is meant', async () => {
      await expect(openPkcs11({ ...options, token: { label: 'nobody' } })).rejects.toThrowCode('HSM_TOKEN_ABSENT')
      await expect(openPkcs11({ ...options, token: { label: 'twin' } })).rejects.toThrowCode('HSM_TOKEN_ABSENT')
      const twin = (await rawSession(hsm, 'twin')).slot.getToken()
      await using opened = await openPkcs11({ ...options, token: { serialNumber: twin.serialNumber } })
      expect(opened.serialNumber).toBe(twin.serialNumber)
    })

    it('fails with a code when its token is deleted, and wraps nothing', async () => {
      await using doomed = await openPkcs11({ ...options, token: { label: 'doomed' } })
      const key = await doomed.createSigner({ label: 'root' })
      const kek = wrapperOf(await doomed.createWrappingKey({ label: 'kek' }))
      const wrapped = await kek.wrap(new Uint8Array(32))
      hsm.deleteToken('doomed')
      await expect(key.sign(new Uint8Array(1))).rejects.toMatchObject({ name: 'IdentityError' })
      await expect(doomed.createSigner({ label: 'more' })).rejects.toMatchObject({ name: 'IdentityError' })
      await expect(kek.unwrap(wrapped)).rejects.toThrowCode('KEEPER_UNREACHABLE')
      await expect(kek.wrap(new Uint8Array(32))).rejects.toThrowCode('KEEPER_UNREACHABLE')
    })

    it('closes, and is closed', async () => {
      const closing = await openPkcs11({ ...options, token: { label: 'closing' } })
      const key = await closing.createSigner({ label: 'root' })
      await closing.close()
      await closing.close()
      await expect(key.sign(new Uint8Array(1))).rejects.toThrowCode('HSM_CLOSED')
      await using again = await openPkcs11({ ...options, token: { label: 'closing' } })
      expect((await again.openSigner({ label: 'root' })).publicKey).toEqual(key.publicKey)
    })

    it('takes no library that is none', async () => {
      for (const library of ['/nowhere/libnone.so', '/etc/hostname', hsm.config])
        await expect(openPkcs11({ ...options, library })).rejects.toThrowCode('HSM_LIBRARY_INVALID')
    })
  })
})

describePeer('SoftHSM 2 as a keeper', reason, () => {
  keyWrapperContract('a key in a token', async () => {
    const token = await openPkcs11({ library: hsm.library, token: { label: 'keeper' }, pin: PIN })
    const mine = await token.createWrappingKey({ label: 'mine' })
    const other = wrapperOf(await token.createWrappingKey({ label: 'other' }))
    return {
      create: () => wrapperOf(mine),
      other,
      close: async () => {
        await token.close()
      },
    }
  })
})
