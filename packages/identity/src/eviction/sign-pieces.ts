import type { Digest } from '../ports.ts'
import type { ListHead } from './list-codec.ts'
import { cutIntoParts, entriesOf } from './list-parts.ts'
import { type ListSigner, signList } from './signed-list.ts'

/**
 * Signs a list once, whatever its size, and gives what to send one after the other: the list alone when its entries fit into one part; else the list with the
 * digests of its parts, and the parts.
 *
 * @param entries - Encoded, in the order of the book.
 */
export async function signEvictionPieces(
  list: ListHead,
  entries: Iterable<Uint8Array>,
  by: ListSigner,
  digest: Digest,
): Promise<readonly Uint8Array<ArrayBuffer>[]> {
  let count = 0
  const counted = function* (): Generator<Uint8Array, void, void> {
    for (const entry of entries) {
      count += 1
      yield entry
    }
  }
  const parts = cutIntoParts(counted())
  const [only = new Uint8Array(0), ...more] = parts
  if (more.length === 0) return [await signList(list, [...entriesOf(only)], by)]
  return [await signList(list, { count, digests: parts.map((part) => digest.sha256(part)) }, by), ...parts]
}
