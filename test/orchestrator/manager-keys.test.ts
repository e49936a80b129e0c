import { join } from 'node:path'
import type { KeyWrapper } from '@leastwise/identity'
import { clearWrapper, type KeyFileContent, openKeyFile } from '@leastwise/identity/node'
import { unlockKeyWrapper } from '@leastwise/raftlog'
import { describe, expect, it } from 'vitest'
import {
  type ManagerIdentity,
  type ManagerKeys,
  managerKeys,
  openSealed,
} from '../../examples/orchestrator/manager/manager-keys.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testCluster } from '../support/test-authority.ts'

const cluster = await testCluster()
const identities: readonly ManagerIdentity[] = await Promise.all(
  [1, 2, 3].map(async () => {
    const { privateKey, certificateChain, trustBundle } = await cluster.issue({ role: 'manager' })
    return { privateKey, certificateChain, trustBundle }
  }),
)
const [first, second, third] = identities as readonly [ManagerIdentity, ManagerIdentity, ManagerIdentity]
const locked = unlockKeyWrapper(new Uint8Array(32).fill(7), seededRandom(1))
const RING = new Uint8Array([1, 2, 3])

async function open(): Promise<{
  readonly keys: ManagerKeys
  readonly stored: (wrapper: KeyWrapper) => Promise<KeyFileContent | null>
}> {
  const path = join(tempDir(), 'node.key')
  const file = await openKeyFile(path)
  const content = { ...first, companion: {} }
  await file.save(content, clearWrapper)
  return {
    keys: managerKeys({ file, wrapper: clearWrapper, content }),
    stored: async (wrapper) => await (await openKeyFile(path)).load(wrapper),
  }
}

describe("the manager's key file", () => {
  it('holds identity and data keys together, whichever of them changes', async () => {
    const { keys, stored } = await open()
    await keys.keyStore.save(RING, clearWrapper)
    await keys.saveIdentity(second)
    expect(await keys.keyStore.load()).toEqual(RING)
    expect(await stored(clearWrapper)).toMatchObject({
      certificateChain: second.certificateChain,
      companion: { raftlog: RING },
    })
  })

  it('locks identity and data keys in one write', async () => {
    const { keys, stored } = await open()
    await keys.keyStore.save(RING, clearWrapper)
    await keys.withIdentity(second, async () => {
      await keys.keyStore.save(RING, locked)
    })
    expect(keys.locked()).toBe(true)
    await expect(stored(clearWrapper)).rejects.toThrowCode('KEY_FILE_LOCKED')
    expect(await stored(locked)).toMatchObject({ certificateChain: second.certificateChain })
    expect(keys.identity().certificateChain).toBe(second.certificateChain)
  })

  it('stays under its lock when the identity is renewed', async () => {
    const { keys, stored } = await open()
    await keys.keyStore.save(RING, locked)
    await keys.saveIdentity(second)
    await expect(stored(clearWrapper)).rejects.toThrowCode('KEY_FILE_LOCKED')
    expect(await stored(locked)).toMatchObject({
      certificateChain: second.certificateChain,
      companion: { raftlog: RING },
    })
  })

  it('opens again when the lock is taken off', async () => {
    const { keys, stored } = await open()
    await keys.keyStore.save(RING, locked)
    await keys.keyStore.save(RING, clearWrapper)
    expect(keys.locked()).toBe(false)
    expect(await stored(clearWrapper)).toMatchObject({ certificateChain: first.certificateChain })
  })

  it('keeps the old identity when the change fails before it saved anything', async () => {
    const { keys, stored } = await open()
    await expect(
      keys.withIdentity(second, async () => {
        await Promise.resolve()
        throw new Error('the disk')
      }),
    ).rejects.toThrow('the disk')
    await keys.keyStore.save(RING, clearWrapper)
    expect((await stored(clearWrapper))?.certificateChain).toBe(first.certificateChain)
  })

  it('does not bring an identity back that was replaced while the data keys changed', async () => {
    const { keys, stored } = await open()
    await keys.withIdentity(second, async () => {
      await keys.keyStore.save(RING, clearWrapper)
      await keys.saveIdentity(third)
      await keys.keyStore.save(RING, clearWrapper)
    })
    expect((await stored(clearWrapper))?.certificateChain).toBe(third.certificateChain)
  })

  it('writes one after the other, each on what the one before left', async () => {
    const { keys, stored } = await open()
    await Promise.all([
      keys.saveIdentity(second),
      keys.keyStore.save(RING, locked),
      keys.saveIdentity(third),
      keys.keyStore.save(new Uint8Array([9]), locked),
    ])
    expect(await stored(locked)).toMatchObject({
      certificateChain: third.certificateChain,
      companion: { raftlog: new Uint8Array([9]) },
    })
  })

  it('goes on after a write that failed, with what it had before', async () => {
    const { keys, stored } = await open()
    const mismatched = { ...second, privateKey: third.privateKey }
    await expect(keys.saveIdentity(mismatched)).rejects.toThrowCode('KEY_FILE_KEY_MISMATCH')
    expect(keys.identity().certificateChain).toBe(first.certificateChain)
    await keys.saveIdentity(third)
    expect((await stored(clearWrapper))?.certificateChain).toBe(third.certificateChain)
  })

  it('wraps what is sealed at each write, under whatever the file is under then', async () => {
    const { keys, stored } = await open()
    const secret = new TextEncoder().encode('marked secret of this manager')
    const holds = (companion: KeyFileContent['companion'] | undefined): boolean =>
      Object.values(companion ?? {}).some((bytes) => Buffer.from(bytes).includes(Buffer.from(secret)))
    await keys.saveSealed('issuer', secret)
    expect(keys.sealed('issuer')).toEqual(secret)
    expect(await openSealed((await stored(clearWrapper))!, clearWrapper)).toEqual(new Map([['issuer', secret]]))
    // The very write that locks the file also locks this.
    await keys.keyStore.save(RING, locked)
    const content = (await stored(locked))!
    expect(holds(content.companion)).toBe(false)
    expect(await openSealed(content, locked)).toEqual(new Map([['issuer', secret]]))
    await expect(
      openSealed(content, unlockKeyWrapper(new Uint8Array(32).fill(8), seededRandom(2))),
    ).rejects.toThrowCode('JOURNAL_UNREADABLE')
    await keys.saveIdentity(second)
    expect(keys.sealed('issuer')).toEqual(secret)
    expect(holds((await stored(locked))?.companion)).toBe(false)
    await keys.saveSealed('issuer', null)
    expect(Object.keys((await stored(locked))!.companion)).toEqual(['raftlog'])
    expect(keys.sealed('issuer')).toBeNull()
  })
})
