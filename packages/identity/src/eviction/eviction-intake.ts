import type { Digest } from '../ports.ts'
import { unionOf } from './eviction-set.ts'
import { checkFollows, type EvictionView, grown, withEvictionList } from './eviction-view.ts'
import { type ListHead, readEntries } from './list-codec.ts'
import { noParts, type PartDigests, type PartsSoFar, withPart } from './list-parts.ts'
import { proveList, type VerifyEvictionListOptions } from './signed-list.ts'

/** A list of which parts are outstanding. */
export interface OpenList {
  readonly bytes: Uint8Array
  readonly parts: PartDigests
  readonly soFar: PartsSoFar
}

/** What a piece led to: a view that has heard of more, or a list of which more is to come. */
export type Taken =
  | { readonly view: EvictionView; readonly head: ListHead; readonly open: null }
  | { readonly view: null; readonly open: OpenList }

/** Takes the first piece of a list. It is proven before any part is waited for, so that a stranger's cost nothing. */
export async function takeList(bytes: Uint8Array, options: VerifyEvictionListOptions): Promise<Taken> {
  const { head, content } = await proveList(bytes, options)
  const { view } = options
  checkFollows(view, head)
  return content instanceof Uint8Array
    ? { view: withEvictionList(view, { ...head, evictions: readEntries(content) }), head, open: null }
    : { view: null, open: { bytes: bytes.slice(), parts: content, soFar: noParts } }
}

/** Takes the next part. With the last one the list is proven once more, because time has passed and its signer may have been evicted since. */
export async function takePart(
  open: OpenList,
  part: Uint8Array,
  options: VerifyEvictionListOptions & { readonly digest: Digest },
): Promise<Taken> {
  const { bytes, parts } = open
  const { view, digest } = options
  const soFar = withPart(open.soFar, part, parts, digest)
  if (soFar.parts < parts.digests.length) return { view: null, open: { bytes, parts, soFar } }
  const { head } = await proveList(bytes, options)
  checkFollows(view, head)
  return { view: grown(view, head, unionOf(view.set, soFar.set)), head, open: null }
}
