import type { SecretReader } from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'

/** What a reader is tried with: it holds exactly one granted value. */
export interface ReaderUnderTest {
  readonly reader: SecretReader
  readonly id: string
  readonly value: Uint8Array
}

/** Every {@link SecretReader} keeps this. */
export function secretReaderContract(name: string, create: () => ReaderUnderTest): void {
  const signal = new AbortController().signal

  describe(`${name} keeps the contract of a secret reader`, () => {
    it('reads what is granted', async () => {
      const { reader, id, value } = create()
      using secret = await reader.read(id, { signal })
      expect(secret.expose((bytes) => new Uint8Array(bytes))).toEqual(value)
    })

    it('gives each caller a copy of its own', async () => {
      const { reader, id, value } = create()
      const first = await reader.read(id, { signal })
      using second = await reader.read(id, { signal })
      first[Symbol.dispose]()
      expect(second.expose((bytes) => new Uint8Array(bytes))).toEqual(value)
      using third = await reader.read(id, { signal })
      expect(third.expose((bytes) => new Uint8Array(bytes))).toEqual(value)
    })

    it('refuses what is not granted', async () => {
      const { reader } = create()
      await expect(reader.read('another', { signal })).rejects.toThrowCode('SECRET_NOT_GRANTED')
    })

    it('rejects with the reason of an aborted signal', async () => {
      const { reader, id } = create()
      const reason = new Error('enough')
      await expect(reader.read(id, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    })
  })
}
