import { nodeCipherSuite } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { freeMemory } from '../../packages/raftlog/src/node/free-memory.ts'

const LARGE = 256 * 1024
const nonce = new Uint8Array(12)
const associated = new Uint8Array(16)

describe('giving memory back', () => {
  it('takes a large array with all of its memory, and does so again and again', () => {
    for (let round = 0; round < 3; round += 1) {
      const bytes = new Uint8Array(LARGE)
      const { buffer } = bytes
      freeMemory(bytes)
      expect(bytes).toHaveLength(0)
      expect(buffer.byteLength).toBe(0)
    }
  })

  it('leaves alone what is small, and what shares its memory', () => {
    const small = new Uint8Array(1024).fill(7)
    const part = new Uint8Array(2 * LARGE).fill(7).subarray(0, LARGE)
    const shared = new Uint8Array(new SharedArrayBuffer(LARGE)).fill(7)
    for (const bytes of [small, part, shared]) {
      const { length } = bytes
      freeMemory(bytes)
      expect(bytes).toHaveLength(length)
      expect(bytes[length - 1]).toBe(7)
    }
  })

  it('takes the body that a cipher sealed, and neither its tag nor the plain bytes', () => {
    const key = nodeCipherSuite.aead(new Uint8Array(32).fill(1))
    const plain = new Uint8Array(LARGE).fill(3)
    const first = key.seal(nonce, associated, plain)
    const kept = new Uint8Array(first.body)
    key.release?.(first.body)
    expect(first.body).toHaveLength(0)
    expect(first.tag).toHaveLength(16)
    expect(key.open(nonce, associated, kept, first.tag)).toEqual(plain)
    // The next body may lie in the same memory.
    const second = key.seal(nonce, associated, plain)
    expect(new Uint8Array(second.body)).toEqual(kept)
  })
})
