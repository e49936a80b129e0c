import { SecretsError } from './errors.ts'
import { MAX_SECRET_NAME_LENGTH } from './limits.ts'

declare const secretName: unique symbol

/** A name by Docker Swarm's rule. Only {@link parseSecretName} makes one. */
export type SecretName = string & { readonly [secretName]: true }

const NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?$/

/**
 * Reads a name: 1 to 64 characters of `[a-zA-Z0-9._-]`, a letter or digit at both ends (Docker Swarm's rule).
 *
 * @throws {@link SecretsError} `SECRET_NAME_INVALID` for anything else.
 */
export function parseSecretName(text: string): SecretName {
  if (text.length > MAX_SECRET_NAME_LENGTH || !NAME.test(text)) {
    throw new SecretsError(
      'SECRET_NAME_INVALID',
      `a secret name has 1 to ${MAX_SECRET_NAME_LENGTH} characters of a-z, A-Z, 0-9, dot, dash and underscore, with a letter or digit at both ends; choose another name`,
    )
  }
  return text as SecretName
}

/** The form by which names are unique: Docker Swarm ignores case. Names are ASCII, so that no locale plays a part. */
export const nameKey = (name: SecretName): string => name.toLowerCase()
