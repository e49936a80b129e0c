import { RaftLogError } from '../../errors.ts'
import type { KeyWrapper } from '../../ports.ts'

/** What is used of the library `age-encryption`. */
export interface AgeLibrary {
  readonly Encrypter: new () => {
    readonly setPassphrase: (passphrase: string) => void
    readonly addRecipient: (recipient: string) => void
    readonly encrypt: (file: Uint8Array) => Promise<Uint8Array>
  }
  readonly Decrypter: new () => {
    readonly addPassphrase: (passphrase: string) => void
    readonly addIdentity: (identity: string) => void
    readonly decrypt: (file: Uint8Array) => Promise<Uint8Array>
  }
}

/** Who may open what is wrapped. Recipients or a passphrase wrap, identities or the passphrase unwrap. */
export interface AgeWrapperOptions {
  /** Recipients, each `age1…`; any of them can open it. */
  readonly recipients?: readonly string[]
  /** Identities, each `AGE-SECRET-KEY-…`. */
  readonly identities?: readonly string[]
  /** In place of recipients. It needs the strength of an unlock key: scrypt at age's own cost is all that guards it. */
  readonly passphrase?: string
  /** Brings the library; imports `age-encryption` unless given. */
  readonly load?: () => Promise<AgeLibrary>
}

// Not known when this is compiled: whoever does without the library does without its types as well.
const LIBRARY = ['age', 'encryption'].join('-')

const isLibrary = (loaded: unknown): loaded is AgeLibrary =>
  typeof loaded === 'object' &&
  loaded !== null &&
  ['Encrypter', 'Decrypter'].every((name) => typeof Reflect.get(loaded, name) === 'function')

async function load(): Promise<AgeLibrary> {
  const loaded: unknown = await import(LIBRARY)
  if (!isLibrary(loaded)) throw new TypeError('age-encryption is of another version')
  return loaded
}

/**
 * Wraps the key of a backup for age recipients, so that a machine can make backups which it cannot open itself. It needs the
 * optional peer dependency `age-encryption`, which is loaded when it is first used.
 *
 * What is wrapped is an age file of its own (age-encryption.org/v1) that holds nothing but the key.
 *
 * @returns The wrapper. `unwrap` gives null for what none of the identities opens; `wrap` and `unwrap` refuse with
 * `KEEPER_UNREACHABLE` if the library is not installed, `wrap` with `KEEPER_REFUSED` if a recipient is not one.
 * @throws RangeError if there is neither a recipient, an identity nor a passphrase, or a passphrase beside recipients.
 */
export function ageWrapper(options: AgeWrapperOptions): KeyWrapper {
  const { recipients = [], identities = [], passphrase } = options
  if (recipients.length + identities.length === 0 && passphrase === undefined) {
    throw new RangeError('age needs a recipient, an identity or a passphrase')
  }
  if (recipients.length > 0 && passphrase !== undefined) throw new RangeError('age takes recipients or a passphrase')
  const age = async (): Promise<AgeLibrary> => {
    try {
      return await (options.load ?? load)()
    } catch (error) {
      const message = 'age-encryption cannot be loaded; install version 0.3 beside this package'
      throw new RaftLogError('KEEPER_UNREACHABLE', message, { cause: error })
    }
  }
  return {
    id: 'age',
    wrap: async (key) => {
      if (recipients.length === 0 && passphrase === undefined) {
        throw new RaftLogError('KEEPER_REFUSED', 'no recipient was given to wrap for; give one')
      }
      const encrypter = new (await age()).Encrypter()
      if (passphrase !== undefined) encrypter.setPassphrase(passphrase)
      try {
        for (const recipient of recipients) encrypter.addRecipient(recipient)
      } catch {
        // What the library says may repeat what it was given.
        throw new RaftLogError('KEEPER_REFUSED', 'a recipient is not one that age knows; give it as it was printed')
      }
      return new Uint8Array(await encrypter.encrypt(key))
    },
    unwrap: async (wrapped) => {
      const decrypter = new (await age()).Decrypter()
      if (passphrase !== undefined) decrypter.addPassphrase(passphrase)
      try {
        for (const identity of identities) decrypter.addIdentity(identity)
      } catch {
        throw new RaftLogError('KEEPER_REFUSED', 'an identity is not one that age knows; give it as it was printed')
      }
      try {
        return new Uint8Array(await decrypter.decrypt(wrapped))
      } catch {
        // The library has one kind of error for what is not its own and for what is damaged.
        return null
      }
    },
  }
}
