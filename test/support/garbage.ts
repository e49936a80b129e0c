import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

// A context that is made after the flag was set has the collector; the workers of the test runner are started without it.
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Whether nothing holds the object any more. What a turn of the event loop still holds is let go first. */
export async function isCollected(object: WeakRef<object>): Promise<boolean> {
  for (let turn = 0; turn < 30 && object.deref() !== undefined; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve))
    collect()
  }
  return object.deref() === undefined
}
