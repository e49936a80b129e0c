import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import {
  createCsr,
  IdentityError,
  type SignatureAlgorithm,
  type SignatureVerifier,
  verifyCsr,
} from '@leastwise/identity'
import { createNodeKey, exportPrivateKey, openSigner, systemVerifier } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'

const DATA = new TextEncoder().encode('what is signed')
const pkcs8 = (key: KeyObject): Uint8Array => key.export({ format: 'der', type: 'pkcs8' })
const ec = (namedCurve: string): Uint8Array => pkcs8(generateKeyPairSync('ec', { namedCurve }).privateKey)
const rsa = (modulusLength: number): Uint8Array => pkcs8(generateKeyPairSync('rsa', { modulusLength }).privateKey)

const KINDS: readonly {
  readonly keyType: string
  readonly algorithm: SignatureAlgorithm
  readonly make: () => Uint8Array
}[] = [
  { keyType: 'p256', algorithm: 'ecdsa-sha256', make: () => exportPrivateKey(createNodeKey()) },
  { keyType: 'p384', algorithm: 'ecdsa-sha384', make: () => exportPrivateKey(createNodeKey('p384')) },
  { keyType: 'ed25519', algorithm: 'ed25519', make: () => exportPrivateKey(createNodeKey('ed25519')) },
  { keyType: 'p521', algorithm: 'ecdsa-sha512', make: () => ec('P-521') },
  { keyType: 'rsa', algorithm: 'rsa-sha256', make: () => rsa(2048) },
]

describe('a signer', () => {
  it.each(KINDS)(
    'signs with a $keyType key what the verifier takes, and nothing else',
    ({ keyType, algorithm, make }) => {
      const signer = openSigner(make())
      expect(signer.keyType).toBe(keyType)
      const signature = signer.sign(DATA)
      expect(systemVerifier.verify(signer, algorithm, DATA, signature)).toBe(true)
      expect(systemVerifier.verify(signer, algorithm, DATA.subarray(1), signature)).toBe(false)
      expect(systemVerifier.verify(signer, algorithm, DATA, signature.subarray(1))).toBe(false)
      expect(systemVerifier.verify(createNodeKey(), algorithm, DATA, signature)).toBe(false)
      for (const other of [
        'ecdsa-sha256',
        'ecdsa-sha384',
        'ecdsa-sha512',
        'ed25519',
        'rsa-sha256',
        'rsa-sha384',
        'rsa-sha512',
      ] as const) {
        if (other !== algorithm) expect(systemVerifier.verify(signer, other, DATA, signature), other).toBe(false)
      }
    },
  )

  it('is fresh each time, and comes back from its export', () => {
    const [one, other] = [createNodeKey(), createNodeKey()]
    expect(one.publicKey).not.toEqual(other.publicKey)
    const back = openSigner(exportPrivateKey(one))
    expect(back.publicKey).toEqual(one.publicKey)
    expect(exportPrivateKey(back)).toEqual(exportPrivateKey(one))
  })

  it('exports only a key of its own making', () => {
    expect(() => exportPrivateKey({ ...createNodeKey() })).toThrow(TypeError)
  })

  it('does not show its private key', () => {
    const signer = createNodeKey('ed25519')
    const secret = Buffer.from(exportPrivateKey(signer)).subarray(-32)
    const shown = inspect(signer, { depth: 9, showHidden: true }) + JSON.stringify(signer)
    expect(shown).not.toContain(secret.toString('hex'))
    expect(shown).not.toContain(secret.toString('base64'))
    expect(shown).not.toContain(Array.from(secret).join(', '))
  })

  it('refuses other kinds of keys', () => {
    const pss = pkcs8(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey)
    for (const key of [ec('secp256k1'), rsa(1024), pkcs8(generateKeyPairSync('x25519').privateKey), pss]) {
      expect(() => openSigner(key)).toThrowCode('PRIVATE_KEY_UNSUPPORTED')
    }
  })

  it('refuses what is no key, and says nothing of it', () => {
    const whole = exportPrivateKey(createNodeKey())
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => openSigner(whole.subarray(0, length)), `cut at ${length}`).toThrowCode('PRIVATE_KEY_MALFORMED')
    }
    try {
      openSigner(new TextEncoder().encode('MARKEDSECRET'))
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(IdentityError)
      expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/MARKED|4d41524b/iu)
    }
  })

  it('wipes nothing of the caller’s and keeps nothing of it', () => {
    const key = exportPrivateKey(createNodeKey())
    const copy = Uint8Array.from(key)
    const signer = openSigner(key)
    expect(key).toEqual(copy)
    key.fill(0)
    expect(systemVerifier.verify(signer, 'ecdsa-sha256', DATA, signer.sign(DATA))).toBe(true)
  })
})

