import { dirname } from 'node:path'
import { equalBytes } from '../bytes.ts'
import { IdentityError } from '../errors.ts'
import type { KeyWrapper, RandomSource } from '../ports.ts'
import { parseCertificateChain } from '../verifying/chain.ts'
import { type FileFacts, type Files, isSystemError, systemFiles } from './files.ts'
import { decodeKeyFile, FILE_KEY_BYTES, openSealedKeyFile, type SealedKeyFile, sealKeyFile } from './key-file-codec.ts'
import { CLEAR_WRAPPER_ID, type KeyFileContent, type KeyFileFacts, MAX_KEY_FILE_BYTES } from './key-file-content.ts'
import { readFailed, writeFailed } from './key-file-failure.ts'
import { removeLeftovers, replaceFile } from './replace-file.ts'
import { openSigner } from './signer.ts'
import { systemRandom } from './system.ts'

/** For a node whose disk is its only protection: gives the key back as it is. */
export const clearWrapper: KeyWrapper = {
  id: CLEAR_WRAPPER_ID,
  wrap: (key) => Uint8Array.from(key),
  unwrap: (wrapped) => Uint8Array.from(wrapped),
}

/**
 * One node's key file. Its operations run one after the other, in the order in which they were called; one process at a time may
 * have the file open.
 */
export interface KeyFile {
  /** What the file says without being opened; `null` when there is none. */
  readonly inspect: () => Promise<KeyFileFacts | null>
  /**
   * The content; `null` when there is no file. Rejects with `KEY_FILE_LOCKED` when it needs a key and `wrapper` is the clear one, and with
   * `KEY_FILE_WRONG_KEY` when it was not saved under this key, whether that is the wrong key or a file that was put in its place.
   */
  readonly load: (wrapper: KeyWrapper) => Promise<KeyFileContent | null>
  /**
   * Replaces all of the content, durable before the promise resolves. Rejects with `KEY_FILE_WRITE_FAILED`, and then the
   * file holds the old content or the new, or with `KEY_FILE_KEY_MISMATCH` when the chain is for another key.
   */
  readonly save: (content: KeyFileContent, wrapper: KeyWrapper) => Promise<void>
  /**
   * Loads, changes and saves, with no other operation in between; `next` re-wraps the file under another key. Rejects as the two do, and
   * with `KEY_FILE_MISSING` when there is no file.
   */
  readonly update: (
    change: (content: KeyFileContent) => KeyFileContent | Promise<KeyFileContent>,
    wrapper: KeyWrapper,
    next?: KeyWrapper,
  ) => Promise<void>
}

/** Where a key file lives; both default to the system's. */
export interface KeyFileOptions {
  readonly files?: Files
  readonly random?: RandomSource
}

const GROUP_AND_OTHERS = 0o077
const WRITABLE_BY_OTHERS = 0o022
const STICKY = 0o1000
const ROOT = 0

const unsafe = (problem: string): IdentityError =>
  new IdentityError('KEY_FILE_UNSAFE', `the key file is not safe to use: ${problem}`)

function checkDirectory(facts: FileFacts, user: number | null): void {
  if (user === null) return
  if (facts.owner !== user && facts.owner !== ROOT)
    throw unsafe('its directory belongs to another user; use a directory of your own')
  if ((facts.mode & WRITABLE_BY_OTHERS) !== 0 && (facts.mode & STICKY) === 0) {
    throw unsafe('others may write in its directory; take that right away (chmod go-w)')
  }
}

function checkFile(facts: FileFacts, user: number | null): void {
  if (facts.kind !== 'file') throw unsafe('it is no ordinary file; move it away')
  if (user === null) return
  if (facts.owner !== user) throw unsafe('it belongs to another user; do not trust it, let the node join again')
  if ((facts.mode & GROUP_AND_OTHERS) !== 0)
    throw unsafe('others may read it; take that right away (chmod 600) and let the node renew its key')
}

async function readSealed(files: Files, path: string): Promise<SealedKeyFile | null> {
  const found = await files.read(path, MAX_KEY_FILE_BYTES).catch((error: unknown) => {
    throw isSystemError(error, 'ELOOP') ? unsafe('it is a symbolic link; put the file itself there') : readFailed(error)
  })
  if (found === null) return null
  checkFile(found, files.user())
  if (found.bytes === null) {
    throw new IdentityError(
      'KEY_FILE_MALFORMED',
      `the key file has more than ${MAX_KEY_FILE_BYTES} bytes, so it is none; restore it from a backup`,
    )
  }
  return decodeKeyFile(found.bytes)
}

