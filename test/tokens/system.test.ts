import { systemDigest, systemRandom } from '@leastwise/tokens/node'
import { describe, expect, it } from 'vitest'
import { toHex } from './vectors.ts'

describe('systemRandom', () => {
  it('gives as many bytes as asked for, each time others, in an array of their own', () => {
    for (const length of [0, 1, 16, 32, 70_000]) expect(systemRandom.bytes(length).length).toBe(length)
    const [one, other] = [systemRandom.bytes(32), systemRandom.bytes(32)]
    expect(toHex(one)).not.toBe(toHex(other))
    expect(one.buffer.byteLength).toBe(32)
    expect(Buffer.isBuffer(one)).toBe(false)
  })
})

describe('systemDigest', () => {
  it('is SHA-256 (FIPS 180-4), with a result of its own', () => {
    const empty = systemDigest.sha256(new Uint8Array(0))
    expect(toHex(empty)).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(empty.buffer.byteLength).toBe(32)
    expect(Buffer.isBuffer(empty)).toBe(false)
  })

  it('hashes a view and not what lies around it', () => {
    const whole = new TextEncoder().encode('xabcx')
    expect(toHex(systemDigest.sha256(whole.subarray(1, 4)))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    )
  })
})
