import {
  anyOf,
  clearWrapper,
  combineShares,
  type KeyWrapper,
  splitUnlockKey,
  unlockKeyWrapper,
} from '@leastwise/raftlog'
import { allowWeakScryptCost, kmsWrapper, passphraseWrapper } from '@leastwise/raftlog/node'
import { keyWrapperContract } from '../contract/key-wrapper.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { startPlugIn } from './keepers-plug-in.ts'

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
const random = seededRandom(7)
const unlock = (fill: number): KeyWrapper => unlockKeyWrapper(key(fill), random)
const passphrase = (text: string): KeyWrapper =>
  passphraseWrapper(text, { cost: { logN: 1, r: 8, p: 1 }, [allowWeakScryptCost]: true, random })

keyWrapperContract('the wrapper without a lock', async () => ({ create: () => clearWrapper, other: null }))

keyWrapperContract('an unlock key', async () => ({ create: () => unlock(1), other: unlock(2) }))

keyWrapperContract('a passphrase', async () => ({ create: () => passphrase('one'), other: passphrase('another') }))

keyWrapperContract('an unlock key from its shares', async () => {
  const shares = splitUnlockKey(key(1), { k: 3, n: 5, random })
  return {
    create: () => unlockKeyWrapper(combineShares([shares[4]!, shares[0]!, shares[2]!]), random),
    other: unlock(2),
  }
})

keyWrapperContract('a key management service', async () => {
  const [mine, another] = [await startPlugIn('mine'), await startPlugIn('another')]
  return {
    create: () => kmsWrapper({ socketPath: mine.socketPath, random }),
    other: kmsWrapper({ socketPath: another.socketPath, random }),
    close: async () => {
      await mine.close()
      await another.close()
    },
  }
})

keyWrapperContract('one keeper of any', async () => ({
  create: () => anyOf([unlock(1)]),
  other: anyOf([unlock(2)]),
}))
