import { webcrypto } from 'node:crypto'
import type {
  P11Crypto,
  P11Key,
  P11Library,
  P11Package,
  P11Session,
  P11Slot,
} from '../../packages/identity/src/node/pkcs11/p11-shape.ts'

/** What a token holds and how it behaves; a test changes it as it likes. */
export interface FakeToken {
  readonly label: string
  readonly serialNumber: string
  readonly pin: string
  flags: number
  /** Added to what the token says of the keys it makes. */
  attributes: Readonly<Record<string, boolean>>
  readonly keys: FakeKey[]
  loggedIn: boolean
  present: boolean
}

interface FakeKey {
  readonly type: 'public' | 'private' | 'secret'
  readonly label: string
  readonly id: string
  readonly name: string
  readonly native: webcrypto.CryptoKey
  readonly attributes: Readonly<Record<string, boolean>>
}

/** A return value of PKCS #11, as the addon throws it. */
export const returned = (name: string, code: number): Error => Object.assign(new Error(`CKR_${name}`), { code })

export const fakeToken = (label: string, changes: Partial<FakeToken> = {}): FakeToken => ({
  ...{ label, serialNumber: `serial of ${label}`, pin: '1234', flags: 0, attributes: {} },
  ...{ keys: [], loggedIn: false, present: true },
  ...changes,
})

/** An HSM in memory whose faults a test chooses. Sessions and logins behave as in the standard: the login is the process's. */
export interface FakeHsm {
  readonly p11: P11Package
  /** What was called, in order, without arguments. */
  readonly calls: string[]
  /** Ends every session, and with them the login. */
  readonly closeAll: () => void
  /** The next calls of this name fail with these errors, one each. */
  readonly fail: (call: string, ...errors: readonly Error[]) => void
  /** How many operations ran at the same time at most. */
  readonly mostAtOnce: () => number
}

