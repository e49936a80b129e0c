import type { Leak, LeakScanner } from '../leaks/leak-scanner.ts'
import { MAX_LEAK_CHARS, secretParts } from '../leaks/leak-shape.ts'

const ZERO = '\0'
/** UTF-32 has four bytes for a letter, three of them zero. */
const MAX_STRIDE = 4
/** More than the longest leak takes, so that none that is cut in two is lost. */
const CARRY_BYTES = MAX_LEAK_CHARS * MAX_STRIDE
// Letters of the kinds of leaks with one zero or three between them, as many as the shortest leak has: an unlock key.
const STRETCHES: readonly (readonly [number, RegExp])[] = [
  [2, /[+\-/0-9A-Za-z](?:\0[+\-/0-9A-Za-z]){51,}/g],
  [4, /[+\-/0-9A-Za-z](?:\0{3}[+\-/0-9A-Za-z]){51,}/g],
]
// A line feed in such letters has a zero on one side at least; the same byte inside of another letter has none, as a rule.
const LINE_FEED = /(?<=\0)\n|\n(?=\0)/g
// The order marks of UTF-32 and UTF-16, which are no letters of the first line.
const ORDER_MARK = /^(?:\xff\xfe\0\0|\0\0\xfe\xff|\xff\xfe|\xfe\xff)/

interface WideLeak extends Pick<Leak, 'kind' | 'length' | 'digestPrefix'> {
  /** In bytes. */
  readonly start: number
  readonly stride: number
}

/** All leaks in such letters, in the order of their places. */
function wideLeaks(bytes: string): readonly WideLeak[] {
  const leaks: WideLeak[] = []
  for (const [stride, stretch] of STRETCHES)
    for (const { 0: found, index } of bytes.matchAll(stretch))
      for (const { kind, start, length, digestPrefix } of secretParts(found.replaceAll(ZERO, '')))
        leaks.push({ kind, length, digestPrefix, start: index + start * stride, stride })
  return leaks.sort((a, b) => a.start - b.start)
}

/**
 * Finds leaks in letters of two and four bytes whose other bytes are zero: UTF-16 and UTF-32 in either order of bytes, with a mark or without one, from the first byte of a
 * file or anywhere in it. Bytes come as characters of Latin-1; places are counted in letters.
 *
 * What has no zeros in it is looked at no further, and what is one byte for each letter is never found here.
 */
export function createWideScanner(): LeakScanner {
  let carry = ''
  let carryOffset = 0
  let line = 1
  let lineOffset = 0

  const push = (chunk: string): readonly Leak[] => {
    const bytes = carry + chunk
    if (carryOffset === 0 && line === 1) lineOffset = ORDER_MARK.exec(bytes)?.[0].length ?? 0
    const leaks: Leak[] = []
    const rest = Math.max(0, bytes.length - CARRY_BYTES)
    if (bytes.includes(ZERO)) {
      LINE_FEED.lastIndex = 0
      let feed = LINE_FEED.exec(bytes)
      const countLines = (until: number): void => {
        for (; feed !== null && feed.index < until; feed = LINE_FEED.exec(bytes)) {
          const end = carryOffset + feed.index + 1
          // The carry may hold line ends that were counted for a leak behind them.
          if (end <= lineOffset) continue
          line += 1
          lineOffset = end
        }
      }
      for (const { kind, start, stride, length, digestPrefix } of wideLeaks(bytes)) {
        // Whole before this chunk, and told then.
        if (start + (length - 1) * stride < carry.length) continue
        countLines(start)
        const inLetters = (offset: number): number => Math.floor(offset / stride)
        const column = inLetters(carryOffset + start - lineOffset) + 1
        leaks.push({ kind, line, column, offset: inLetters(carryOffset + start), length, digestPrefix })
      }
      // The byte before the first of the carry is not seen again.
      countLines(rest + 1)
    }
    carryOffset += rest
    carry = bytes.slice(rest)
    return leaks
  }
  return { push }
}
