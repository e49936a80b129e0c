import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { expect, it } from 'vitest'
import { createRotationDriver } from '../../examples/orchestrator/manager/root/rotation-driver.ts'
import { isCollected } from '../support/garbage.ts'

it('holds no connection that has closed, also while a rotation does nothing but wait for its end', async () => {
  const state = () => ({ authority: { phase: 'founded', rotation: { phase: 'finishing', aim: 1 } } })
  const driver = createRotationDriver({ store: { state } } as never)
  const comeAndGo = async (): Promise<WeakRef<object>> => {
    const socket = new TLSSocket(new PassThrough())
    driver.saw(socket)
    socket.destroy()
    await once(socket, 'close')
    return new WeakRef(socket)
  }
  expect(await isCollected(await comeAndGo())).toBe(true)
  // The driver lives.
  driver.saw(new TLSSocket(new PassThrough()))
})
