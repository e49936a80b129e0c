import { existsSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { formatAddress, parseAddress } from '../../examples/orchestrator/address.ts'
import { announcer } from '../../examples/orchestrator/announce.ts'
import { formatDuration, parseDuration } from '../../examples/orchestrator/duration.ts'
import { OrchestratorError, publicFace } from '../../examples/orchestrator/errors.ts'
import { operatorSocket } from '../../examples/orchestrator/operator/socket.ts'
import { instant, table } from '../../examples/orchestrator/operator/table.ts'

describe('a duration', () => {
  it.each([
    ['1s', 1_000],
    ['45s', 45_000],
    ['30m', 1_800_000],
    ['12h', 43_200_000],
    ['90d', 7_776_000_000],
  ])('%s is %i ms', (words, ms) => {
    expect(parseDuration(words)).toBe(ms)
  })

  it.each(['', '0s', '01s', '1', 's', '1.5h', '-1h', '1w', '1H', ' 1h', '1h ', '1h30m', '1e3s', '99999999s', '١s'])(
    'is refused for "%s"',
    (words) => {
      expect(() => parseDuration(words)).toThrowCode('USAGE')
    },
  )

  it('is exact for every number and unit, and nothing else parses', () => {
    const units = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
    const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9_999_999 }), unit, (count, name) => {
        expect(parseDuration(`${count}${name}`)).toBe(count * units[name])
      }),
    )
    fc.assert(
      fc.property(fc.string(), (words) => {
        if (!/^[1-9]\d{0,6}[smhd]$/.test(words)) expect(() => parseDuration(words)).toThrowCode('USAGE')
      }),
    )
  })

  it.each([
    [0, '0s'],
    [999, '0s'],
    [59_000, '59s'],
    [90_061_000, '1d 1h'],
    [3_600_000, '1h'],
    [3_601_000, '1h 1s'],
    [-61_000, '-1m 1s'],
    [7_776_000_000, '90d'],
  ])('of %i ms is shown as %s', (ms, shown) => {
    expect(formatDuration(ms)).toBe(shown)
  })
})

describe('an address', () => {
  it.each([
    ['127.0.0.1:2377', '127.0.0.1', 2377],
    ['manager.example:0', 'manager.example', 0],
    ['[::1]:65535', '::1', 65_535],
    ['[2001:db8::1]:2377', '2001:db8::1', 2377],
  ])('%s has host and port, and is written the same again', (words, host, port) => {
    expect(parseAddress(words)).toEqual({ host, port })
    expect(formatAddress(parseAddress(words))).toBe(words)
  })

  it.each([
    '',
    ':1',
    'host',
    'host:',
    'host:65536',
    'host:-1',
    'host:1x',
    '::1:80',
    '[::1]',
    '[host]:1',
    '[1]:1',
    'a b:1',
    'h/p:1',
    'h:123456',
    'http://h:1',
  ])('is refused for "%s"', (words) => {
    expect(() => parseAddress(words)).toThrowCode('ADDRESS_INVALID')
  })

  it('is a value or one code, and is never repeated in the refusal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 6 }), (words) => {
        try {
          const address = parseAddress(words)
          expect(address.port).toBeLessThanOrEqual(65_535)
        } catch (error) {
          expect(error).toMatchObject({ code: 'ADDRESS_INVALID' })
          expect(String(error)).not.toContain(words)
        }
      }),
    )
  })
})

describe('a table', () => {
  it('lines its columns up and leaves no space at the end of a line', () => {
    expect(
      table(
        ['ID', 'NAME', 'N'],
        [
          ['a', 'longer', '1'],
          ['bbbb', '', ''],
        ],
      ),
    ).toBe(['ID    NAME    N', 'a     longer  1', 'bbbb'].join('\n'))
  })

  it('without rows has its headings', () => {
    expect(table(['ID', 'NAME'], [])).toBe('ID  NAME')
  })

  it('shows instants to the second where they are whole, and no instant as a dash', () => {
    expect(instant(Date.UTC(2026, 10, 21, 12))).toBe('2026-11-21T12:00:00Z')
    expect(instant(Date.UTC(2026, 10, 21, 12) + 5)).toBe('2026-11-21T12:00:00.005Z')
    expect(instant(null)).toBe('-')
  })
})

describe('an announcement', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })
  const printed = (json: boolean): string => {
    const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    announcer(json)({ event: 'ready', address: '127.0.0.1:1', nodes: 2, more: { a: [1] } })
    return write.mock.calls.map(([chunk]) => String(chunk)).join('')
  }

  it('is one JSON object a line for machines', () => {
    const line = printed(true)
    expect(line.endsWith('\n')).toBe(true)
    expect(line.trimEnd()).not.toContain('\n')
    const { at, ...facts } = JSON.parse(line) as { at: number }
    expect(Number.isSafeInteger(at)).toBe(true)
    expect(facts).toEqual({ event: 'ready', address: '127.0.0.1:1', nodes: 2, more: { a: [1] } })
  })

  it('is one line for people', () => {
    expect(printed(false)).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z ready {16}address=127\.0\.0\.1:1 nodes=2 more=\{"a":\[1\]\}\n$/,
    )
  })
})

describe('an error that leaves the process', () => {
  it('shows code and message of a coded error', () => {
    expect(publicFace(new OrchestratorError('LOCKED', 'unlock it'))).toEqual({ code: 'LOCKED', message: 'unlock it' })
  })

  it.each([
    new Error('MARKED'),
    'MARKED',
    { code: 'LOCKED', message: 'MARKED' },
    Object.assign(new Error('MARKED'), { code: 'not a code MARKED' }),
    Object.assign(new Error('MARKED'), { code: 5 }),
    Object.assign(new TypeError("the argument must not hold null bytes. Received 'MARKED'"), {
      code: 'ERR_INVALID_ARG_VALUE',
    }),
    null,
  ])('shows nothing of any other: %s', (thrown) => {
    expect(publicFace(thrown)).toMatchObject({ code: 'INTERNAL' })
    expect(JSON.stringify(publicFace(thrown))).not.toContain('MARKED')
  })
})

describe('the path of the operator socket', () => {
  it('may have 107 bytes and no more', () => {
    const directory = `/tmp/${'d'.repeat(107 - '/tmp/'.length - '/operator.sock'.length)}`
    expect(Buffer.byteLength(operatorSocket(directory))).toBe(107)
    expect(() => operatorSocket(`${directory}d`)).toThrowCode('SOCKET_PATH_TOO_LONG')
    expect(() => operatorSocket(`${directory.slice(0, -1)}é`)).toThrowCode('SOCKET_PATH_TOO_LONG')
    expect(existsSync(directory)).toBe(false)
  })
})
