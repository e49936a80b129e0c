import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv } from 'node:crypto'
import { IdentityError } from '../errors.ts'
import type { RandomSource } from '../ports.ts'
import { type KeyFileContent, MAX_COMPANIONS, MAX_KEY_FILE_BYTES } from './key-file-content.ts'

// One line of JSON in exactly this order of names, no spaces, a final LF:
//   {"format","version","wrapper","fileKey","certificateChain","trustBundle","companion","nonce","sealedKey"}
// fileKey:   32 random bytes, fresh at each save, wrapped by the host's key (base64)
// sealedKey: AES-256-GCM(fileKey, nonce, privateKey), tag last (base64). The associated data is the same line
//            without its last two members, so nothing in the file can be changed or come from another save.

const FORMAT = 'leastwise-key-file'
const VERSION = 1
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Length of the key that seals one saved file. */
export const FILE_KEY_BYTES = 32

const COMPANION_NAME = /^[a-z][a-z0-9-]{0,63}$/u
const PRINTABLE = /^[\n\u0020-\u007e]*$/u
const WRAPPER_ID = /^[\u0021-\u007e]{1,128}$/u

/** A key file as it stands on disk: readable but for the private key. */
export interface SealedKeyFile {
  readonly wrapperId: string
  readonly wrappedFileKey: Uint8Array<ArrayBuffer>
  readonly certificateChain: string | null
  readonly trustBundle: string
  readonly companion: Readonly<Record<string, Uint8Array<ArrayBuffer>>>
  readonly nonce: Uint8Array<ArrayBuffer>
  readonly sealedKey: Uint8Array<ArrayBuffer>
}

type Header = Omit<SealedKeyFile, 'nonce' | 'sealedKey'>

const toBase64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')

const copied = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(bytes)

function headerOf(file: Header): Record<string, unknown> {
  const names = Object.keys(file.companion).sort()
  return {
    format: FORMAT,
    version: VERSION,
    wrapper: file.wrapperId,
    fileKey: toBase64(file.wrappedFileKey),
    certificateChain: file.certificateChain,
    trustBundle: file.trustBundle,
    companion: Object.fromEntries(names.map((name) => [name, toBase64(file.companion[name] ?? new Uint8Array())])),
  }
}

const associatedData = (file: Header): Buffer => Buffer.from(JSON.stringify(headerOf(file)), 'utf8')

/** The bytes of the file. */
export function encodeKeyFile(file: SealedKeyFile): Uint8Array<ArrayBuffer> {
  const members = { ...headerOf(file), nonce: toBase64(file.nonce), sealedKey: toBase64(file.sealedKey) }
  return copied(Buffer.from(`${JSON.stringify(members)}\n`, 'utf8'))
}

const malformed = (): IdentityError =>
  new IdentityError(
    'KEY_FILE_MALFORMED',
    'the key file is not in its format, or is damaged; restore it from a backup or let the node join again',
  )

function bytesOf(value: unknown): Uint8Array<ArrayBuffer> {
  if (typeof value !== 'string') throw malformed()
  return copied(Buffer.from(value, 'base64'))
}

function parsed(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the file.
    throw malformed()
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed()
  return value as Record<string, unknown>
}

function companionOf(value: unknown): Readonly<Record<string, Uint8Array<ArrayBuffer>>> {
  if (typeof value !== 'object' || value === null) throw malformed()
  const entries = Object.entries(value)
  if (entries.length > MAX_COMPANIONS || !entries.every(([name]) => COMPANION_NAME.test(name))) throw malformed()
  return Object.fromEntries(entries.map(([name, text]) => [name, bytesOf(text)]))
}

/**
 * Reads the bytes of a key file. Only the canonical form is taken: what is accepted encodes to the same bytes again.
 *
 * @throws {@link IdentityError} `KEY_FILE_MALFORMED` for anything else.
 */
