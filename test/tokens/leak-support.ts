import { splitUnlockKey } from '@leastwise/raftlog'
import { type Leak, parseJoinToken, parseUnlockKey } from '@leastwise/tokens'
import { engineVectors, joinTokenVectors, toHex, unlockKeyVectors } from './vectors.ts'

export const TOKENS: readonly string[] = [
  ...joinTokenVectors.map(({ text }) => text),
  ...engineVectors.flatMap(({ tokens }) => tokens.map(({ text }) => text)),
]
export const KEYS: readonly string[] = [
  ...unlockKeyVectors.map(({ text }) => text),
  ...engineVectors.flatMap(({ unlockKey }) => (unlockKey === undefined ? [] : [unlockKey.text])),
]

/** Shares as the log's package makes them, with numbers of one digit and of three. */
export const SHARES: readonly string[] = [
  ...splitUnlockKey(new Uint8Array(32).fill(7), {
    k: 2,
    n: 3,
    random: { bytes: (length) => new Uint8Array(length).fill(9) },
  }),
  ...splitUnlockKey(new Uint8Array(32).fill(255), {
    k: 100,
    n: 255,
    random: { bytes: (length) => new Uint8Array(length).fill(99) },
  }).slice(-1),
]

export const DIGEST = '27gwpqy8zrr16lkorbxjgux3bumowvt4v6hdq9lyyb887iohs3'
/** Letters that appear in no word, so that finding a few of them anywhere means that the secret was printed. */
export const MARKED_SECRET = '0qzxqjvkq7wq3zxqjvkq9wq5z'
export const MARKED_TOKEN = `SWMTKN-1-${DIGEST}-${MARKED_SECRET}`
export const MARKED_KEY_BODY = 'qZxQjvKq7wQ3zXqJVkq9wQ5zqZxQjvKq7wQ3zXqJVkA'
export const MARKED_KEY = `SWMKEY-1-${MARKED_KEY_BODY}`

/** The stretches of a marked secret that may appear nowhere. */
export const MARKS: readonly string[] = [MARKED_SECRET, MARKED_KEY_BODY].flatMap((secret) =>
  Array.from({ length: secret.length - 4 }, (_, at) => secret.slice(at, at + 5)),
)

const accepts = (parse: () => Disposable): boolean => {
  try {
    parse()[Symbol.dispose]()
    return true
  } catch {
    return false
  }
}

const isWritten = (part: string | undefined, alphabet: string, length: number): boolean =>
  part?.length === length && part.split('').every((character) => alphabet.includes(character))
const BASE_36 = '0123456789abcdefghijklmnopqrstuvwxyz'
const valueOf = (digits: string): bigint =>
  digits.split('').reduce((value, digit) => value * 36n + BigInt(BASE_36.indexOf(digit)), 0n)
const isNumber = (part: string | undefined): boolean =>
  part !== undefined && part.length <= 3 && String(Number.parseInt(part, 10)) === part && part !== '0'

/** A share's parts one by one; its check is not compared. */
function isShare(part: string): boolean {
  const [prefix, version, counts, index, setId, value, check, ...rest] = part.split('-')
  const [k, n, ...more] = (counts ?? '').split('of')
  return (
    prefix === 'LWSHARE' &&
    version === '1' &&
    [k, n, index].every(isNumber) &&
    rest.length + more.length === 0 &&
    isWritten(setId, BASE_36, 25) &&
    isWritten(value, BASE_36, 50) &&
    isWritten(check, BASE_36, 8) &&
    valueOf(value!) < 2n ** 256n
  )
}

/** The deliberately dumb scanner: cuts every stretch of the right length out and asks the parser. */
export function naiveScan(text: string): readonly Leak[] {
  const leaks: Leak[] = []
  for (let offset = text.indexOf('LWSHARE'); offset >= 0; offset = text.indexOf('LWSHARE', offset + 1)) {
    for (let length = 90; length <= 120; length += 1) {
      if (offset + length > text.length || !isShare(text.slice(offset, offset + length))) continue
      const before = text.slice(0, offset).split('\n')
      const place = { line: before.length, column: before.at(-1)!.length + 1, offset, length }
      leaks.push({ kind: 'unlock-key-share', ...place, digestPrefix: null })
    }
  }
  for (let offset = text.indexOf('SWM'); offset >= 0; offset = text.indexOf('SWM', offset + 1)) {
    for (const length of [52, 85, 87]) {
      const part = text.slice(offset, offset + length)
      if (part.length !== length) continue
      const isToken = accepts(() => parseJoinToken(part).secret)
      if (!isToken && !accepts(() => parseUnlockKey(part))) continue
      const before = text.slice(0, offset).split('\n')
      const place = { line: before.length, column: before.at(-1)!.length + 1, offset, length }
      if (!isToken) leaks.push({ kind: 'unlock-key', ...place, digestPrefix: null })
      else {
        const digestPrefix = toHex(parseJoinToken(part).trustDigest).slice(0, 8)
        leaks.push({ kind: 'join-token', ...place, digestPrefix })
      }
    }
  }
  return leaks.toSorted((a, b) => a.offset - b.offset)
}
