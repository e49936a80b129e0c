import { hsmError } from './p11-failure.ts'
import type { P11Crypto, P11Key } from './p11-shape.ts'

/** What a key on a token is for: to sign with, to wrap other keys, or neither. */
export type TokenKeyKind = 'signing' | 'wrapping' | 'other'

/** A private or secret key on a token. */
export interface TokenKeyFacts {
  readonly label: string
  /** CKA_ID in lower-case hexadecimal: stays with the key, also when its label changes. Empty if it was made without one. */
  readonly id: string
  readonly kind: TokenKeyKind
  /** False when the token promises never to give the key out. */
  readonly extractable: boolean
  /** True when the token made the key itself and it was never extractable: nobody has a copy. */
  readonly bornInside: boolean
}

/** Which key: by label or by id, or both; exactly one must match. */
export interface TokenKeyChoice {
  readonly label?: string
  readonly id?: string
}

const EXTRACTABLE = 'extractable'
const SENSITIVE = 'sensitive'

const isTrue = (key: P11Key, attribute: string): boolean => {
  try {
    return key.p11Object.getAttribute(attribute) === true
  } catch {
    // What the token does not say does not count.
    return false
  }
}

const isFalse = (key: P11Key, attribute: string): boolean => {
  try {
    return key.p11Object.getAttribute(attribute) === false
  } catch {
    return false
  }
}

const idOf = (key: P11Key): string => key.id.slice(key.id.lastIndexOf('-') + 1)

/** CKA_SENSITIVE and not CKA_EXTRACTABLE, said in so many words: neither by itself keeps a key from being read or wrapped out. */
const staysInside = (key: P11Key): boolean => isTrue(key, SENSITIVE) && isFalse(key, EXTRACTABLE)

const wasBornInside = (key: P11Key): boolean =>
  staysInside(key) && isTrue(key, 'local') && isTrue(key, 'neverExtractable') && isTrue(key, 'alwaysSensitive')

const SIGNING: readonly string[] = ['ECDSA', 'RSASSA-PKCS1-v1_5']

function kindOf({ type, algorithm }: P11Key): TokenKeyKind {
  if (type === 'private') return SIGNING.includes(algorithm.name) ? 'signing' : 'other'
  return algorithm.name.startsWith('AES') ? 'wrapping' : 'other'
}

/** Every key of the token that can be read as one, public ones included. */
async function allKeys({ keyStorage }: P11Crypto): Promise<readonly P11Key[]> {
  const keys: P11Key[] = []
  for (const id of await keyStorage.keys()) {
    try {
      keys.push(await keyStorage.getItem(id))
    } catch (error) {
      // A kind of key that the package does not know is none of ours; a lost session is another matter.
      if (error instanceof Error && error.message.startsWith('CKR_')) throw error
    }
  }
  return keys
}

export const factsOf = (key: P11Key): TokenKeyFacts => ({
  label: key.algorithm.label,
  id: idOf(key),
  kind: kindOf(key),
  extractable: !isFalse(key, EXTRACTABLE),
  bornInside: wasBornInside(key),
})

/** The private and secret keys of the token, in its order. */
export const listTokenKeys = async (crypto: P11Crypto): Promise<readonly TokenKeyFacts[]> =>
  (await allKeys(crypto)).filter(({ type }) => type !== 'public').map(factsOf)

/**
 * Finds the one private or secret key of a kind.
 *
 * @throws `HSM_KEY_ABSENT` if there is none or more than one, `HSM_KEY_UNSAFE` if the token would give it out.
 */
export async function findTokenKey(crypto: P11Crypto, kind: TokenKeyKind, choice: TokenKeyChoice): Promise<P11Key> {
  const found = (await allKeys(crypto)).filter((key) => {
    const { label = key.algorithm.label, id = idOf(key) } = choice
    return key.type !== 'public' && kindOf(key) === kind && key.algorithm.label === label && idOf(key) === id
  })
  const [only, ...more] = found
  if (only === undefined) throw hsmError('HSM_KEY_ABSENT', `token has no such ${kind} key; look at its list of keys`)
  if (more.length > 0)
    throw hsmError('HSM_KEY_ABSENT', `token has ${found.length} such ${kind} keys; give the id of one`)
  if (!staysInside(only)) {
    throw hsmError(
      'HSM_KEY_UNSAFE',
      'token would give this key out, so that copies of it may exist; make one with this package and change over to it',
    )
  }
  return only
}

/**
 * The public half of a key pair on the token.
 *
 * @throws `HSM_KEY_ABSENT` if it is not there.
 */
export async function publicHalfOf(crypto: P11Crypto, privateKey: P11Key): Promise<Uint8Array<ArrayBuffer>> {
  const id = idOf(privateKey)
  const half = (await allKeys(crypto)).find((key) => key.type === 'public' && idOf(key) === id)
  if (half === undefined || id === '')
    throw hsmError(
      'HSM_KEY_ABSENT',
      'token has the private key without its public half; put it beside it with the same id',
    )
  return new Uint8Array(await crypto.subtle.exportKey('spki', half))
}

/** Refuses a second key of one label: later, nobody could tell which is meant. */
export async function checkLabelFree(crypto: P11Crypto, label: string): Promise<void> {
  if ((await allKeys(crypto)).some(({ algorithm }) => algorithm.label === label))
    throw hsmError('HSM_KEY_EXISTS', 'token has a key of this label; open it, or choose another label')
}

/** Removes what was made if the token did not make it as it was told to: some take a wish for CKA_EXTRACTABLE as a mere hint. */
export async function keepIfSafe(crypto: P11Crypto, key: P11Key): Promise<void> {
  if (wasBornInside(key)) return
  await removeTokenKey(crypto, idOf(key))
  throw hsmError(
    'HSM_KEY_UNSAFE',
    'token made a key that it would give out, which was removed again; set the token up to make keys that stay inside',
  )
}

/** Removes every object with this id, both halves of a pair; gives how many there were. */
export async function removeTokenKey(crypto: P11Crypto, id: string): Promise<number> {
  const objects = (await allKeys(crypto)).filter((key) => id !== '' && idOf(key) === id)
  for (const object of objects) await crypto.keyStorage.removeItem(object.id)
  return objects.length
}
