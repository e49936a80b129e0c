import { type LeakKind, MAX_LEAK_CHARS, secretParts } from './leak-shape.ts'

/**
 * Where a secret lies open, and of what kind it is. Everything in it may be printed; the secret is not in it.
 *
 * The role that a join token grants is not here, because it is not in the token: the cluster's registry knows it.
 */
export interface Leak {
  readonly kind: LeakKind
  /** From 1. A line feed ends a line. */
  readonly line: number
  /** From 1, in UTF-16 code units, as JavaScript counts; in a file in bytes, or in letters where each takes two or four. */
  readonly column: number
  /** From 0, from the start of the whole text, in the units of `column`. */
  readonly offset: number
  /** Of the whole token or key, in the same units. */
  readonly length: number
  /**
   * The first 8 hex digits of the trust digest in a join token, which tells the cluster and is public; `null` for an unlock key and
   * for a share of one.
   */
  readonly digestPrefix: string | null
}

/** Finds leaks in a text that comes in pieces. */
export interface LeakScanner {
  /**
   * The leaks that this chunk completes, by their place in the whole text. A leak is told with the chunk that holds its last
   * character and never held back for what follows, so there is nothing to call at the end.
   */
  readonly push: (chunk: string) => readonly Leak[]
}

/**
 * A scanner for one text of any size. Between two calls it keeps less than the longest leak, 108 characters, also inside of
 * a line without end, and it takes time in proportion to the text. How the text is cut makes no difference to what is found.
 */
export function createLeakScanner(): LeakScanner {
  let carry = ''
  let carryOffset = 0
  let line = 1
  let lineOffset = 0

  const push = (chunk: string): readonly Leak[] => {
    const text = carry + chunk
    // Found once and then moved along: searched anew for each leak, a long line full of leaks would take quadratic time.
    // The carry may hold line ends that were counted for a leak behind them.
    let lineEnd = text.indexOf('\n', Math.max(0, lineOffset - carryOffset))
    const countLines = (until: number): void => {
      while (lineEnd >= 0 && lineEnd < until) {
        line += 1
        lineOffset = carryOffset + lineEnd + 1
        lineEnd = text.indexOf('\n', lineEnd + 1)
      }
    }
    const leaks: Leak[] = []
    for (const { kind, start, length, digestPrefix } of secretParts(text)) {
      if (start + length <= carry.length) continue // whole before this chunk, and told then
      countLines(start)
      const offset = carryOffset + start
      leaks.push({ kind, line, column: offset - lineOffset + 1, offset, length, digestPrefix })
    }
    const rest = Math.max(0, text.length - (MAX_LEAK_CHARS - 1))
    countLines(rest)
    carryOffset += rest
    carry = text.slice(rest)
    return leaks
  }
  return { push }
}

/**
 * Finds every join token, unlock key and share of an unlock key in a text, wherever it stands: in quotes, in a URL, in JSON, between bytes of a binary file.
 *
 * A leak is whatever `parseJoinToken` or `parseUnlockKey` accepts when it is cut out, so nothing that merely looks alike is one
 * (a placeholder, a wrong length, a number that is too large). A share (`LWSHARE-1-…`) is one by its form, whatever its check says. What stands before and behind does not matter: a token followed by one
 * more letter still lets a machine join. A secret that was changed (wrapped over lines, escaped, encoded, compressed) is not found.
 *
 * @param text - Of any size. Time is in proportion to its length, for any content.
 * @returns In the order of their places; none of them holds a secret.
 */
export function findLeaks(text: string): readonly Leak[] {
  return createLeakScanner().push(text)
}
