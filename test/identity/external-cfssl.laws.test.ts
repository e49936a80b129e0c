import { readFileSync } from 'node:fs'
import { decodeCfsslAnswer, type HttpAnswer, IdentityError, parseCfsslUrl } from '@leastwise/identity'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answerOf } from './external-support.ts'

const ANSWERS = JSON.parse(
  readFileSync(new URL('../vectors/identity/cfssl/answers.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, { readonly answer: string }>>
const GOOD = answerOf(ANSWERS['sign-ok']!.answer)

/** The serial number, or the code; anything else is a failure of the law. */
function outcome(answer: HttpAnswer): string {
  try {
    return decodeCfsslAnswer(answer).serial
  } catch (error) {
    if (error instanceof IdentityError && error.code.startsWith('EXTERNAL_CA_')) return error.code
    throw error
  }
}

describe('reading an answer', () => {
  it('gives a certificate or a code for any status and any bytes', () => {
    fc.assert(
      fc.property(fc.nat(999), fc.uint8Array({ maxLength: 200 }), (status, body) => {
        expect(outcome({ status, body })).toMatch(/^EXTERNAL_CA_/)
      }),
    )
  })

  it('gives a certificate or a code for any JSON', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(outcome(answerOf(text))).toMatch(/^EXTERNAL_CA_/)
      }),
    )
  })

  it('gives a code for a good answer that is cut off anywhere', () => {
    for (let length = 0; length < GOOD.body.length; length += 1)
      expect(outcome({ status: 200, body: GOOD.body.subarray(0, length) })).toBe('EXTERNAL_CA_ANSWER_MALFORMED')
  })

  it('never takes a changed certificate for the one that was sent', () => {
    const text = ANSWERS['sign-ok']!.answer
    const from = text.indexOf('-----BEGIN')
    const to = text.lastIndexOf('-----END')
    const sent = decodeCfsslAnswer(GOOD).der
    for (let at = from; at < to; at += 1) {
      for (const bit of [1, 4, 64]) {
        const body = GOOD.body.slice()
        body[at] = (body[at] ?? 0) ^ bit
        let read: Uint8Array | null = null
        try {
          read = decodeCfsslAnswer({ status: 200, body }).der
        } catch (error) {
          expect(error).toMatchObject({ code: 'EXTERNAL_CA_ANSWER_MALFORMED' })
        }
        if (read !== null) expect(Buffer.compare(read, sent)).not.toBe(0)
      }
    }
  })
})

describe('reading an address', () => {
  it('takes a text as it is, or gives the one code', () => {
    const pieces = fc.constantFrom(
      'https://',
      'http://',
      'ca',
      '.',
      ':',
      '8888',
      '/',
      'sign',
      '@',
      '?',
      '[',
      '::1',
      ']',
      '%',
      ' ',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            expect(parseCfsslUrl(text)).toBe(text)
            expect(text).toMatch(/^https:\/\/[^@?# ]+$/)
          } catch (error) {
            expect(error).toMatchObject({ code: 'EXTERNAL_CA_URL_INVALID' })
          }
        },
      ),
    )
  })
})
