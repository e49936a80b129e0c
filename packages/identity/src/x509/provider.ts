import { Crypto } from '@peculiar/webcrypto'

/** The default Web Crypto provider. */
export const defaultCrypto: globalThis.Crypto = new Crypto()
