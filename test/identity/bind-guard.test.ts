import { BlockList, createServer, isIP, isIPv6 } from 'node:net'
import { type AddressClass, classifyAddress, isClosedAddress } from '@leastwise/identity'
import {
  dangerouslyExposeManagerToTheInternet,
  guardAddress,
  guardedListen,
  isExposedConnection,
} from '@leastwise/identity/node'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'

const CASES: readonly (readonly [string, AddressClass | null])[] = [
  ['127.0.0.1', 'loopback'],
  ['127.255.255.255', 'loopback'],
  ['128.0.0.0', 'public'],
  ['::1', 'loopback'],
  ['0:0:0:0:0:0:0:1', 'loopback'],
  ['10.0.0.0', 'private'],
  ['10.255.255.255', 'private'],
  ['9.255.255.255', 'public'],
  ['11.0.0.0', 'public'],
  ['172.15.255.255', 'public'],
  ['172.16.0.0', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.0', 'public'],
  ['192.167.255.255', 'public'],
  ['192.168.0.0', 'private'],
  ['192.169.0.0', 'public'],
  ['100.63.255.255', 'public'],
  ['100.64.0.0', 'shared'],
  ['100.127.255.255', 'shared'],
  ['100.128.0.0', 'public'],
  ['169.253.255.255', 'public'],
  ['169.254.0.1', 'link-local'],
  ['169.255.0.0', 'public'],
  ['0.0.0.0', 'unspecified'],
  ['0.0.0.1', 'public'],
  ['224.0.0.1', 'multicast'],
  ['239.255.255.255', 'multicast'],
  ['240.0.0.1', 'public'],
  ['255.255.255.255', 'public'],
  ['192.0.2.1', 'public'],
  ['::', 'unspecified'],
  ['0::0', 'unspecified'],
  ['::2', 'public'],
  ['::10.0.0.1', 'public'],
  ['::ffff:10.0.0.1', 'private'],
  ['::FFFF:a00:1', 'private'],
  ['::ffff:0.0.0.0', 'unspecified'],
  ['::ffff:8.8.8.8', 'public'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::fffe:127.0.0.1', 'public'],
  ['64:ff9b::10.0.0.1', 'public'],
  ['2002:a00:1::', 'public'],
  ['fbff::1', 'public'],
  ['fc00::1', 'unique-local'],
  ['fdff:ffff::', 'unique-local'],
  ['fe00::1', 'public'],
  ['fe7f::1', 'public'],
  ['fe80::1%eth0', 'link-local'],
  ['febf::1', 'link-local'],
  ['fec0::1', 'public'],
  ['ff02::1', 'multicast'],
  ['2001:db8::1', 'public'],
  ['2606:4700::1111', 'public'],
  ['localhost', null],
  ['', null],
  ['10.0.0', null],
  ['10.0.0.0.1', null],
  ['010.0.0.1', null],
  ['0x7f.0.0.1', null],
  ['127.1', null],
  ['2130706433', null],
  ['10.0.0.256', null],
  ['10.0.0.1%eth0', null],
  [' 10.0.0.1', null],
  ['10.0.0.1\n', null],
  ['１０.0.0.1', null],
  [':', null],
  [':::', null],
  ['1::2::3', null],
  ['1:2:3:4:5:6:7', null],
  ['1:2:3:4:5:6:7:8:9', null],
  ['1:2:3:4:5:6:7::8', null],
  ['::1%', null],
  ['::1%eth0%eth1', null],
  ['::1% ', null],
  ['[::1]', null],
  ['::12345', null],
  ['::10.0.0.1:5', null],
  ['::010.0.0.1', null],
  [`::1%${'x'.repeat(33)}`, null],
]

describe('what kind of address it is', () => {
  it.each(CASES)('%s: %s', (text, kind) => {
    expect(classifyAddress(text)).toBe(kind)
  })

  it('is said of whatever the platform takes for an address, and of nothing else', () => {
    const group = fc.oneof(fc.constant(''), fc.constant('0'), fc.constant('ffff'), fc.stringMatching(/^[0-9a-f]{1,5}$/))
    const byte = fc.oneof(fc.nat(300).map(String), fc.constantFrom('00', '01', '', '-1'))
    const ipv4 = fc.array(byte, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'))
    const ipv6 = fc
      .tuple(fc.array(group, { minLength: 1, maxLength: 9 }), fc.option(ipv4))
      .map(([groups, tail]) => [...groups, ...(tail === null ? [] : [tail])].join(':'))
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6, fc.ipV4(), fc.ipV6(), fc.string({ maxLength: 50 })), (text) => {
        fc.pre(!text.includes('%'))
        expect(classifyAddress(text) !== null).toBe(isIP(text) !== 0)
      }),
      { numRuns: 3000 },
    )
  })

  it('agrees with the block lists of the platform', () => {
    const closed = new BlockList()
    for (const [net, bits] of [
      ['127.0.0.0', 8],
      ['10.0.0.0', 8],
      ['172.16.0.0', 12],
      ['192.168.0.0', 16],
      ['100.64.0.0', 10],
      ['169.254.0.0', 16],
    ] as const)
      closed.addSubnet(net, bits, 'ipv4')
    closed.addAddress('::1', 'ipv6')
    closed.addSubnet('fc00::', 7, 'ipv6')
    closed.addSubnet('fe80::', 10, 'ipv6')
    const near = fc
      .tuple(
        fc.constantFrom(127, 10, 172, 192, 100, 169, 126, 11, 101, 0, 255),
        fc.oneof(fc.nat(255), fc.constantFrom(15, 16, 31, 32, 63, 64, 127, 128, 168, 254)),
        fc.nat(255),
        fc.nat(255),
      )
      .map((parts) => parts.join('.'))
    const high = fc
      .tuple(fc.integer({ min: 0xfa00, max: 0xffff }), fc.nat(0xffff))
      .map(([first, last]) => `${first.toString(16)}::${last.toString(16)}`)
    fc.assert(
      fc.property(fc.oneof(near, high, fc.ipV4(), fc.ipV6()), (text) => {
        const kind = classifyAddress(text)!
        expect(isClosedAddress(kind)).toBe(closed.check(text, isIPv6(text) ? 'ipv6' : 'ipv4'))
      }),
      { numRuns: 3000 },
    )
  })
})

