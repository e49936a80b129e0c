import { type SubtleSigning, webCryptoSigner } from '../../issuing/web-crypto-signer.ts'
import type { Signer } from '../../ports.ts'
import { hsmError } from './p11-failure.ts'
import { type LoadP11, loadP11 } from './p11-library.ts'
import type { P11Crypto, P11Key } from './p11-shape.ts'
import {
  checkLabelFree,
  factsOf,
  findTokenKey,
  keepIfSafe,
  listTokenKeys,
  publicHalfOf,
  removeTokenKey,
  type TokenKeyChoice,
  type TokenKeyFacts,
  type TokenKeyKind,
} from './token-keys.ts'
import type { TokenChoice } from './token-session.ts'
import { openTurns, type PinSource, type TokenParts, type TokenTurns } from './token-turns.ts'

/** Which token, in which library, and how to log in to it. */
export interface Pkcs11Options {
  /** Path of the PKCS #11 library that came with the HSM, such as `/usr/lib/softhsm/libsofthsm2.so`. It is code: it runs in this process. */
  readonly library: string
  /** At least one of its members; all that are given must match, and exactly one token must. */
  readonly token: TokenChoice
  /**
   * The user PIN, or a function that asks for it. A function is asked again when a lost session is opened anew, so that the PIN need not
   * stay in memory; it must not wait for the token itself.
   */
  readonly pin: PinSource
}

/** A key that signs inside a token. */
export interface TokenSigner extends Signer {
  readonly facts: TokenKeyFacts
}

/** Stands for a key on a token; it says nothing and is worth nothing elsewhere. */
export interface TokenKeyHandle {
  readonly id: string
}

/** AES-GCM parameters as Web Crypto takes them. */
export interface TokenAesParameters {
  readonly name: 'AES-GCM'
  readonly iv: Uint8Array
  readonly additionalData: Uint8Array
  readonly tagLength: 128
}

/** A key that encrypts inside a token, as Web Crypto has it: what a wrapper of other keys takes. */
export interface TokenWrappingKey {
  readonly facts: TokenKeyFacts
  readonly key: TokenKeyHandle
  readonly subtle: {
    readonly encrypt: (
      algorithm: TokenAesParameters,
      key: TokenKeyHandle,
      data: Uint8Array<ArrayBuffer>,
    ) => Promise<ArrayBuffer>
    readonly decrypt: (
      algorithm: TokenAesParameters,
      key: TokenKeyHandle,
      data: Uint8Array<ArrayBuffer>,
    ) => Promise<ArrayBuffer>
  }
}

/** An open token. Whatever it is asked waits its turn; a session that is lost is opened anew once for each request. */
export interface Pkcs11Token extends AsyncDisposable {
  readonly label: string
  readonly serialNumber: string
  /** The private and secret keys on the token. */
  readonly listKeys: () => Promise<readonly TokenKeyFacts[]>
  /**
   * Makes a signing key that cannot leave the token, P-256 unless told otherwise. After an error look at the list of keys before trying again:
   * when the answer is lost, the key may be there.
   */
  readonly createSigner: (options: {
    readonly label: string
    readonly keyType?: 'p256' | 'p384'
  }) => Promise<TokenSigner>
  /** Finds a signing key again: P-256, P-384, P-521, or RSA of 2048 bits and more. */
  readonly openSigner: (choice: TokenKeyChoice) => Promise<TokenSigner>
  /** Makes an AES key of 256 bits that cannot leave the token. */
  readonly createWrappingKey: (options: { readonly label: string }) => Promise<TokenWrappingKey>
  /** Finds a wrapping key again. */
  readonly openWrappingKey: (choice: TokenKeyChoice) => Promise<TokenWrappingKey>
  /** Removes a key, both halves of a pair. It is gone for good, and so is all that hangs on it. */
  readonly removeKey: (id: string) => Promise<void>
  /** Logs out and closes, after what is under way. What comes later meets `HSM_CLOSED`. */
  readonly close: () => Promise<void>
}

const CURVES = { p256: 'P-256', p384: 'P-384' } as const
const MAX_LABEL_LENGTH = 64

function checkLabel(label: string): void {
  if (label.length === 0 || label.length > MAX_LABEL_LENGTH)
    throw new TypeError(`label must have 1 to ${MAX_LABEL_LENGTH} letters`)
}

function checkChoice({ label, id }: TokenKeyChoice): void {
  if (label === undefined && id === undefined) throw new TypeError('give the label or the id of the key')
}

/** The key of a handle in the session that is open now: its own handle there is another one after each opening. */
async function resolve(crypto: P11Crypto, kind: TokenKeyKind, id: string, known: KnownKey): Promise<P11Key> {
  if (known.in === crypto && known.key !== null) return known.key
  known.key = await findTokenKey(crypto, kind, { id })
  if (kind === 'wrapping')
    known.key = await crypto.keyStorage.getItem(known.key.id, { name: 'AES-GCM' }, ['encrypt', 'decrypt'])
  known.in = crypto
  return known.key
}

interface KnownKey {
  in: P11Crypto | null
  key: P11Key | null
}

function signerOf(turns: TokenTurns, facts: TokenKeyFacts, publicKey: Uint8Array): TokenSigner {
  const known: KnownKey = { in: null, key: null }
  const subtle: SubtleSigning<TokenKeyHandle> = {
    sign: async (algorithm, { id }, data) =>
      await turns.use(
        'repeatable',
        async (crypto) => await crypto.subtle.sign(algorithm, await resolve(crypto, 'signing', id, known), data),
      ),
  }
  return { ...webCryptoSigner({ subtle, privateKey: { id: facts.id }, publicKey }), facts }
}

