import { OrchestratorError } from './errors.ts'

/**
 * Values of the packages (events, states) as bytes: JSON in which bytes, maps, sets and big integers carry a tag.
 *
 * Only authenticated bytes out of the sealed log come back in, still every shape is checked.
 */

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const BYTES = '$bytes'
const MAP = '$map'
const SET = '$set'
const BIG = '$big'
const PLAIN = '$plain'
const TAGS: ReadonlySet<string> = new Set([BYTES, MAP, SET, BIG, PLAIN])

function toJson(value: unknown): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('a journal holds finite numbers only')
    return value
  }
  if (typeof value === 'bigint') return { [BIG]: value.toString() }
  if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value).toString('base64') }
  if (value instanceof Map) return { [MAP]: [...value].map(([key, item]) => [toJson(key), toJson(item)]) }
  if (value instanceof Set) return { [SET]: [...value].map(toJson) }
  if (Array.isArray(value)) return value.map(toJson)
  if (
    typeof value === 'object' &&
    (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null)
  ) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    const object = Object.fromEntries(entries.map(([key, item]) => [key, toJson(item)]))
    // An object of the user's whose only key looks like a tag must not come back as something else.
    return entries.some(([key]) => TAGS.has(key)) ? { [PLAIN]: object } : object
  }
  throw new TypeError(`a journal cannot hold a ${typeof value}`)
}

const unreadable = (): OrchestratorError =>
  new OrchestratorError(
    'JOURNAL_UNREADABLE',
    'a journal record has a shape that this version does not know; use the version that wrote it',
  )

function plainObject(json: Readonly<Record<string, Json>>): unknown {
  return Object.fromEntries(Object.entries(json).map(([key, item]) => [key, fromJson(item)]))
}

function untag(tag: string, item: Json): unknown {
  if (tag === BYTES && typeof item === 'string') return new Uint8Array(Buffer.from(item, 'base64'))
  if (tag === BIG && typeof item === 'string' && /^-?\d+$/.test(item)) return BigInt(item)
  if (tag === SET && Array.isArray(item)) return new Set(item.map(fromJson))
  if (tag === PLAIN && typeof item === 'object' && item !== null && !Array.isArray(item)) return plainObject(item)
  if (tag === MAP && Array.isArray(item)) {
    return new Map(
      item.map((pair) => {
        if (!Array.isArray(pair) || pair.length !== 2) throw unreadable()
        return [fromJson(pair[0] ?? null), fromJson(pair[1] ?? null)] as const
      }),
    )
  }
  throw unreadable()
}

function fromJson(json: Json): unknown {
  if (json === null || typeof json !== 'object') return json
  if (Array.isArray(json)) return json.map(fromJson)
  const [first, ...others] = Object.keys(json)
  if (first !== undefined && others.length === 0 && TAGS.has(first)) return untag(first, json[first] ?? null)
  return plainObject(json)
}

export function encodePlain(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(toJson(value)))
}

/** @throws {@link OrchestratorError} `JOURNAL_UNREADABLE` for anything that {@link encodePlain} did not write. */
export function decodePlain(bytes: Uint8Array): unknown {
  try {
    const value = fromJson(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Json)
    // A value has one form: padding, repeated keys and the like would be read here and be gone in the next snapshot.
    if (Buffer.compare(encodePlain(value), bytes) === 0) return value
  } catch {
    // What was there is not repeated: it may hold secrets.
  }
  throw unreadable()
}
