import { inspect } from 'node:util'
import { Secret } from '@leastwise/secrets'
import { describe, expect, it } from 'vitest'

const MARK = 'hunter2-marked'
const marked = (): Uint8Array<ArrayBuffer> => new TextEncoder().encode(MARK)
const show = (value: unknown): string => inspect(value, { depth: 20, showHidden: true, getters: true })

describe('Secret', () => {
  it.each<[string, (secret: Secret) => string]>([
    ['text', (secret) => String(secret)],
    ['JSON', (secret) => JSON.stringify({ secret })],
    ['inspect', (secret) => show({ secret })],
    ['a copy of its properties', (secret) => show(Object.assign({}, secret))],
    ['its keys', (secret) => Reflect.ownKeys(secret).map(String).join()],
  ])('does not show in %s', (_, print) => {
    const text = print(new Secret(marked()))
    expect(text).not.toContain(MARK)
    expect(text).not.toContain(Buffer.from(MARK).toString('hex').slice(0, 8))
    expect(text).not.toContain('104, 117')
  })

  it('says [secret] where it is printed', () => {
    const secret = new Secret(marked())
    expect([secret.toString(), JSON.stringify(secret), inspect(secret)]).toEqual(['[secret]', '"[secret]"', '[secret]'])
  })

  it('exposes its bytes for the time of a call and gives the result', () => {
    expect(new Secret(marked()).expose((bytes) => new TextDecoder().decode(bytes))).toBe(MARK)
  })

  it('zeroes the very bytes it took over, also twice', () => {
    const bytes = marked()
    const secret = new Secret(bytes)
    secret[Symbol.dispose]()
    secret[Symbol.dispose]()
    expect(bytes).toEqual(new Uint8Array(MARK.length))
    expect([secret.wiped, secret.sizeBytes]).toEqual([true, MARK.length])
  })

  it('is wiped by the end of its scope, also when that is left by an error', () => {
    const bytes = marked()
    expect(() => {
      using _secret = new Secret(bytes)
      throw new Error('left')
    }).toThrow('left')
    expect(bytes.every((byte) => byte === 0)).toBe(true)
  })

  it('copies when asked to', () => {
    const bytes = marked()
    const copy = Secret.copyOf(bytes)
    const clone = copy.clone()
    copy[Symbol.dispose]()
    expect(bytes).toEqual(marked())
    expect(clone.expose((view) => new Uint8Array(view))).toEqual(marked())
  })

  it('refuses to work once it is wiped', () => {
    const secret = new Secret(marked())
    const other = new Secret(marked())
    secret[Symbol.dispose]()
    expect(() => secret.expose((bytes) => bytes.length)).toThrowCode('SECRET_WIPED')
    expect(() => secret.clone()).toThrowCode('SECRET_WIPED')
    expect(() => secret.equals(other)).toThrowCode('SECRET_WIPED')
    expect(() => other.equals(secret)).toThrowCode('SECRET_WIPED')
  })

  it('compares values', () => {
    const secret = new Secret(marked())
    expect(secret.equals(new Secret(marked()))).toBe(true)
    expect(secret.equals(Secret.copyOf(marked().subarray(1)))).toBe(false)
    expect(secret.equals(Secret.copyOf(marked().map((byte, at) => (at === 3 ? byte ^ 1 : byte))))).toBe(false)
  })

  it('takes bytes only', () => {
    expect(() => new Secret(MARK as unknown as Uint8Array)).toThrow(TypeError)
  })
})
