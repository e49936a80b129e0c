import { SecretsError } from './errors.ts'
import { isPlainText, utf8Length } from './limits.ts'
import { parseSecretName, type SecretName } from './secret-name.ts'

/** Read by its owner and nobody else. */
export const DEFAULT_FILE_MODE = 0o400
/** Longest file name that Linux takes (`NAME_MAX`), in bytes. */
export const MAX_TARGET_BYTES = 255
/** All files of a task appear in one step; 256 of the largest still fit into 128 MiB of memory. */
export const MAX_REFERENCES = 256
/** Longest reference text in UTF-16 units: name and target at their longest, and room for the numbers. */
export const MAX_REFERENCE_LENGTH = 512
/** The highest id below the one that the kernel keeps for "no change" (2^32 - 1). */
export const MAX_OWNER_ID = 0xffff_fffe

/** How a task asks for a secret. */
export interface Reference {
  /** Name of the secret. */
  readonly source: SecretName
  /** Name of the file, one path component. */
  readonly target: string
  /** Owner of the file; `null` is the user that the task runs as. */
  readonly uid: number | null
  /** Group of the file; `null` is the group that the task runs as. */
  readonly gid: number | null
  /** Permission bits, 0 to 0o777. */
  readonly mode: number
}

const KEYS: Readonly<Record<string, keyof Reference>> = {
  source: 'source',
  src: 'source',
  target: 'target',
  uid: 'uid',
  gid: 'gid',
  mode: 'mode',
}
const NUMBER = /^(?:0|[1-9][0-9]{0,9})$/
const MODE = /^0?[0-7]{3}$/
// The separators of the text form, so that every target can be written down again.
const RESERVED = /[/,"]/

const refuse = (message: string): SecretsError => new SecretsError('REFERENCE_INVALID', message)

/**
 * Proves that a target is one file name of 1 to {@link MAX_TARGET_BYTES} bytes, without `/`, `,`, `"` and control characters.
 *
 * @throws {@link SecretsError} `REFERENCE_INVALID` otherwise.
 */
export function checkTarget(target: string): void {
  const sizeBytes = utf8Length(target)
  if (
    sizeBytes < 1 ||
    sizeBytes > MAX_TARGET_BYTES ||
    target === '.' ||
    target === '..' ||
    RESERVED.test(target) ||
    !isPlainText(target)
  ) {
    throw refuse(
      `the target is one file name of 1 to ${MAX_TARGET_BYTES} bytes without slash, comma, quote or control character; name a file, not a path`,
    )
  }
}

/**
 * Proves owner and mode of a file.
 *
 * @throws {@link SecretsError} `REFERENCE_INVALID` when an id or the mode is out of range.
 */
export function checkOwnership(file: {
  readonly uid: number | null
  readonly gid: number | null
  readonly mode: number
}): void {
  for (const id of [file.uid, file.gid]) {
    if (id !== null && !(Number.isInteger(id) && id >= 0 && id <= MAX_OWNER_ID)) {
      throw refuse(`uid and gid are whole numbers from 0 to ${MAX_OWNER_ID}; leave them out for the task's own`)
    }
  }
  if (!(Number.isInteger(file.mode) && file.mode >= 0 && file.mode <= 0o777)) {
    throw refuse('the mode has nine permission bits and no others; use 0400 to 0777')
  }
}

function parseOwner(text: string | undefined): number | null {
  if (text === undefined) return null
  const id = NUMBER.test(text) ? Number(text) : Number.NaN
  if (!(id <= MAX_OWNER_ID))
    throw refuse(`uid and gid are decimal numbers from 0 to ${MAX_OWNER_ID}; leave them out for the task's own`)
  return id
}

/**
 * Reads `source=NAME[,target=FILE][,uid=N][,gid=N][,mode=0400]`, keys in any order, each at most once, `src` for `source`.
 *
 * Docker's long syntax, with two defaults changed for least privilege: the file belongs to the task's own user, and
 * its mode is 0400. The target defaults to the name of the secret. {@link formatReference} writes the one canonical form.
 *
 * @throws {@link SecretsError} `REFERENCE_INVALID` when the text or one of its values breaks the grammar.
 * @throws {@link SecretsError} `SECRET_NAME_INVALID` when the source is no name of a secret.
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_REFERENCE_LENGTH)
    throw refuse(`a reference has at most ${MAX_REFERENCE_LENGTH} characters; shorten it`)
  const fields = new Map<keyof Reference, string>()
  for (const part of text.split(',')) {
    const cut = part.indexOf('=')
    const word = part.slice(0, Math.max(cut, 0))
    const key = Object.hasOwn(KEYS, word) ? KEYS[word] : undefined
    if (key === undefined)
      throw refuse('a reference has the keys source, target, uid, gid and mode, each as key=value; correct the key')
    if (fields.has(key)) throw refuse(`a reference names each key once and ${key} stands twice; remove one`)
    fields.set(key, part.slice(cut + 1))
  }
  const source = fields.get('source')
  if (source === undefined) throw refuse('a reference names its secret; add source=NAME')
  const name = parseSecretName(source)
  const target = fields.get('target') ?? name
  checkTarget(target)
  const mode = fields.get('mode') ?? '0400'
  if (!MODE.test(mode))
    throw refuse('the mode has three octal digits, with a zero in front or not; use for example 0400')
  return {
    source: name,
    target,
    uid: parseOwner(fields.get('uid')),
    gid: parseOwner(fields.get('gid')),
    mode: Number.parseInt(mode, 8),
  }
}

/**
 * Writes a reference in its canonical form; {@link parseReference} reads it back to an equal value.
 *
 * @throws {@link SecretsError} `REFERENCE_INVALID` when a field could not be read back.
 */
export function formatReference(reference: Reference): string {
  checkTarget(reference.target)
  checkOwnership(reference)
  const { uid, gid } = reference
  return [
    `source=${parseSecretName(reference.source)}`,
    `target=${reference.target}`,
    ...(uid === null ? [] : [`uid=${uid}`]),
    ...(gid === null ? [] : [`gid=${gid}`]),
    `mode=0${reference.mode.toString(8).padStart(3, '0')}`,
  ].join(',')
}
