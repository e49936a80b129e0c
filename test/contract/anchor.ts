import type { AnchorHead, RollbackAnchor } from '@leastwise/raftlog'
import { beforeEach, describe, expect, it } from 'vitest'

/** A head like others, with what matters to a test. */
export const headAt = (count: bigint, more: Partial<AnchorHead> = {}): AnchorHead => ({
  clusterId: 'cluster-1',
  logId: 'node-1',
  epoch: 1,
  count,
  sequence: count,
  offset: Number(count) * 100,
  index: count * 2n,
  term: 1n,
  tag: new Uint8Array(16).fill(Number(count)),
  rings: [new Uint8Array(32).fill(1)],
  ...more,
})

/** What an anchor is tried with. */
export interface AnchorUnderTest {
  readonly anchor: RollbackAnchor
  /** The same memory through another handle, as after a restart. */
  readonly again: () => RollbackAnchor
}

/** Every {@link RollbackAnchor} keeps this. */
export function anchorContract(name: string, setUp: () => AnchorUnderTest): void {
  describe(`${name} keeps the contract of an anchor`, () => {
    let anchor: RollbackAnchor
    let again: () => RollbackAnchor
    beforeEach(() => {
      ;({ anchor, again } = setUp())
    })

    it('remembers nothing at first', async () => {
      expect(await anchor.read()).toBeNull()
    })

    it('remembers the last head, whole, also after a restart', async () => {
      const first = headAt(1n)
      const second = headAt(2n, { rings: [new Uint8Array(32).fill(2), new Uint8Array(32).fill(3)] })
      await anchor.advance(first, null)
      await anchor.advance(second, first)
      expect(await anchor.read()).toEqual(second)
      expect(await again().read()).toEqual(second)
    })

    it('keeps nothing that the caller can change', async () => {
      const head = headAt(1n)
      await anchor.advance(head, null)
      head.tag.fill(9)
      expect((await anchor.read())?.tag).toEqual(headAt(1n).tag)
    })

    it('takes the same advance again, as after a lost answer', async () => {
      await anchor.advance(headAt(1n), null)
      await anchor.advance(headAt(1n), null)
      await anchor.advance(headAt(2n), headAt(1n))
      await anchor.advance(headAt(2n), headAt(1n))
      expect(await anchor.read()).toEqual(headAt(2n))
    })

    it('catches up when it missed some, or forgot all', async () => {
      await anchor.advance(headAt(5n), headAt(4n))
      expect(await anchor.read()).toEqual(headAt(5n))
      await anchor.advance(headAt(9n), headAt(8n))
      expect(await again().read()).toEqual(headAt(9n))
    })

    it('refuses whoever does not know the last head, and keeps it', async () => {
      await anchor.advance(headAt(5n), null)
      await anchor.advance(headAt(6n), headAt(5n))
      const refused: readonly (readonly [AnchorHead, AnchorHead | null])[] = [
        [headAt(7n), null],
        [headAt(7n), headAt(5n)],
        [headAt(6n, { index: 99n }), headAt(5n)],
        [headAt(7n), headAt(6n, { index: 99n })],
        [headAt(3n), headAt(2n)],
      ]
      for (const [head, after] of refused) {
        await expect(anchor.advance(head, after)).rejects.toThrowCode('ANCHOR_CONFLICT')
      }
      expect(await anchor.read()).toEqual(headAt(6n))
    })

    it('begins a new epoch only after the last head', async () => {
      await anchor.advance(headAt(5n), null)
      await expect(anchor.advance(headAt(6n, { epoch: 2 }), headAt(4n))).rejects.toThrowCode('ANCHOR_CONFLICT')
      await anchor.advance(headAt(6n, { epoch: 2, sequence: 1n }), headAt(5n))
      expect((await anchor.read())?.epoch).toBe(2)
    })

    it('refuses another log', async () => {
      await anchor.advance(headAt(1n), null)
      const other = headAt(2n, { logId: 'node-2' })
      await expect(anchor.advance(other, headAt(1n, { logId: 'node-2' }))).rejects.toThrowCode('LOG_FOREIGN')
      expect(await anchor.read()).toEqual(headAt(1n))
    })

    it('stops with the reason of its signal', async () => {
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      await expect(anchor.read({ signal })).rejects.toBe(reason)
      await expect(anchor.advance(headAt(1n), null, { signal })).rejects.toBe(reason)
      expect(await anchor.read()).toBeNull()
    })
  })
}
