import type { KeyStore, KeyWrapper } from '../ports.ts'
import type { AnchorGuard } from './anchor-guard.ts'

/** A key store that takes the anchor along: no ring is kept that it was not told of before. */
export const anchoredKeys = (store: KeyStore, guard: AnchorGuard): KeyStore => ({
  load: store.load,
  save: async (ring, wrapper) => {
    await guard.saving(ring)
    await store.save(ring, wrapper)
    await guard.saved(ring)
  },
})

/** Proves that the ring that is kept is one that the anchor remembers; called once it has been unlocked. */
export async function proveKeys(store: KeyStore, guard: AnchorGuard): Promise<void> {
  const ring = await store.load()
  if (ring !== null) guard.proveRing(ring)
}

/**
 * Lets the anchor forget all rings but the one that is kept. That one is saved again first: its saving was cut short, and
 * what is seen of it need not be durable.
 */
export async function settleKeys(store: KeyStore, wrapper: KeyWrapper, guard: AnchorGuard): Promise<void> {
  if (!guard.isRingOpen()) return
  const ring = await store.load()
  if (ring === null) return
  await store.save(ring, wrapper)
  await guard.saved(ring)
}