async function open(file: SealedKeyFile, wrapper: KeyWrapper): Promise<KeyFileContent> {
  const clear = wrapper.id === CLEAR_WRAPPER_ID
  if (clear && file.wrapperId !== CLEAR_WRAPPER_ID) {
    throw new IdentityError(
      'KEY_FILE_LOCKED',
      'the key file is locked; unlock it with the key under which it was saved',
    )
  }
  // Whoever brings a key expects a file that this key protects: a clear one in its place is not taken.
  const wrapped = clear === (file.wrapperId === CLEAR_WRAPPER_ID)
  const key = wrapped ? await wrapper.unwrap(file.wrappedFileKey) : null
  const content = key?.length === FILE_KEY_BYTES ? openSealedKeyFile(file, key) : null
  key?.fill(0)
  if (content !== null) return content
  if (clear)
    throw new IdentityError(
      'KEY_FILE_MALFORMED',
      'the key file was changed after it was saved; restore it from a backup or let the node join again',
    )
  throw new IdentityError(
    'KEY_FILE_WRONG_KEY',
    'the key file does not open with this key; use the key under which it was saved last',
  )
}

function checkKeyPair({ privateKey, certificateChain }: KeyFileContent): void {
  const { publicKey } = openSigner(privateKey)
  if (certificateChain === null) return
  const [leaf] = parseCertificateChain(certificateChain)
  if (leaf === undefined || !equalBytes(leaf.publicKey, publicKey)) {
    throw new IdentityError(
      'KEY_FILE_KEY_MISMATCH',
      'the certificate is for another key; save the key and the chain of one renewal together',
    )
  }
}

async function sealed(content: KeyFileContent, wrapper: KeyWrapper, random: RandomSource): Promise<Uint8Array> {
  const clear = random.bytes(FILE_KEY_BYTES)
  try {
    const wrapped = await wrapper.wrap(clear)
    return sealKeyFile(content, { wrapperId: wrapper.id, wrapped, clear }, random)
  } finally {
    clear.fill(0)
  }
}

function inTurns(): <Value>(work: () => Promise<Value>) => Promise<Value> {
  let last: Promise<unknown> = Promise.resolve()
  return async (work) => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return await mine
  }
}

/**
 * Opens the place of a node's key file, there or not, and clears away what an interrupted write left beside it.
 *
 * @throws {@link IdentityError} `KEY_FILE_UNSAFE` if others could replace the file, `KEY_FILE_READ_FAILED` if its directory cannot be looked at.
 */
export async function openKeyFile(path: string, options: KeyFileOptions = {}): Promise<KeyFile> {
  const { files = systemFiles, random = systemRandom } = options
  const directory = await files.facts(dirname(path)).catch((error: unknown) => {
    throw readFailed(error)
  })
  if (directory !== null) {
    checkDirectory(directory, files.user())
    await removeLeftovers(files, path).catch((error: unknown) => {
      throw readFailed(error)
    })
  }

  const load = async (wrapper: KeyWrapper): Promise<KeyFileContent | null> => {
    const file = await readSealed(files, path)
    return file === null ? null : await open(file, wrapper)
  }
  const save = async (content: KeyFileContent, wrapper: KeyWrapper): Promise<void> => {
    checkKeyPair(content)
    const bytes = await sealed(content, wrapper, random)
    await replaceFile(files, path, bytes, random).catch((error: unknown) => {
      throw writeFailed(error)
    })
  }
  const inTurn = inTurns()
  return {
    inspect: async () =>
      await inTurn(async () => {
        const file = await readSealed(files, path)
        return file === null ? null : { locked: file.wrapperId !== CLEAR_WRAPPER_ID, wrapperId: file.wrapperId }
      }),
    load: async (wrapper) => await inTurn(async () => await load(wrapper)),
    save: async (content, wrapper) => {
      await inTurn(async () => {
        await save(content, wrapper)
      })
    },
    update: async (change, wrapper, next = wrapper) => {
      await inTurn(async () => {
        const content = await load(wrapper)
        if (content === null) throw new IdentityError('KEY_FILE_MISSING', 'there is no key file yet; save one first')
        await save(await change(content), next)
      })
    },
  }
}