function wrappingKeyOf(turns: TokenTurns, facts: TokenKeyFacts): TokenWrappingKey {
  const known: KnownKey = { in: null, key: null }
  const call =
    (operation: 'encrypt' | 'decrypt'): TokenWrappingKey['subtle']['encrypt'] =>
    async (algorithm, { id }, data) =>
      await turns.use(
        'repeatable',
        async (crypto) => await crypto.subtle[operation](algorithm, await resolve(crypto, 'wrapping', id, known), data),
      )
  return { facts, key: { id: facts.id }, subtle: { encrypt: call('encrypt'), decrypt: call('decrypt') } }
}

/** Keys without an id cannot be found again by it. */
function checkId(facts: TokenKeyFacts): void {
  if (facts.id === '')
    throw hsmError('HSM_KEY_ABSENT', 'key has no id on the token; give it one with the tools of the hsm')
}

/** {@link openPkcs11} with the package that is given. */
export async function openPkcs11With(options: Pkcs11Options, load: LoadP11): Promise<Pkcs11Token> {
  const { label, serialNumber, slot } = options.token
  if (label === undefined && serialNumber === undefined && slot === undefined)
    throw new TypeError('give the label, the serial number or the slot of the token')
  const parts: TokenParts = { library: options.library, token: { ...options.token }, pin: options.pin }
  const turns = await openTurns(parts, load)

  const open = async (kind: TokenKeyKind, choice: TokenKeyChoice): Promise<TokenKeyFacts> => {
    checkChoice(choice)
    const facts = await turns.use('repeatable', async (crypto) => factsOf(await findTokenKey(crypto, kind, choice)))
    checkId(facts)
    return facts
  }
  const openSigner = async (choice: TokenKeyChoice): Promise<TokenSigner> => {
    const facts = await open('signing', choice)
    const publicKey = await turns.use(
      'repeatable',
      async (crypto) => await publicHalfOf(crypto, await findTokenKey(crypto, 'signing', { id: facts.id })),
    )
    return signerOf(turns, facts, publicKey)
  }
  const openWrappingKey = async (choice: TokenKeyChoice): Promise<TokenWrappingKey> =>
    wrappingKeyOf(turns, await open('wrapping', choice))

  /** Makes a key in one turn, so that nobody takes the label in between; gives its id. */
  const create = async (
    algorithm: { readonly name: string; readonly label: string; readonly [parameter: string]: string | number },
    usages: readonly string[],
  ): Promise<string> => {
    checkLabel(algorithm.label)
    return await turns.use('once', async (crypto) => {
      await checkLabelFree(crypto, algorithm.label)
      const made = await crypto.subtle.generateKey({ ...algorithm, token: true, sensitive: true }, false, usages)
      const key = 'privateKey' in made ? made.privateKey : made
      await keepIfSafe(crypto, key)
      return factsOf(key).id
    })
  }

  return {
    label: turns.label,
    serialNumber: turns.serialNumber,
    listKeys: async () => await turns.use('repeatable', listTokenKeys),
    createSigner: async (wanted) => {
      const namedCurve = CURVES[wanted.keyType ?? 'p256']
      const id = await create({ name: 'ECDSA', namedCurve, label: wanted.label }, ['sign', 'verify'])
      return await openSigner({ id })
    },
    openSigner,
    createWrappingKey: async (wanted) => {
      const algorithm = { name: 'AES-GCM', length: 256, label: wanted.label }
      return await openWrappingKey({ id: await create(algorithm, ['encrypt', 'decrypt']) })
    },
    openWrappingKey,
    removeKey: async (id) => {
      const removed = await turns.use('once', async (crypto) => await removeTokenKey(crypto, id))
      if (removed === 0) throw hsmError('HSM_KEY_ABSENT', 'token has no such key; look at its list of keys')
    },
    close: turns.close,
    [Symbol.asyncDispose]: turns.close,
  }
}

/**
 * Opens a token of an HSM over PKCS #11, for keys that never leave it. It needs `node-webcrypto-p11`, an optional peer dependency, with its addon built.
 *
 * A key that is made here is sensitive, never extractable, and removed again at once if the token made it otherwise; an existing key that the token
 * would give out is refused. One process opens a token once and shares it: the login of PKCS #11 belongs to the process. A PIN that was refused is
 * not tried a second time, and the last try is left to an operator. The library is loaded once and never finalized.
 *
 * All rejections are {@link IdentityError}s: `HSM_NOT_INSTALLED`, `HSM_LIBRARY_INVALID`, `HSM_TOKEN_ABSENT`, `HSM_PIN_REFUSED` and `HSM_BUSY` when
 * opening; later `HSM_KEY_ABSENT` (none, or several), `HSM_KEY_EXISTS`, `HSM_KEY_UNSAFE`, `HSM_FAILED` for a fault of the token, `HSM_CLOSED`, and when
 * a lost session cannot be opened again, those of opening. `retryable` says whether the same may succeed later.
 *
 * @throws TypeError if no token is chosen, or PIN or label are out of their bounds.
 * @see PKCS #11 Cryptographic Token Interface, version 2.40
 */
export async function openPkcs11(options: Pkcs11Options): Promise<Pkcs11Token> {
  return await openPkcs11With(options, loadP11)
}
