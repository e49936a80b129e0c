import { type FrameContext, type FrameHead, type FramePlace, sealFrame } from '../format/frame.ts'
import type { CipherSuite } from '../ports.ts'

/**
 * Opens a body without its tag, and computes the tag that it must have had. It proves nothing by itself: only if what
 * follows the frame names this very tag is the body what was sealed there.
 *
 * A counter mode gives its key stream for zeros. Neither result is ever written.
 */
export function trueTag(
  context: FrameContext,
  place: FramePlace,
  head: FrameHead,
  sealed: Uint8Array,
  suite: CipherSuite,
): { readonly tag: Uint8Array<ArrayBuffer>; readonly body: Uint8Array<ArrayBuffer> } {
  const body = new Uint8Array(sealed.length)
  const stream = sealFrame(context, place, head, body, suite).parts[1]
  sealed.forEach((byte, at) => {
    body[at] = byte ^ (stream?.[at] ?? 0)
  })
  return { tag: new Uint8Array(sealFrame(context, place, head, body, suite).tag), body }
}
