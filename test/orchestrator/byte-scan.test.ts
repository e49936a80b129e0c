import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Needle, scanDirectories } from '../../examples/demo/byte-scan.ts'
import { tempDir } from '../support/temp-dir.ts'

const VALUE = Buffer.from('a planted value: \u0000\u0001 \xff of thirty bytes', 'latin1')
const needle: Needle = { name: 'the value', bytes: VALUE }

function findings(content: Uint8Array | string, needles: readonly Needle[] = [needle]): readonly string[] {
  const directory = tempDir()
  mkdirSync(join(directory, 'deep/er'), { recursive: true })
  writeFileSync(join(directory, 'deep/er/file'), content)
  return scanDirectories([directory], needles).findings.map((finding) => finding.replace(/ in \/.*$/, ''))
}

describe('the scan for planted values', () => {
  it.each([0, 1, 2, 7])('finds them as they are, after %i other bytes', (before) => {
    expect(findings(Buffer.concat([Buffer.alloc(before, 1), VALUE, Buffer.from('more')]))).toEqual(['the value'])
  })

  it('finds them in hex', () => {
    expect(findings(`key: ${VALUE.toString('hex')}\n`)).toEqual(['the value in hex'])
  })

  it('finds them in upper-case hex', () => {
    expect(findings(`key: ${VALUE.toString('hex').toUpperCase()}\n`)).toEqual(['the value in hex'])
  })

  it.each([0, 1, 2, 3, 4, 5])('finds them in base64 that began %i bytes before', (before) => {
    for (const after of [0, 1, 2, 3]) {
      const text = Buffer.concat([Buffer.alloc(before, 0xa5), VALUE, Buffer.alloc(after, 0x5a)]).toString('base64')
      expect(findings(`{"x":"${text}"}`), `${after} bytes after`).toEqual(['the value in base64'])
    }
  })

  it.each([0, 1, 2])('finds them in base64 for addresses that began %i bytes before', (before) => {
    const bytes = Buffer.from(Array.from({ length: 30 }, (_, at) => 0xfb ^ (at >> 2)))
    const text = Buffer.concat([Buffer.alloc(before), bytes, Buffer.from('x')]).toString('base64url')
    expect(text).toMatch(/[-_]/)
    expect(findings(text, [{ name: 'the value', bytes }])).toEqual(['the value in base64'])
  })

  it('finds random values at random places, and not when one bit differs', () => {
    const place = fc.tuple(
      fc.uint8Array({ minLength: 16, maxLength: 48 }),
      fc.uint8Array({ maxLength: 30 }),
      fc.uint8Array({ maxLength: 30 }),
    )
    fc.assert(
      fc.property(place, fc.constantFrom('latin1', 'base64', 'hex' as const), ([bytes, before, after], encoding) => {
        const write = (value: Uint8Array): Buffer =>
          Buffer.from(Buffer.concat([before, value, after]).toString(encoding), 'latin1')
        const needles = [{ name: 'the value', bytes }]
        expect(findings(write(bytes), needles).length).toBeGreaterThan(0)
        const changed = bytes.slice()
        changed[Math.floor(bytes.length / 2)]! ^= 1
        if (!Buffer.concat([before, changed, after]).includes(Buffer.from(bytes)))
          expect(findings(write(changed), needles)).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it('counts what it looked at, and follows no link', () => {
    const directory = tempDir()
    writeFileSync(join(directory, 'a'), 'abc')
    writeFileSync(join(directory, 'b'), 'defg')
    const outside = tempDir()
    writeFileSync(join(outside, 'planted'), VALUE)
    symlinkSync(outside, join(directory, 'link'))
    expect(scanDirectories([directory], [needle])).toEqual({ files: 2, bytes: 7, findings: [] })
    expect(scanDirectories([directory, outside], [needle]).findings).toEqual([
      `the value in ${join(outside, 'planted')}`,
    ])
  })
})
