import { MAX_PROC_TEXT_LENGTH, mountOf, parseMountInfo, parseSwaps, SecretsError } from '@leastwise/secrets'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import vectors from '../vectors/secrets/proc.json' with { type: 'json' }

const total = (parse: (text: string) => unknown, text: string): void => {
  try {
    parse(text)
  } catch (error) {
    if (!(error instanceof SecretsError)) throw error
    expect(error.code).toBe('PROC_TEXT_INVALID')
  }
}

describe('parseSwaps', () => {
  it.each(vectors.swaps)('reads a list of $areas.length', ({ text, areas }) => {
    expect(parseSwaps(text)).toEqual(areas)
  })

  it.each([
    '',
    'Filename\n',
    'nonsense',
    `${vectors.swaps[0]?.text ?? ''}/dev/sda partition 12\n`,
    'x'.repeat(MAX_PROC_TEXT_LENGTH + 1),
  ])('refuses %.20j', (text) => {
    expect(() => parseSwaps(text)).toThrowCode('PROC_TEXT_INVALID')
  })
})

describe('parseMountInfo', () => {
  it('reads the kernel list', () => {
    expect(parseMountInfo(vectors.mountinfo.text)).toEqual(vectors.mountinfo.entries)
  })

  it.each([
    'x',
    '22 28 0:20 / /proc rw',
    '22 28 0:20 / proc rw - proc proc rw',
    '22 28 0:20 / /proc rw - proc proc',
    'x'.repeat(MAX_PROC_TEXT_LENGTH + 1),
  ])('refuses %.20j', (text) => {
    expect(() => parseMountInfo(text)).toThrowCode('PROC_TEXT_INVALID')
  })

  it('finds the mount that a path lies on', () => {
    const entries = parseMountInfo(vectors.mountinfo.text)
    const pointOf = (path: string): string | undefined => mountOf(entries, path)?.mountPoint
    expect([pointOf('/dev/shm/x'), pointOf('/dev/shm'), pointOf('/dev/shmx'), pointOf('/mnt/a b/c')]).toEqual([
      '/dev/shm',
      '/dev/shm',
      '/',
      '/mnt/a b',
    ])
    expect(mountOf([], '/')).toBeNull()
  })

  it('takes the last of two mounts on one point', () => {
    const over = '40 28 0:31 / /dev/shm rw - tmpfs over rw\n'
    expect(mountOf(parseMountInfo(vectors.mountinfo.text + over), '/dev/shm/x')?.options).toEqual(['rw', 'rw'])
  })
})

it('both parsers are total under truncation and garbage', () => {
  const texts = [...vectors.swaps.map(({ text }) => text), vectors.mountinfo.text]
  for (const text of texts) {
    for (let at = 0; at < text.length; at += 1) {
      total(parseSwaps, text.slice(0, at))
      total(parseMountInfo, text.slice(0, at))
    }
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '-', '/', '\\', '0', '4', 'x', ',') }), (text) => {
      total(parseSwaps, text)
      total(parseMountInfo, text)
    }),
  )
})
