import { inspect } from 'node:util'
import {
  createJoinToken,
  createUnlockKey,
  formatUnlockKey,
  hashTokenSecret,
  parseJoinToken,
  parseUnlockKey,
  TokenSecret,
  tokenRegistry,
  trustDigestOf,
  UnlockKey,
} from '@leastwise/tokens'
import { systemDigest } from '@leastwise/tokens/node'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../support/seeded-random.ts'
import { toHex } from './vectors.ts'

// Marked bytes: every form in which they could come out is searched for.
const MARK = new TextEncoder().encode('MARKED-16-BYTES!')
const MARK_32 = new TextEncoder().encode('MARKED-32-BYTES!MARKED-32-BYTES!')
const deepInspect = (value: unknown): string => inspect(value, { depth: 20, showHidden: true, getters: true })
const formsOf = (value: unknown): string =>
  [
    deepInspect(value),
    inspect(value),
    JSON.stringify(value),
    String(value),
    deepInspect({ ...(value as object) }),
  ].join('\n')
const tokenFor = (secret: Uint8Array) =>
  createJoinToken({ trustDigest: new Uint8Array(32), random: { bytes: () => Uint8Array.from(secret) } })

describe.each([
  ['token secret', () => new TokenSecret(MARK), MARK],
  ['unlock key', () => new UnlockKey(MARK_32), MARK_32],
] as const)('%s', (kind, make, bytes) => {
  it('prints as its kind', () => {
    const secret = make()
    expect(`${secret.toString()} ${JSON.stringify({ secret })} ${inspect({ secret })}`).toBe(
      `[${kind}] {"secret":"[${kind}]"} { secret: [${kind}] }`,
    )
    expect(formsOf(secret)).not.toContain('MARKED')
    expect(formsOf(secret)).not.toContain(toHex(bytes))
    expect(Reflect.ownKeys(secret)).toEqual([])
  })

  it('copies its bytes and leaves the caller those it gave', () => {
    const mine = Uint8Array.from(bytes)
    const secret = kind === 'unlock key' ? new UnlockKey(mine) : new TokenSecret(mine)
    secret[Symbol.dispose]()
    expect(mine).toEqual(Uint8Array.from(bytes))
  })

  it('wipes, and is not usable afterwards', () => {
    const secret = make()
    let live: Uint8Array = new Uint8Array(0)
    secret.expose((view) => {
      live = view
    })
    expect(toHex(live)).toBe(toHex(bytes))
    expect(secret.isOpen).toBe(true)
    secret[Symbol.dispose]()
    secret[Symbol.dispose]()
    expect(live.every((byte) => byte === 0)).toBe(true)
    expect(secret.isOpen).toBe(false)
    expect(() => secret.expose((view) => view.length)).toThrow(TypeError)
  })

  it('wipes at the end of its scope', () => {
    const outer = make()
    {
      using inner = outer
      expect(inner.isOpen).toBe(true)
    }
    expect(outer.isOpen).toBe(false)
  })
})

describe('what surrounds a secret', () => {
  it('a parsed token shows its parts but neither secret nor text', () => {
    const made = tokenFor(MARK)
    const secretDigits = made.token.slice(-25)
    for (const value of [made, parseJoinToken(made.token)]) {
      const forms = formsOf(value)
      expect(forms).toContain('[token secret]')
      expect(forms).not.toContain(secretDigits)
      expect(forms).not.toContain(toHex(MARK))
    }
  })

  it('wipes what it drew from the random source', () => {
    const drawn: Uint8Array[] = []
    const random = {
      bytes: (length: number) => {
        const bytes = new Uint8Array(length).fill(0xab)
        drawn.push(bytes)
        return bytes
      },
    }
    createJoinToken({ trustDigest: new Uint8Array(32), random })
    createUnlockKey(random)
    expect(drawn.flatMap((bytes) => [...bytes]).every((byte) => byte === 0)).toBe(true)
  })

  it('no refusal repeats its input', () => {
    const { token } = tokenFor(MARK)
    const key = formatUnlockKey(new UnlockKey(MARK_32))
    const inputs = [
      `${token} `,
      token.slice(0, -1),
      token.toUpperCase(),
      `${token.slice(0, -25)}${'z'.repeat(25)}`,
      `SWMTKN-7${token.slice(8)}`,
    ]
    const keys = [`${key}=`, key.slice(0, -1), `${key.slice(0, -1)}/`, key.toLowerCase()]
    const refusals = [
      ...inputs.map((text) => () => parseJoinToken(text)),
      ...keys.map((text) => () => parseUnlockKey(text)),
    ]
    for (const refuse of refusals) {
      try {
        refuse()
        expect.unreachable()
      } catch (error) {
        const shown = `${deepInspect(error)} ${JSON.stringify(error)}`.toLowerCase()
        for (const secret of [token.slice(-25, -5), key.slice(12, 40), 'zzzzz'])
          expect(shown).not.toContain(secret.toLowerCase())
      }
    }
  })

  it('the registry holds no secret, in any form, nor do its events', () => {
    const made = tokenFor(MARK)
    const id = 'hvy0lj3x0b883f8e30fyp2172'
    const secretHash = hashTokenSecret(made.secret, systemDigest)
    const mint = { type: 'mint', id, role: 'worker', secretHash, now: 1, ttlMs: null, maxUses: null } as const
    const events = tokenRegistry.decide(tokenRegistry.initial, mint)
    const state = events.reduce(tokenRegistry.evolve, tokenRegistry.initial)
    const shown = deepInspect([events, state]) + JSON.stringify([events, state])
    expect(shown).toContain(secretHash)
    for (const form of [made.token.slice(-25), toHex(MARK), 'MARKED']) expect(shown).not.toContain(form)
    // Nor is the hash one that the digest of the bare secret would give.
    expect(toHex(trustDigestOf(MARK, systemDigest))).not.toBe(secretHash)
  })

  it('two tokens never share a secret', () => {
    const random = seededRandom(11)
    const tokens = Array.from({ length: 100 }, () => createJoinToken({ trustDigest: new Uint8Array(32), random }).token)
    expect(new Set(tokens).size).toBe(100)
  })
})
