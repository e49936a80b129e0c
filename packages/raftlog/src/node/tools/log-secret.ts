import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { RaftLogError } from '../../errors.ts'
import { combineShares } from '../../keepers/unlock-shares.ts'
import { clearWrapper, UNLOCK_KEY_BYTES, unlockKeyWrapper } from '../../keys/key-wrapper.ts'
import type { KeyWrapper } from '../../ports.ts'
import { passphraseWrapper } from '../keepers/passphrase.ts'
import { systemRandom } from '../system.ts'
import { guarded, isAbsent } from '../system-error.ts'

/** What unlocks, and where it is kept: a path, or `-` for what is piped in. Never the secret itself. */
export type SecretSource =
  | { readonly kind: 'none' }
  | { readonly kind: 'unlock-key' | 'passphrase'; readonly path: string }

const OTHERS = 0o077
// Ten shares or a passphrase are far shorter; what is longer is another file.
const MAX_SECRET_BYTES = 8192
const UNLOCK_KEY = /^SWMKEY-1-([A-Za-z0-9+/]{43})$/

async function readSecret(path: string, input: () => Promise<Uint8Array>): Promise<string> {
  if (path === '-') return decode(await input())
  return await guarded(async () => {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
      throw isAbsent(error) ? new RaftLogError('KEYS_WRONG', 'file of the secret is not there; give its path') : error
    })
    try {
      const found = await handle.stat()
      if (!found.isFile()) throw new RaftLogError('KEYS_WRONG', 'secret is not in a file; pipe it in with "-"')
      if ((found.mode & OTHERS) !== 0) {
        throw new RaftLogError('DIRECTORY_UNSAFE', 'secret is open to other users; set the mode of its file to 0600')
      }
      if (found.size > MAX_SECRET_BYTES) throw tooLong()
      return decode(new Uint8Array(await handle.readFile()))
    } finally {
      await handle.close()
    }
  })
}

const tooLong = (): RaftLogError =>
  new RaftLogError('KEYS_WRONG', `secret has more than ${MAX_SECRET_BYTES} bytes; give the right file`)

function decode(bytes: Uint8Array): string {
  if (bytes.length > MAX_SECRET_BYTES) throw tooLong()
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, '')
  } catch {
    throw new RaftLogError('KEYS_WRONG', 'secret is no text; give the right file')
  }
}

/** `SWMKEY-1-…`, or enough shares of it, one a line. */
function unlockKey(text: string): Uint8Array<ArrayBuffer> {
  const [, digits] = UNLOCK_KEY.exec(text) ?? []
  if (digits === undefined && text.startsWith('SWMKEY-'))
    throw new RaftLogError('KEYS_WRONG', 'unlock key is damaged or has lines after it; give a file that holds it alone')
  if (digits === undefined) return combineShares(text.split(/\r?\n/).filter((line) => line !== ''))
  const bytes = new Uint8Array(Buffer.from(digits, 'base64'))
  if (bytes.length !== UNLOCK_KEY_BYTES)
    throw new RaftLogError('KEYS_WRONG', 'unlock key is not one; give the right file')
  return bytes
}

/**
 * Makes what unlocks from a file.
 *
 * @throws {@link RaftLogError} `KEYS_WRONG` if the file holds no such secret, `DIRECTORY_UNSAFE` if other users can read
 * it, or a `SHARE` code.
 */
export async function openSecret(source: SecretSource, input: () => Promise<Uint8Array>): Promise<KeyWrapper> {
  if (source.kind === 'none') return clearWrapper
  const text = await readSecret(source.path, input)
  if (source.kind === 'passphrase') {
    if (text === '') throw new RaftLogError('KEYS_WRONG', 'passphrase is empty; give the right file')
    return passphraseWrapper(text)
  }
  const key = unlockKey(text)
  try {
    return unlockKeyWrapper(key, systemRandom)
  } finally {
    key.fill(0)
  }
}
