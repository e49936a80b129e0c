import { SecretsError } from './errors.ts'

/** Docker Swarm's limit for a secret's name. */
export const MAX_SECRET_NAME_LENGTH = 64
/** Docker Swarm refuses 500 KiB and more, so that a value fits into a log entry and a message. */
export const MAX_SECRET_BYTES = 511_999
/** Labels travel with each listing; this keeps one secret's labels under 300 KiB. */
export const MAX_LABELS = 64
/** Longest label key in UTF-8 bytes: room for a reverse domain name. */
export const MAX_LABEL_KEY_BYTES = 128
/** Longest label value in UTF-8 bytes. */
export const MAX_LABEL_VALUE_BYTES = 4096
/** Longest id of a secret, task or node; ours have 25 characters, a task of its own id plus a suffix fits as well. */
export const MAX_ID_LENGTH = 128

// A name in a directory, too: no separator, no leading dot.
const ID = /^[a-zA-Z0-9][a-zA-Z0-9._-]*$/
const BROKEN_TEXT = /[\p{Surrogate}\p{Cc}]/u
const encoder = new TextEncoder()

/** Length of text in UTF-8 bytes. */
export const utf8Length = (text: string): number => encoder.encode(text).length

/** Whether text has no control characters and no half surrogate pairs, which would not survive encoding. */
export const isPlainText = (text: string): boolean => !BROKEN_TEXT.test(text)

/**
 * Proves that an id is one safe path component.
 *
 * @throws {@link SecretsError} `ID_INVALID` otherwise.
 */
export function checkId(id: string, of: 'secret' | 'task' | 'node'): void {
  if (id.length > MAX_ID_LENGTH || !ID.test(id)) {
    throw new SecretsError(
      'ID_INVALID',
      `a ${of} id has 1 to ${MAX_ID_LENGTH} characters of a-z, A-Z, 0-9, dot, dash and underscore and starts with a letter or digit; use the id that the cluster gave`,
    )
  }
}

/**
 * Proves that a value has 1 to {@link MAX_SECRET_BYTES} bytes.
 *
 * @throws {@link SecretsError} `SECRET_VALUE_SIZE` otherwise.
 */
export function checkValueSize(sizeBytes: number): void {
  if (sizeBytes < 1 || sizeBytes > MAX_SECRET_BYTES) {
    throw new SecretsError(
      'SECRET_VALUE_SIZE',
      `a secret has 1 to ${MAX_SECRET_BYTES} bytes and this one has ${sizeBytes}; split it, or keep a key here and the data elsewhere`,
    )
  }
}

/**
 * Proves the limits of labels and gives a frozen copy.
 *
 * @throws {@link SecretsError} `SECRET_LABELS_INVALID` when there are too many, or one is too long or not plain text.
 */
export function checkLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(labels)
  if (entries.length > MAX_LABELS) {
    throw new SecretsError('SECRET_LABELS_INVALID', `a secret has at most ${MAX_LABELS} labels; remove some`)
  }
  for (const [key, value] of entries) {
    const keyBytes = utf8Length(key)
    if (keyBytes < 1 || keyBytes > MAX_LABEL_KEY_BYTES || utf8Length(value) > MAX_LABEL_VALUE_BYTES) {
      throw new SecretsError(
        'SECRET_LABELS_INVALID',
        `a label has a key of 1 to ${MAX_LABEL_KEY_BYTES} bytes and a value of at most ${MAX_LABEL_VALUE_BYTES}; shorten it`,
      )
    }
    if (!isPlainText(key) || !isPlainText(value)) {
      throw new SecretsError('SECRET_LABELS_INVALID', 'a label holds a control character; remove it')
    }
  }
  return Object.freeze(Object.fromEntries(entries))
}
