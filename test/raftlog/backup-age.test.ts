import { inspect } from 'node:util'
import { memoryLog, restoreBackup, verifyBackup } from '@leastwise/raftlog'
import { ageWrapper } from '@leastwise/raftlog/node'
import { Decrypter, Encrypter, generateIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { describe, expect, it } from 'vitest'
import { backupOf, inPieces, restoreOn, suite } from './backup-support.ts'
import { crashDisk } from './crash-disk.ts'
import { openOn, partsOn, readAll, utf8 } from './log-support.ts'

const KEY = new Uint8Array(32).fill(0xa9)

/** At its own cost the library takes seconds for each passphrase. */
class QuickEncrypter extends Encrypter {
  constructor() {
    super()
    this.setScryptWorkFactor(6)
  }
}
const quickly = () => Promise.resolve({ Encrypter: QuickEncrypter, Decrypter })

describe('age recipients', () => {
  it('restore a backup that the machine which made it cannot open', async () => {
    const [mine, yours] = [await generateX25519Identity(), await generateIdentity()]
    const recipients = [await identityToRecipient(mine), await identityToRecipient(yours)]
    const log = memoryLog()
    await log.append([utf8('a'), utf8('b')])
    const { bytes } = await backupOf(log, { wrapper: ageWrapper({ recipients }) })
    await expect(verifyBackup(inPieces(bytes), { suite, wrapper: ageWrapper({ recipients }) })).rejects.toThrowCode(
      'KEYS_WRONG',
    )
    for (const identity of [mine, yours]) {
      const target = crashDisk()
      await restoreOn(target, bytes, {}, ageWrapper({ identities: [identity] }))
      const copy = await openOn(target)
      expect(await readAll(copy)).toEqual(['1:1:a', '2:1:b'])
      await copy.close()
    }
    const stranger = ageWrapper({ identities: [await generateX25519Identity()] })
    await expect(verifyBackup(inPieces(bytes), { suite, wrapper: stranger })).rejects.toThrowCode('KEYS_WRONG')
  })

  it('let anybody make up a backup, which only the noted digest tells from the genuine one', async () => {
    const identity = await generateX25519Identity()
    const recipients = [await identityToRecipient(identity)]
    const mine = ageWrapper({ identities: [identity] })
    const [genuine, forged] = [memoryLog(), memoryLog()]
    await genuine.append([utf8('genuine')])
    await forged.append([utf8('forged')])
    const { bytes, receipt } = await backupOf(genuine, { wrapper: ageWrapper({ recipients }) })
    const { bytes: other } = await backupOf(forged, { wrapper: ageWrapper({ recipients }) })
    expect((await verifyBackup(inPieces(other), { suite, wrapper: mine })).proven).toBe('all')

    const { digest } = receipt
    const target = crashDisk()
    const restore = async (from: Uint8Array) =>
      await restoreBackup(inPieces(from), { wrapper: mine, log: partsOn(target), digest })
    await expect(restore(other)).rejects.toThrowCode('BACKUP_NOT_AUTHENTIC')
    await expect(openOn(target)).rejects.toThrowCode('RESTORE_UNFINISHED')
    await restore(bytes)
    expect(await readAll(await openOn(target))).toEqual(['1:1:genuine'])
  })

  it('give null for garbage, for what was cut, and for what was changed', async () => {
    const identity = await generateX25519Identity()
    const wrapper = ageWrapper({ recipients: [await identityToRecipient(identity)], identities: [identity] })
    const wrapped = await wrapper.wrap(KEY)
    expect(await wrapper.unwrap(wrapped)).toEqual(KEY)
    for (const garbage of [new Uint8Array(0), new Uint8Array(300), utf8('age-encryption.org/v1\n')]) {
      expect(await wrapper.unwrap(garbage)).toBeNull()
    }
    for (let at = 0; at < wrapped.length; at += 7) {
      const changed = wrapped.slice()
      changed[at]! ^= 1 << (at % 8)
      expect(await wrapper.unwrap(changed), `byte ${at}`).toBeNull()
      expect(await wrapper.unwrap(wrapped.subarray(0, at)), `cut to ${at}`).toBeNull()
    }
  })

  it('may be a passphrase', async () => {
    const wrapper = ageWrapper({ passphrase: 'correct horse battery staple', load: quickly })
    const wrapped = await wrapper.wrap(KEY)
    expect(await ageWrapper({ passphrase: 'correct horse battery staple' }).unwrap(wrapped)).toEqual(KEY)
    expect(await ageWrapper({ passphrase: 'wrong horse' }).unwrap(wrapped)).toBeNull()
  })

  it('are refused with a code where they are none, without repeating them', async () => {
    for (const [options, way] of [
      [{ recipients: ['MARKED'] }, 'wrap'],
      [{ identities: ['MARKED'] }, 'unwrap'],
      [{ identities: [await generateX25519Identity()] }, 'wrap'],
    ] as const) {
      const error = await Promise.resolve(ageWrapper(options)[way](KEY)).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'KEEPER_REFUSED' })
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('MARKED')
    }
    expect(() => ageWrapper({})).toThrow(RangeError)
    expect(() => ageWrapper({ recipients: ['age1'], passphrase: 'x' })).toThrow(RangeError)
  })

  it('are refused with a code where the library is not installed', async () => {
    const load = () => Promise.reject(new Error('Cannot find package'))
    const wrapper = ageWrapper({ recipients: ['age1'], identities: ['AGE-SECRET-KEY-'], load })
    await expect(wrapper.wrap(KEY)).rejects.toThrowCode('KEEPER_UNREACHABLE')
    await expect(wrapper.unwrap(KEY)).rejects.toThrowCode('KEEPER_UNREACHABLE')
  })
})