export function decodeKeyFile(bytes: Uint8Array): SealedKeyFile {
  const members = parsed(Buffer.from(bytes).toString('utf8'))
  const { wrapper, certificateChain, trustBundle } = members as {
    wrapper?: unknown
    certificateChain?: unknown
    trustBundle?: unknown
  }
  if (typeof wrapper !== 'string' || !WRAPPER_ID.test(wrapper)) throw malformed()
  if (typeof trustBundle !== 'string' || !(certificateChain === null || typeof certificateChain === 'string'))
    throw malformed()
  const file: SealedKeyFile = {
    wrapperId: wrapper,
    wrappedFileKey: bytesOf(members['fileKey']),
    certificateChain,
    trustBundle,
    companion: companionOf(members['companion']),
    nonce: bytesOf(members['nonce']),
    sealedKey: bytesOf(members['sealedKey']),
  }
  const fits = file.nonce.length === NONCE_BYTES && file.sealedKey.length > TAG_BYTES && hasPlainText(file)
  // Format, version, order, spelling of base64, unknown members: all of it is one comparison.
  if (!fits || Buffer.compare(encodeKeyFile(file), bytes) !== 0) throw malformed()
  return file
}

const hasPlainText = ({
  certificateChain,
  trustBundle,
}: Pick<SealedKeyFile, 'certificateChain' | 'trustBundle'>): boolean =>
  PRINTABLE.test(trustBundle) && PRINTABLE.test(certificateChain ?? '')

function checkContent(content: KeyFileContent, wrapperId: string): void {
  const names = Object.keys(content.companion)
  if (names.length > MAX_COMPANIONS)
    throw new RangeError(`a key file has at most ${MAX_COMPANIONS} companions, got ${names.length}`)
  if (!names.every((name) => COMPANION_NAME.test(name)))
    throw new RangeError('a companion is named by 1 to 64 of a-z, 0-9 and -, a letter first')
  if (!hasPlainText(content)) throw new RangeError('chain and trust bundle of a key file are PEM text')
  if (!WRAPPER_ID.test(wrapperId)) throw new RangeError('a wrapper id has 1 to 128 printable characters without spaces')
  if (content.privateKey.length === 0) throw new RangeError('the private key is empty')
}

/** A wrapped file key and the clear one. */
export interface FileKey {
  readonly wrapperId: string
  readonly wrapped: Uint8Array<ArrayBuffer>
  readonly clear: Uint8Array
}

/**
 * Seals `content` under a file key.
 *
 * @throws RangeError if a companion's name, the number of companions, the whole size or a text is outside its bounds.
 */
export function sealKeyFile(content: KeyFileContent, key: FileKey, random: RandomSource): Uint8Array<ArrayBuffer> {
  checkContent(content, key.wrapperId)
  const { certificateChain, trustBundle } = content
  const companion = Object.fromEntries(Object.entries(content.companion).map(([name, bytes]) => [name, copied(bytes)]))
  const header: Header = {
    wrapperId: key.wrapperId,
    wrappedFileKey: key.wrapped,
    certificateChain,
    trustBundle,
    companion,
  }
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key.clear, nonce, { authTagLength: TAG_BYTES }).setAAD(associatedData(header))
  const sealedKey = copied(Buffer.concat([cipher.update(content.privateKey), cipher.final(), cipher.getAuthTag()]))
  const bytes = encodeKeyFile({ ...header, nonce, sealedKey })
  if (bytes.length > MAX_KEY_FILE_BYTES)
    throw new RangeError(`a key file has at most ${MAX_KEY_FILE_BYTES} bytes, this one would have ${bytes.length}`)
  return bytes
}

/** The content, or `null` when `clear` did not seal this file or the file was changed. */
export function openSealedKeyFile(file: SealedKeyFile, clear: Uint8Array): KeyFileContent | null {
  const { certificateChain, trustBundle, companion, sealedKey, nonce } = file
  const body = sealedKey.subarray(0, -TAG_BYTES)
  const decipher = createDecipheriv(CIPHER, clear, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(associatedData(file)).setAuthTag(sealedKey.subarray(-TAG_BYTES))
  try {
    const privateKey = copied(Buffer.concat([decipher.update(body), decipher.final()]))
    return { privateKey, certificateChain, trustBundle, companion }
  } catch {
    return null
  }
}
