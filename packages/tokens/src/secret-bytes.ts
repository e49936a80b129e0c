/**
 * Bytes that must not be printed and that leave when their scope does.
 *
 * They sit in a `#private` field, which logging, `JSON.stringify`, spreading and `structuredClone` cannot reach; everything that turns
 * the handle into text gives its kind in brackets. Wiping is best effort: the engine may have moved or copied the bytes before.
 */
export abstract class SecretBytes implements Disposable {
  // The key under which Node's inspect looks for a text of the object's own. Set here, because isolated declarations allow no
  // computed member name for it.
  static {
    Object.defineProperty(SecretBytes.prototype, Symbol.for('nodejs.util.inspect.custom'), {
      value: function (this: SecretBytes): string {
        return this.toString()
      },
    })
  }

  readonly #bytes: Uint8Array<ArrayBuffer>
  #wiped = false

  /** Copies the bytes; the caller's array stays the caller's, to wipe or to keep. */
  protected constructor(bytes: Uint8Array) {
    this.#bytes = Uint8Array.from(bytes)
  }

  /** What the bytes are for, as it appears in place of them. */
  abstract get kind(): string

  /** False once the bytes were wiped. */
  get isOpen(): boolean {
    return !this.#wiped
  }

  /**
   * Runs `use` with the live bytes.
   *
   * @param use - Must neither change the bytes nor keep the array after it returned (or, if it returns a promise, after that settled):
   * wiping the handle zeroes the same array.
   * @returns What `use` returned.
   * @throws TypeError if the handle was wiped, so that a row of zeros is never taken for the secret.
   */
  expose<T>(use: (bytes: Uint8Array<ArrayBuffer>) => T): T {
    if (this.#wiped) throw new TypeError(`the ${this.kind} was wiped; keep its scope open for as long as it is used`)
    return use(this.#bytes)
  }

  toString(): string {
    return `[${this.kind}]`
  }

  toJSON(): string {
    return this.toString()
  }

  /** Overwrites the bytes with zeros. May be called more than once. */
  [Symbol.dispose](): void {
    this.#bytes.fill(0)
    this.#wiped = true
  }
}
