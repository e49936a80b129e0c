// What is used of node-webcrypto-p11, which need not be installed: its own types ask for those of a browser.

export interface P11Object {
  readonly getAttribute: (name: string) => unknown
}

/** A key on a token. */
export interface P11Key {
  /** `private`, `public` or `secret`, a handle of this session, and CKA_ID in hexadecimal, joined by hyphens. */
  readonly id: string
  readonly type: 'public' | 'private' | 'secret'
  readonly algorithm: { readonly name: string; readonly label: string; readonly namedCurve?: string }
  readonly p11Object: P11Object
}

export interface P11KeyPair {
  readonly privateKey: P11Key
  readonly publicKey: P11Key
}

export interface P11Subtle {
  readonly generateKey: (
    algorithm: object,
    extractable: boolean,
    usages: readonly string[],
  ) => Promise<P11Key | P11KeyPair>
  readonly exportKey: (format: 'spki', key: P11Key) => Promise<ArrayBuffer>
  readonly sign: (algorithm: object, key: P11Key, data: Uint8Array) => Promise<ArrayBuffer>
  readonly encrypt: (algorithm: object, key: P11Key, data: Uint8Array) => Promise<ArrayBuffer>
  readonly decrypt: (algorithm: object, key: P11Key, data: Uint8Array) => Promise<ArrayBuffer>
}

export interface P11KeyStorage {
  readonly keys: () => Promise<readonly string[]>
  readonly getItem: (id: string, algorithm?: object, usages?: readonly string[]) => Promise<P11Key>
  readonly removeItem: (id: string) => Promise<void>
}

export interface P11Session {
  readonly login: (pin: string) => void
  readonly logout: () => void
  readonly close: () => void
}

export interface P11Token {
  readonly label: string
  readonly serialNumber: string
  readonly flags: number
}

export interface P11Slot {
  readonly open: (flags: number) => P11Session
  readonly getToken: () => P11Token
  readonly module: P11Library
}

/** A loaded PKCS #11 library. */
export interface P11Library {
  readonly initialize: () => void
  readonly getSlots: (withToken: true) => { readonly length: number; readonly items: (index: number) => P11Slot }
}

export interface P11Crypto {
  readonly slot: P11Slot
  readonly session: P11Session
  readonly subtle: P11Subtle
  readonly keyStorage: P11KeyStorage
}

/** The package itself. */
export interface P11Package {
  readonly Crypto: new (
    parameters: { readonly library: string; readonly slot: number } | { readonly session: P11Session },
  ) => P11Crypto
}