describe('a manager', () => {
  const server = () => {
    const made = createServer()
    onTestFinished(() => {
      made.close()
    })
    return made
  }

  it.each(['0.0.0.0', '::', '', '8.8.8.8', '2606:4700::1111', '::ffff:0.0.0.0', '224.0.0.1', '192.0.2.1'])(
    'does not listen on "%s"',
    async (host) => {
      const made = server()
      await expect(guardedListen(made, { host, port: 0 })).rejects.toThrowCode('ADDRESS_EXPOSED')
      expect(made.listening).toBe(false)
    },
  )

  it('listens on loopback, by address and by name', async () => {
    expect((await guardedListen(server(), { host: '127.0.0.1', port: 0 })).address).toBe('127.0.0.1')
    const { address } = await guardedListen(server(), { host: 'localhost', port: 0 })
    expect(classifyAddress(address)).toBe('loopback')
  })

  it('listens everywhere only if it is told so by its frightening name', async () => {
    const where = { host: '0.0.0.0', port: 0, [dangerouslyExposeManagerToTheInternet]: true } as const
    expect((await guardedListen(server(), where)).address).toBe('0.0.0.0')
    expect(await guardAddress({ host: '8.8.8.8', port: 0, [dangerouslyExposeManagerToTheInternet]: true })).toBe(
      '8.8.8.8',
    )
    expect(String(dangerouslyExposeManagerToTheInternet)).toMatch(/dangerously/)
  })

  it('says when there is no such host, and what the system says', async () => {
    await expect(guardedListen(server(), { host: 'no-such-host.invalid', port: 0 })).rejects.toThrowCode(
      'ADDRESS_UNKNOWN',
    )
    const { port } = await guardedListen(server(), { host: '127.0.0.1', port: 0 })
    await expect(guardedListen(server(), { host: '127.0.0.1', port })).rejects.toThrowCode('EADDRINUSE')
  })

  it('tells connections that came in from outside', () => {
    expect(isExposedConnection('127.0.0.1')).toBe(false)
    expect(isExposedConnection('::ffff:10.1.2.3')).toBe(false)
    expect(isExposedConnection('8.8.8.8')).toBe(true)
    expect(isExposedConnection(undefined)).toBe(true)
  })
})
