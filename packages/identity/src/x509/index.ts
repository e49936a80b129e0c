export { defaultCrypto } from './provider.ts'
export type { Root, RootOptions } from './root.ts'
export { createRoot, DEFAULT_ROOT_LIFETIME_MS } from './root.ts'
export { toPkcs10, toX509Certificate } from './views.ts'
