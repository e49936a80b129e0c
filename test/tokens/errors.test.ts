import { TOKEN_ERROR_CODES, TokenError } from '@leastwise/tokens'
import { expect, it } from 'vitest'

it('an error carries its code, its facts and its cause', () => {
  const cause = new Error('deeper')
  const error = new TokenError('TOKEN_EXPIRED', 'token has expired', { tokenId: 'hvy0lj3x0b883f8e30fyp2172', cause })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({ name: 'TokenError', code: 'TOKEN_EXPIRED', tokenId: 'hvy0lj3x0b883f8e30fyp2172' })
  expect(error.cause).toBe(cause)
})

it('facts that do not concern an error are null, and no cause is made up', () => {
  const error = new TokenError('TOKEN_MALFORMED', 'x')
  expect([error.tokenId, error.expectedDigest, error.seenDigest]).toEqual([null, null, null])
  expect('cause' in error).toBe(false)
})

it('each code is listed once', () => {
  expect(new Set(TOKEN_ERROR_CODES).size).toBe(TOKEN_ERROR_CODES.length)
  for (const code of TOKEN_ERROR_CODES) expect(code).toMatch(/^[A-Z]+(_[A-Z]+)+$/)
})
