// A buffer of its own for each document would be a tenth of what reading one costs, and as much again to collect; so several lie in one. All of them are
// public, and one that is kept keeps no more than its page.
const PAGE_BYTES = 8 * 1024
let page = new Uint8Array(PAGE_BYTES)
let used = 0

/** Zeros for one public document, at a place that is given out once; its buffer may hold others. */
export function allocate(length: number): Uint8Array<ArrayBuffer> {
  if (length > PAGE_BYTES / 4) return new Uint8Array(length)
  // Its length is none when somebody has given it away.
  if (used + length > page.length) {
    page = new Uint8Array(PAGE_BYTES)
    used = 0
  }
  const place = page.subarray(used, used + length)
  used += length
  return place
}