describe('systemVerifier, of a key that is used once', () => {
  const once: NonNullable<SignatureVerifier['verifyOnce']> = async (...parts) =>
    (await systemVerifier.verifyOnce?.(...parts)) ?? expect.unreachable()

  it.each(KINDS)('answers as of one that is used often ($keyType)', async ({ algorithm, make }) => {
    const signer = openSigner(make())
    const signature = signer.sign(DATA)
    expect(await once(signer, algorithm, DATA, signature)).toBe(true)
    expect(await once(signer, algorithm, DATA.subarray(1), signature)).toBe(false)
    expect(await once(signer, algorithm, DATA, signature.subarray(1))).toBe(false)
    expect(await once(createNodeKey(), algorithm, DATA, signature)).toBe(false)
    for (const other of ['ecdsa-sha256', 'ecdsa-sha512', 'ed25519', 'rsa-sha384'] as const)
      if (other !== algorithm) expect(await once(signer, other, DATA, signature), other).toBe(false)
  })

  it.each(['p256', 'p384', 'ed25519'] as const)('takes no %s key with a flipped bit', async (keyType) => {
    const signer = createNodeKey(keyType)
    const algorithm = KINDS.find((kind) => kind.keyType === keyType)!.algorithm
    const signature = signer.sign(DATA)
    const size = keyType === 'p256' ? 64 : keyType === 'p384' ? 96 : 32
    for (let bit = 0; bit < size * 8; bit += 5) {
      const publicKey = Uint8Array.from(signer.publicKey)
      publicKey[publicKey.length - size + (bit >> 3)]! ^= 1 << (bit & 7)
      expect(await once({ keyType, publicKey }, algorithm, DATA, signature), `bit ${bit}`).toBe(false)
      expect(systemVerifier.verify({ keyType, publicKey }, algorithm, DATA, signature), `bit ${bit}`).toBe(false)
    }
  })

  it('answers no to what is no key, without a throw', async () => {
    const signer = createNodeKey()
    const signature = signer.sign(DATA)
    const infinity = Uint8Array.from(signer.publicKey).fill(0, 26)
    const beyond = Uint8Array.from(signer.publicKey).fill(0xff, 27)
    for (const publicKey of [new Uint8Array(91), new Uint8Array(0), signer.publicKey.slice(0, 60), infinity, beyond]) {
      expect(await once({ keyType: 'p256', publicKey }, 'ecdsa-sha256', DATA, signature)).toBe(false)
      expect(await once({ keyType: 'p384', publicKey }, 'ecdsa-sha384', DATA, signature)).toBe(false)
      expect(await once({ keyType: 'ed25519', publicKey }, 'ed25519', DATA, signature)).toBe(false)
      expect(await once({ keyType: 'rsa', publicKey }, 'rsa-sha256', DATA, signature)).toBe(false)
    }
  })

  it('takes a key in shared memory', async () => {
    const signer = createNodeKey()
    const publicKey = new Uint8Array(new SharedArrayBuffer(signer.publicKey.length))
    publicKey.set(signer.publicKey)
    expect(await once({ keyType: 'p256', publicKey }, 'ecdsa-sha256', DATA, signer.sign(DATA))).toBe(true)
  })

  it('is asked for the key of a request, and verify where it is not there', async () => {
    const csr = await createCsr(createNodeKey())
    const asked: string[] = []
    const verify: SignatureVerifier['verify'] = (...parts) => {
      asked.push('verify')
      return systemVerifier.verify(...parts)
    }
    await verifyCsr(csr, { verify })
    await verifyCsr(csr, {
      verify,
      verifyOnce: async (...parts) => (asked.push('once') > 0 ? await once(...parts) : false),
    })
    expect(asked).toEqual(['verify', 'once'])
    await expect(verifyCsr(csr, { verify, verifyOnce: () => false })).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
  })
})

describe('systemVerifier', () => {
  it('answers no to keys and signatures that are none, without a throw', () => {
    const signer = createNodeKey()
    const signature = signer.sign(DATA)
    for (const publicKey of [new Uint8Array(91), new Uint8Array(0), signer.publicKey.slice(0, 60)]) {
      expect(systemVerifier.verify({ keyType: 'p256', publicKey }, 'ecdsa-sha256', DATA, signature)).toBe(false)
      expect(systemVerifier.verify({ keyType: 'rsa', publicKey }, 'rsa-sha256', DATA, signature)).toBe(false)
    }
    expect(systemVerifier.verify(signer, 'ecdsa-sha256', DATA, new Uint8Array(0))).toBe(false)
  })
})
