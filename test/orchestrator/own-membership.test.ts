import { clearWrapper, unlockKeyWrapper } from '@leastwise/raftlog'
import { systemRandom } from '@leastwise/raftlog/node'
import { describe, expect, it } from 'vitest'
import { isMemberOf, memberIdOf } from '../../examples/orchestrator/manager/etcd/member-id.ts'
import { decodeMembership, encodeMembership } from '../../examples/orchestrator/manager/etcd/own-membership.ts'
import { encodePlain } from '../../examples/orchestrator/plain-data.ts'

const full = {
  number: 3,
  secretKey: new Uint8Array(32).fill(5),
  pin: { generation: 2, mark: 'a'.repeat(64) },
  head: { index: 7n, term: 1n, frames: 6n, tag: new Uint8Array(16).fill(9) },
}

const { secretKey: wrappedKey, ...rest } = full
const plain = { ...rest, wrappedKey }
const lock = unlockKeyWrapper(new Uint8Array(32).fill(1), systemRandom)

describe('what a manager keeps of its part in the shared log', () => {
  it.each([full, { ...full, head: null }, { ...full, pin: null, head: null }])('comes back as it was', async (own) => {
    for (const wrapper of [clearWrapper, lock])
      expect(await decodeMembership(await encodeMembership(own, wrapper), wrapper)).toEqual(own)
  })

  it('hides the secret part under the unlock key, which alone opens it', async () => {
    const bytes = await encodeMembership(full, lock)
    const secret = Buffer.from(full.secretKey)
    for (const form of ['base64', 'hex', 'latin1'] as const)
      expect(Buffer.from(bytes).toString('latin1')).not.toContain(secret.toString(form).slice(0, 12))
    const other = unlockKeyWrapper(new Uint8Array(32).fill(2), systemRandom)
    await expect(decodeMembership(bytes, other)).rejects.toThrowCode('JOURNAL_UNREADABLE')
  })

  it('is refused in any other shape', async () => {
    const wrong = [
      { ...plain, number: '3' },
      { ...plain, wrappedKey: new Uint8Array(31) },
      { ...plain, pin: { generation: '2', mark: '' } },
      { ...plain, head: { ...full.head, index: 7 } },
      { ...plain, head: { ...full.head, tag: 'x' } },
      { number: 1, wrappedKey: full.secretKey },
    ]
    for (const value of wrong)
      await expect(decodeMembership(encodePlain(value), clearWrapper)).rejects.toThrowCode('JOURNAL_UNREADABLE')
    const bytes = await encodeMembership(full, clearWrapper)
    for (let length = 0; length < bytes.length; length += 1)
      await expect(decodeMembership(bytes.subarray(0, length), clearWrapper)).rejects.toThrowCode('JOURNAL_UNREADABLE')
  })
})

describe('the name of a member', () => {
  it('belongs to one node', () => {
    expect(isMemberOf(memberIdOf('abc', 12), 'abc')).toBe(true)
    for (const other of ['abc', 'abc.', 'abc.x', 'abcd.1', 'ab.1', 'abc.1.2', 'abc.-1'])
      expect(isMemberOf(other, 'abc')).toBe(false)
  })
})
