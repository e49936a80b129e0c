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

/** The deliberately dumb scanner: cuts every stretch of the right length out and asks the parser. */
export function naiveScan(text: string): readonly Leak[] {
  const leaks: Leak[] = []
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
  return leaks
}
