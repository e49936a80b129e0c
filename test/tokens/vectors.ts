import { readFileSync } from 'node:fs'

export interface EngineVector {
  readonly clusterId: string
  readonly nodeId?: string
  readonly rootPem: string
  readonly rootSha256: string
  readonly tokens: readonly { readonly text: string; readonly secretHex: string }[]
  readonly unlockKey?: { readonly text: string; readonly hex: string }
}

export interface JoinTokenVector {
  readonly version: 1 | 2
  readonly fips: boolean
  readonly digestHex: string
  readonly secretHex: string
  readonly text: string
}

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../vectors/tokens/${name}.json`, import.meta.url), 'utf8'))

export const engineVectors = read('docker-engine') as readonly EngineVector[]
export const joinTokenVectors = read('join-tokens') as readonly JoinTokenVector[]
export const unlockKeyVectors = read('unlock-keys') as readonly { readonly hex: string; readonly text: string }[]
export const idVectors = read('ids') as readonly { readonly randomHex: string; readonly id: string }[]
export const tokenHashVectors = read('token-hashes') as readonly { readonly secretHex: string; readonly hash: string }[]

export const fromHex = (hex: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(hex, 'hex'))
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
