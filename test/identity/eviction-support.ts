import { type Eviction, type EvictionBook, evictionBook, type ListSigner, type NodeId } from '@leastwise/identity'
import { openSigner } from '@leastwise/identity/node'
import type { TestNode } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000

const secondsOf = (now: number): number => Math.floor(now / 1000) * 1000

/** The eviction of a node for ninety hours from `now`. */
export const ofNode = (nodeId: NodeId, now: number): Eviction => ({
  kind: 'node',
  nodeId,
  reason: 'privilege-withdrawn',
  at: secondsOf(now),
  until: secondsOf(now) + 90 * HOUR_MS,
})

/** A book that also holds these. */
export const bookWith = (book: EvictionBook, ...evictions: readonly Eviction[]): EvictionBook =>
  evictionBook.decide(book, { type: 'add', evictions }).reduce(evictionBook.evolve, book)

/** The manager as the signer of lists. */
export const signerOf = (manager: TestNode): ListSigner => ({
  signer: openSigner(manager.privateKey),
  chain: [manager.certificate],
})
