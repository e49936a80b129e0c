import { hashPublicKey, hashTokenSecret, TokenSecret } from '@leastwise/tokens'
import { systemDigest } from '@leastwise/tokens/node'
import { expect, it } from 'vitest'
import { fromHex, tokenHashVectors } from './vectors.ts'

it.each(tokenHashVectors)('the hash of secret $secretHex is $hash', ({ secretHex, hash }) => {
  expect(hashTokenSecret(new TokenSecret(fromHex(secretHex)), systemDigest)).toBe(hash)
})

it('the hash leaves no copy of the secret with the digest port', () => {
  const seen: Uint8Array[] = []
  hashTokenSecret(new TokenSecret(new Uint8Array(16).fill(0xab)), {
    sha256: (data) => {
      seen.push(data)
      return systemDigest.sha256(data)
    },
  })
  expect(seen.map((data) => data.every((byte) => byte === 0))).toEqual([true])
})

it('a wiped secret has no hash', () => {
  const secret = new TokenSecret(new Uint8Array(16))
  secret[Symbol.dispose]()
  expect(() => hashTokenSecret(secret, systemDigest)).toThrow(TypeError)
})

it('a public key is known by its SHA-256', () => {
  expect(hashPublicKey(new TextEncoder().encode('abc'), systemDigest)).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  )
})
