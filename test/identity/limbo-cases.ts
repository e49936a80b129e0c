import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import {
  type AltName,
  type Certificate,
  CLIENT_AUTH,
  IdentityError,
  parseCertificate,
  SERVER_AUTH,
  verifyPathSync,
} from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'

/** One native case of x509-limbo, as the vectors keep it; certificates are given by their place in a list. */
export interface LimboCase {
  readonly id: string
  readonly expected: 'success' | 'failure'
  readonly kind: 'server' | 'client'
  readonly features: readonly string[]
  readonly roots: readonly number[]
  readonly intermediates: readonly number[]
  readonly leaf: number
  readonly time: string | null
  readonly purposes: readonly string[]
  readonly keyUsage: readonly string[]
  readonly names: readonly { readonly kind: 'DNS' | 'IP' | 'RFC822'; readonly value: string }[]
  readonly maxDepth: number | null
  readonly crls: number
}

interface Generation {
  readonly certificates: readonly string[]
  readonly cases: readonly LimboCase[]
  readonly generatedAt: string
}

const GENERATION = JSON.parse(
  gunzipSync(readFileSync(new URL('../vectors/limbo/limbo.json.gz', import.meta.url))).toString('utf8'),
) as Generation

export const LIMBO: readonly LimboCase[] = GENERATION.cases

const der = (index: number): Uint8Array => Uint8Array.from(Buffer.from(GENERATION.certificates[index] ?? '', 'base64'))

/** An address as bytes, in the forms that the cases use. */
function addressOf(text: string): Uint8Array<ArrayBuffer> {
  if (!text.includes(':')) return Uint8Array.from(text.split('.').map(Number))
  const [head = '', tail] = text.split('::')
  const groups = (part: string): readonly number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const middle = new Array<number>(8 - left.length - right.length).fill(0)
  return Uint8Array.from([...left, ...middle, ...right].flatMap((group) => [group >> 8, group & 0xff]))
}

function nameOf({ kind, value }: LimboCase['names'][number]): AltName {
  if (kind === 'IP') return { kind: 'ip', value: addressOf(value) }
  return { kind: kind === 'DNS' ? 'dns' : 'email', value }
}

/** How a case is put to the validator. */
export interface Asked {
  readonly keyIdentifiers?: 'required' | 'optional'
  /** Whether the names that a case asks for are asked of the validator, or left to its caller. */
  readonly names?: 'asked' | 'left'
}

// What is said of a chain that leads nowhere; any other choice of intermediates says more.
const NOWHERE = ['PEER_UNTRUSTED', 'PEER_CHAIN_INVALID']

/**
 * What the validator says: `ok`, or its code. Anything thrown without a code fails the test that asked.
 *
 * A case gives a set of intermediates, a peer of ours presents a chain in order. So every ordered choice of up to two of the set is presented, and one that is
 * accepted accepts the case: no way of presenting may lead to a false accept.
 */
export function judge(limbo: LimboCase, asked: Asked = {}): string {
  // The validator reads no revocation lists, so who must go by one cannot ask it, and must refuse.
  if (limbo.crls > 0) return 'CRL_NOT_READ'
  const leaf = readOrCode(limbo.leaf)
  if (typeof leaf === 'string') return leaf
  const roots = limbo.roots.map(readOrCode)
  const unreadable = roots.find((root) => typeof root === 'string')
  if (unreadable !== undefined) return unreadable
  const pool = limbo.intermediates.map(readOrCode).filter((found) => typeof found !== 'string')
  const choices = [
    [],
    ...pool.map((low) => [low]),
    ...pool.flatMap((low) => pool.filter((high) => high !== low).map((high) => [low, high])),
  ]
  const codes = new Set<string>()
  for (const choice of choices) {
    const code = verdict([leaf, ...choice], roots as readonly Certificate[], limbo, asked)
    if (code === 'ok') return code
    codes.add(code)
  }
  return [...codes].find((code) => !NOWHERE.includes(code)) ?? 'PEER_UNTRUSTED'
}

const codeOf = (error: unknown): string => {
  if (error instanceof IdentityError) return error.code
  throw error
}

const read = new Map<number, Certificate | string>()

function readOrCode(index: number): Certificate | string {
  const known = read.get(index)
  if (known !== undefined) return known
  const found = readAnew(index)
  read.set(index, found)
  return found
}

function readAnew(index: number): Certificate | string {
  try {
    return parseCertificate(der(index))
  } catch (error) {
    return codeOf(error)
  }
}

function verdict(
  chain: readonly Certificate[],
  roots: readonly Certificate[],
  limbo: LimboCase,
  { keyIdentifiers = 'required', names = 'asked' }: Asked,
): string {
  try {
    verifyPathSync(chain, {
      roots,
      now: Date.parse(limbo.time ?? GENERATION.generatedAt),
      // The purpose of a server's or a client's certificate; the cases that ask for one ask for the same.
      purposes: [limbo.kind === 'server' ? SERVER_AUTH : CLIENT_AUTH],
      ...(names === 'asked' ? { names: limbo.names.map(nameOf) } : {}),
      keyIdentifiers,
      ...(limbo.maxDepth === null ? {} : { maxIntermediates: limbo.maxDepth }),
      verifier: systemVerifier,
    })
    return 'ok'
  } catch (error) {
    return codeOf(error)
  }
}