export function fakeHsm(...tokens: readonly FakeToken[]): FakeHsm {
  const calls: string[] = []
  const faults = new Map<string, Error[]>()
  let live = new Set<object>()
  let [running, most, nextId] = [0, 0, 0x10]
  const call = (name: string): void => {
    calls.push(name)
    const fault = faults.get(name)?.shift()
    if (fault !== undefined) throw fault
  }
  const guard = (session: object): void => {
    if (!live.has(session)) throw returned('SESSION_HANDLE_INVALID', 0xb3)
  }

  const library: P11Library = {
    initialize: () => {
      call('initialize')
    },
    getSlots: () => {
      call('getSlots')
      const present = tokens.filter((token) => token.present)
      return { length: present.length, items: (index) => slotOf(present[index]!) }
    },
  }
  const owners = new WeakMap<object, FakeToken>()
  const slotOf = (token: FakeToken): P11Slot => ({
    module: library,
    getToken: () => token,
    open: () => {
      call('open')
      if (!token.present) throw returned('TOKEN_NOT_PRESENT', 0xe0)
      const session: P11Session = {
        login: (pin) => {
          call('login')
          if (token.loggedIn) throw returned('USER_ALREADY_LOGGED_IN', 0x100)
          if (pin !== token.pin) throw returned('PIN_INCORRECT', 0xa0)
          token.loggedIn = true
        },
        logout: () => {
          call('logout')
          guard(session)
          token.loggedIn = false
        },
        close: () => {
          call('close')
          live.delete(session)
        },
      }
      live.add(session)
      owners.set(session, token)
      return session
    },
  })

  const wrapped = (key: FakeKey, index: number): P11Key => ({
    id: `${key.type}-${index}-${key.id}`,
    type: key.type,
    algorithm: { name: key.name, label: key.label },
    p11Object: {
      getAttribute: (name) => {
        if (!(name in key.attributes)) throw returned('ATTRIBUTE_TYPE_INVALID', 0x12)
        return key.attributes[name]
      },
    },
  })

  class Crypto implements P11Crypto {
    readonly slot: P11Slot
    readonly session: P11Session
    readonly subtle: P11Crypto['subtle']
    readonly keyStorage: P11Crypto['keyStorage']

    constructor(parameters: { readonly library: string; readonly slot: number } | { readonly session: P11Session }) {
      if ('library' in parameters) {
        call('load')
        const present = tokens.filter((candidate) => candidate.present)
        const token = present[parameters.slot]
        if (token === undefined) throw new Error(`Slot by index ${parameters.slot} is not found`)
        this.slot = slotOf(token)
        this.session = this.slot.open(0)
      } else {
        this.session = parameters.session
        this.slot = slotOf(owners.get(parameters.session)!)
      }
      const { session } = this
      const { keys } = owners.get(session)!
      const enter = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
        running += 1
        most = Math.max(most, running)
        try {
          await Promise.resolve()
          call(name)
          guard(session)
          return await work()
        } finally {
          running -= 1
        }
      }
      const nativeOf = (key: P11Key): webcrypto.CryptoKey =>
        keys.find((own) => own.id === key.id.split('-')[2] && own.type === key.type)!.native
      const token = owners.get(session)!
      this.subtle = {
        generateKey: async (algorithm, extractable, usages) =>
          await enter('generateKey', async () => {
            const made = (await webcrypto.subtle.generateKey(
              algorithm as webcrypto.EcKeyGenParams,
              extractable,
              usages as webcrypto.KeyUsage[],
            )) as webcrypto.CryptoKey | webcrypto.CryptoKeyPair
            const { label, name } = algorithm as { readonly label: string; readonly name: string }
            nextId += 1
            const safe = {
              sensitive: true,
              extractable: false,
              local: true,
              neverExtractable: true,
              alwaysSensitive: true,
            }
            const add = (type: FakeKey['type'], native: webcrypto.CryptoKey): P11Key => {
              const attributes = type === 'public' ? {} : { ...safe, ...token.attributes }
              const stored = type === 'secret' ? 'AES-CBC' : name
              return wrapped(
                keys[keys.push({ type, label, name: stored, id: nextId.toString(16), native, attributes }) - 1]!,
                keys.length,
              )
            }
            if (!('privateKey' in made)) return add('secret', made)
            return { publicKey: add('public', made.publicKey), privateKey: add('private', made.privateKey) }
          }),
        exportKey: async (format, key) =>
          await enter('exportKey', async () => await webcrypto.subtle.exportKey(format, nativeOf(key))),
        sign: async (algorithm, key, data) =>
          await enter(
            'sign',
            async () => await webcrypto.subtle.sign(algorithm as webcrypto.EcdsaParams, nativeOf(key), data),
          ),
        encrypt: async (algorithm, key, data) =>
          await enter(
            'encrypt',
            async () => await webcrypto.subtle.encrypt(algorithm as webcrypto.AesGcmParams, nativeOf(key), data),
          ),
        decrypt: async (algorithm, key, data) =>
          await enter(
            'decrypt',
            async () => await webcrypto.subtle.decrypt(algorithm as webcrypto.AesGcmParams, nativeOf(key), data),
          ),
      }
      this.keyStorage = {
        keys: async () => await enter('keys', async () => keys.map((key, index) => wrapped(key, index).id)),
        getItem: async (id) => {
          const index = keys.findIndex((key, at) => wrapped(key, at).id === id)
          return await Promise.resolve(wrapped(keys[index]!, index))
        },
        removeItem: async (id) => {
          call('removeItem')
          const [type, , name] = id.split('-')
          keys.splice(
            keys.findIndex((key) => key.type === type && key.id === name),
            1,
          )
          await Promise.resolve()
        },
      }
    }
  }

  return {
    p11: { Crypto },
    calls,
    closeAll: () => {
      live = new Set()
      for (const token of tokens) token.loggedIn = false
    },
    fail: (name, ...errors) => {
      faults.set(name, [...errors])
    },
    mostAtOnce: () => most,
  }
}
