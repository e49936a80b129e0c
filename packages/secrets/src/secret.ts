import { SecretsError } from './errors.ts'

const REDACTED = '[secret]'

/**
 * Bytes that cannot be printed by accident and are overwritten when their scope ends.
 *
 * Text, JSON and `util.inspect` all show `[secret]`. Wiping is best effort: a JavaScript engine may have copied the bytes
 * before, and a string made from them cannot be wiped at all.
 */
export class Secret implements Disposable {
  readonly #bytes: Uint8Array
  #wiped = false

  static {
    // Node prints through this well-known key; naming it here needs no import and harms no other runtime.
    Object.defineProperty(Secret.prototype, Symbol.for('nodejs.util.inspect.custom'), {
      value: (): string => REDACTED,
      enumerable: false,
    })
  }

  /**
   * Takes the bytes over, without a copy: whoever made them must not keep using them.
   *
   * @param bytes - The value; {@link Secret.copyOf} is for bytes that stay with the caller.
   */
  constructor(bytes: Uint8Array) {
    if (!(bytes instanceof Uint8Array)) throw new TypeError('expected the bytes of a secret as a Uint8Array')
    this.#bytes = bytes
  }

  /**
   * A handle on a copy.
   *
   * @param bytes - Left as they are.
   */
  static copyOf(bytes: Uint8Array): Secret {
    return new Secret(new Uint8Array(bytes))
  }

  /** Length of the value in bytes; still known after wiping. */
  get sizeBytes(): number {
    return this.#bytes.length
  }

  /** Whether the bytes have been overwritten. */
  get wiped(): boolean {
    return this.#wiped
  }

  /**
   * Runs `use` with the live bytes. The view must not outlive the call.
   *
   * @throws {@link SecretsError} `SECRET_WIPED` when the handle has been disposed.
   */
  expose<T>(use: (bytes: Uint8Array) => T): T {
    if (this.#wiped) throw new SecretsError('SECRET_WIPED', 'the secret has been wiped; read it again from its source')
    return use(this.#bytes)
  }

  /**
   * A second handle with bytes of its own.
   *
   * @throws {@link SecretsError} `SECRET_WIPED` when this one has been disposed.
   */
  clone(): Secret {
    return this.expose((bytes) => Secret.copyOf(bytes))
  }

  /**
   * Whether two values are equal. Both are in the same hands, so that the time taken is no secret.
   *
   * @throws {@link SecretsError} `SECRET_WIPED` when one of them has been disposed.
   */
  equals(other: Secret): boolean {
    if (other === this) return true
    return this.expose((mine) =>
      other.expose((theirs) => mine.length === theirs.length && mine.every((byte, at) => byte === theirs[at])),
    )
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [Symbol.dispose](): void {
    this.#bytes.fill(0)
    this.#wiped = true
  }
}
