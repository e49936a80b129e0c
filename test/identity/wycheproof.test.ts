import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { SignatureAlgorithm } from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'

type Test = readonly [id: number, result: 'valid' | 'invalid' | 'acceptable', message: string, signature: string]
interface File {
  readonly file: string
  readonly algorithm: SignatureAlgorithm
  readonly groups: readonly { readonly key: string; readonly tests: readonly Test[] }[]
}

const { files } = JSON.parse(
  gunzipSync(readFileSync(new URL('../vectors/wycheproof/signatures.json.gz', import.meta.url))).toString('utf8'),
) as { readonly files: readonly File[] }

const KEY_TYPES = { 'ecdsa-sha256': 'p256', 'ecdsa-sha384': 'p384', ed25519: 'ed25519' } as const
const COUNTS: Readonly<Record<string, number>> = { 'ecdsa-sha256': 484, 'ecdsa-sha384': 504, ed25519: 151 }
const bytes = (hex: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(hex, 'hex'))

describe('Wycheproof', () => {
  it.each(files)('gets exactly the expected verdicts: $file', ({ algorithm, groups }) => {
    const keyType = KEY_TYPES[algorithm as keyof typeof KEY_TYPES]
    const differences: string[] = []
    let count = 0
    for (const { key, tests } of groups) {
      const publicKey = bytes(key)
      for (const [id, expected, message, signature] of tests) {
        count += 1
        const verdict = systemVerifier.verify({ keyType, publicKey }, algorithm, bytes(message), bytes(signature))
        if (verdict !== (expected === 'valid')) differences.push(`${id}: ${expected}, verified ${String(verdict)}`)
      }
    }
    expect(differences).toEqual([])
    expect(count).toBe(COUNTS[algorithm])
  })
})
