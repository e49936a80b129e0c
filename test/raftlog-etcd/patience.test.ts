import { describe, expect, it } from 'vitest'
import { patienceFor } from '../../packages/raftlog-etcd/src/patience.ts'

const IDLE = Promise.resolve(null)
const LONG = new Promise<null>(() => undefined)

describe('patience', () => {
  it('leaves nothing on what it waits for, however often it was in vain', async () => {
    const work = new Promise<string>(() => undefined)
    let waiting = 0
    const { then } = Promise.prototype
    Reflect.defineProperty(work, 'then', {
      value: (...given: Parameters<typeof then>) => {
        waiting += 1
        return then.apply(work, given)
      },
    })
    const wait = patienceFor(work)
    for (let turn = 0; turn < 100; turn += 1) expect(await wait(IDLE)).toBeNull()
    expect(waiting).toBe(1)
  })

  it('gives what came while nobody waited, and what comes', async () => {
    let come: (value: string) => void = () => undefined
    const work = new Promise<string>((resolve) => {
      come = resolve
    })
    const wait = patienceFor(work)
    expect(await wait(IDLE)).toBeNull()
    const waiting = wait(LONG)
    come('news')
    expect(await waiting).toBe('news')
    expect(await wait(LONG)).toBe('news')
  })

  it('fails as that fails, and not before somebody waits', async () => {
    const failure = new Error('broken off')
    const wait = patienceFor(Promise.reject(failure))
    await new Promise((resolve) => setImmediate(resolve))
    await expect(wait(LONG)).rejects.toBe(failure)
  })
})
