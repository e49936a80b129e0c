import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { judge, LIMBO, type LimboCase } from './limbo-cases.ts'

interface Refused {
  readonly id: string
  readonly code: string
  /** What the validator says when the names are left to its caller; the same as `code` unless said otherwise. */
  readonly alone?: string
  readonly reason: string
}

const REFUSED = JSON.parse(
  readFileSync(new URL('../vectors/limbo/refused.json', import.meta.url), 'utf8'),
) as readonly Refused[]

const idsOf = (cases: readonly LimboCase[]): readonly string[] => cases.map(({ id }) => id)
const bad = LIMBO.filter(({ expected }) => expected === 'failure')
const good = LIMBO.filter(({ expected }) => expected === 'success')

const verdicts = new Map(LIMBO.map((limbo) => [limbo, judge(limbo)]))

describe('x509-limbo', () => {
  it('is there whole: every native case', () => {
    expect({ bad: bad.length, good: good.length }).toEqual({ bad: 145, good: 49 })
    expect(new Set(idsOf(LIMBO)).size).toBe(194)
  })

  it('has no case that should fail and is accepted', () => {
    expect(idsOf(bad.filter((limbo) => verdicts.get(limbo) === 'ok'))).toEqual([])
  })

  it('has exactly the reviewed list of cases that should succeed and are refused', () => {
    const refused = good
      .map((limbo) => ({ id: limbo.id, code: verdicts.get(limbo) }))
      .filter(({ code }) => code !== 'ok')
    const listed = REFUSED.map(({ id, code }) => ({ id, code }))
    const byId = (left: { readonly id: string }, right: { readonly id: string }): number =>
      left.id < right.id ? -1 : 1
    expect(refused.toSorted(byId)).toEqual(listed.toSorted(byId))
    for (const { reason } of REFUSED) expect(reason.length).toBeGreaterThan(20)
  })

  it('meets the same verdicts when the names are left to the caller, but for what is about names alone', () => {
    for (const { id, code, alone = code } of REFUSED) {
      const limbo = LIMBO.find((each) => each.id === id)
      expect({ id, alone: limbo === undefined ? null : judge(limbo, { names: 'left' }) }).toEqual({ id, alone })
    }
    // Nobody has asked for a name here, so that these have nothing wrong left.
    const turned = idsOf(bad.filter((limbo) => judge(limbo, { names: 'left' }) === 'ok'))
    const aboutNames = /^webpki::cn::|^webpki::san::(?:mismatch-|no-san)/u
    expect(turned.filter((id) => !aboutNames.test(id))).toEqual([])
    expect(turned.length).toBeGreaterThan(10)
  })

  it('shows what is let pass for the chains of Docker: certificates without key identifiers, nothing more', () => {
    const turned = bad.filter((limbo) => judge(limbo, { keyIdentifiers: 'optional' }) === 'ok')
    expect(idsOf(turned)).toEqual([
      'rfc5280::aki::leaf-missing-aki',
      'rfc5280::aki::intermediate-missing-aki',
      'rfc5280::ski::root-missing-ski',
      'rfc5280::ski::intermediate-missing-ski',
    ])
  })
})
