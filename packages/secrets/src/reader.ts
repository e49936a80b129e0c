import { SecretsError } from './errors.ts'
import type { SecretReader } from './ports.ts'

/**
 * A reader that can only ever see `granted`: least privilege as a value to hand over, not a check to remember.
 *
 * @param granted - Ids, copied.
 * @returns A reader whose `read` rejects with `SECRET_NOT_GRANTED` for every other id, without asking the source.
 */
export function restrict(reader: SecretReader, granted: Iterable<string>): SecretReader {
  const allowed = new Set(granted)
  return {
    read: async (id, options) => {
      if (!allowed.has(id))
        throw new SecretsError('SECRET_NOT_GRANTED', 'the secret is not granted to this reader; add a reference to it')
      return await reader.read(id, options)
    },
  }
}
