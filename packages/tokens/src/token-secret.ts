import { draw } from './draw.ts'
import type { RandomSource } from './ports.ts'
import { SecretBytes } from './secret-bytes.ts'

/** 128 bits, as in Docker Swarm: beyond guessing, so that a plain hash of it may be kept. */
export const TOKEN_SECRET_BYTES = 16

/** The secret half of a join token: who knows it may join. Prints as `[token secret]`; wipe it with `using`. */
export class TokenSecret extends SecretBytes {
  /**
   * @param bytes - {@link TOKEN_SECRET_BYTES} bytes from a cryptographic random source; they are copied.
   * @throws RangeError if there are more or fewer bytes.
   */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== TOKEN_SECRET_BYTES) {
      throw new RangeError(`a token secret has ${TOKEN_SECRET_BYTES} bytes, not ${bytes.length}`)
    }
    super(bytes)
  }

  override get kind(): 'token secret' {
    return 'token secret'
  }
}

/** A fresh secret, with one draw of {@link TOKEN_SECRET_BYTES} bytes. */
export function createTokenSecret(random: RandomSource): TokenSecret {
  const bytes = draw(random, TOKEN_SECRET_BYTES)
  const secret = new TokenSecret(bytes)
  bytes.fill(0)
  return secret
}
