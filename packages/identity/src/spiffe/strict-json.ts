/** A number as it is written: a sequence number may have more digits than a JavaScript number can hold. */
export interface JsonNumber {
  readonly digits: string
}

/** JSON as data without prototypes; objects are maps. */
export type JsonValue = null | boolean | string | JsonNumber | readonly JsonValue[] | ReadonlyMap<string, JsonValue>

interface Reader {
  readonly text: string
  at: number
  depth: number
}

/** Deeper than any document of ours, and far from the end of the stack. */
export const MAX_JSON_DEPTH = 16

const SPACE = /[ \t\n\r]*/uy
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/uy

class Refused extends Error {}

/**
 * Reads JSON (RFC 8259) and refuses a name that occurs twice in an object: two readers could take a different one of the two.
 *
 * @returns The value, or `undefined` for anything that is not exactly one JSON value of at most {@link MAX_JSON_DEPTH} levels.
 */
export function readStrictJson(text: string): JsonValue | undefined {
  const reader: Reader = { text, at: 0, depth: 0 }
  try {
    const value = readValue(reader)
    return reader.at === text.length ? value : undefined
  } catch (error) {
    if (error instanceof Refused) return undefined
    throw error
  }
}

/** What the pattern matches where the reader stands, and steps over it. */
function take(reader: Reader, pattern: RegExp): string {
  pattern.lastIndex = reader.at
  const [found] = pattern.exec(reader.text) ?? []
  if (found === undefined) throw new Refused()
  reader.at += found.length
  return found
}

/** Steps over one letter and the space behind it, if it is there. */
function accept(reader: Reader, letter: string): boolean {
  if (reader.text[reader.at] !== letter) return false
  reader.at += 1
  take(reader, SPACE)
  return true
}

function expect(reader: Reader, letter: string): void {
  if (!accept(reader, letter)) throw new Refused()
}

function readString(reader: Reader): string {
  const { text, at } = reader
  if (text[at] !== '"') throw new Refused()
  let end = at + 1
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
  reader.at = end + 1
  try {
    // The platform's own reader knows the escapes, and refuses what a string may not hold.
    return JSON.parse(text.slice(at, end + 1)) as string
  } catch {
    throw new Refused()
  }
}

const WORDS: readonly (readonly [string, null | boolean])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
]

function readScalar(reader: Reader): JsonValue {
  if (reader.text[reader.at] === '"') return readString(reader)
  for (const [word, value] of WORDS) {
    if (reader.text.startsWith(word, reader.at)) {
      reader.at += word.length
      return value
    }
  }
  return { digits: take(reader, NUMBER) }
}

function readValue(reader: Reader): JsonValue {
  reader.depth += 1
  if (reader.depth > MAX_JSON_DEPTH) throw new Refused()
  take(reader, SPACE)
  const value = accept(reader, '{')
    ? readMembers(reader)
    : accept(reader, '[')
      ? readElements(reader)
      : readScalar(reader)
  take(reader, SPACE)
  reader.depth -= 1
  return value
}

function readMembers(reader: Reader): ReadonlyMap<string, JsonValue> {
  const members = new Map<string, JsonValue>()
  if (accept(reader, '}')) return members
  do {
    const name = readString(reader)
    take(reader, SPACE)
    expect(reader, ':')
    if (members.has(name)) throw new Refused()
    members.set(name, readValue(reader))
  } while (accept(reader, ','))
  expect(reader, '}')
  return members
}

function readElements(reader: Reader): readonly JsonValue[] {
  const elements: JsonValue[] = []
  if (accept(reader, ']')) return elements
  do elements.push(readValue(reader))
  while (accept(reader, ','))
  expect(reader, ']')
  return elements
}
