import { expect } from 'vitest'

interface Coded {
  readonly code: string
}

const hasCode = (value: unknown): value is Coded =>
  typeof value === 'object' && value !== null && 'code' in value && typeof value.code === 'string'

const codeOf = (value: unknown): string =>
  hasCode(value) ? value.code : `no code (${String(value instanceof Error ? (value.stack ?? value.message) : value)})`

expect.extend({
  /** `expect(() => f()).toThrowCode('X')`, or `await expect(promise).rejects.toThrowCode('X')`. */
  toThrowCode(received: unknown, code: string) {
    let seen = 'nothing was thrown'
    if (typeof received === 'function') {
      try {
        ;(received as () => unknown)()
      } catch (error) {
        seen = codeOf(error)
      }
    } else {
      seen = codeOf(received)
    }
    return { pass: seen === code, message: () => `expected code ${code}, saw ${seen}` }
  },
})

declare module 'vitest' {
  interface Matchers<T> {
    toThrowCode: (code: string) => T
  }
}
