import { type AltName, type Certificate, type NameConstraints, parseCertificate } from '@leastwise/identity'
import { createNodeKey } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import { MAX_NAME_SUBTREES } from '../../packages/identity/src/certificate/name-constraints.ts'
import { explicit } from '../../packages/identity/src/der/tags.ts'
import { encodeElement, encodeSequence, encodeText, encodeUnsigned } from '../../packages/identity/src/der/writer.ts'
import { isNamePermitted, isPermitted } from '../../packages/identity/src/verifying/name-constraints-match.ts'
import { CA, CN, forge, forgeName, LEAF, O, OU } from './forge.ts'
import { altNames, email, ip, uri } from './intermediate-support.ts'

const NOW = Date.UTC(2026, 10, 25)
const signer = createNodeKey()
const NAME = forgeName([CN, 'name'])

const certificate = async (
  extensions: Parameters<typeof forge>[0]['extensions'],
  subject = NAME,
): Promise<Certificate> =>
  parseCertificate(
    await forge({
      issuer: NAME,
      subject,
      publicKey: signer.publicKey,
      signer,
      notBefore: NOW,
      notAfter: NOW + 1000,
      extensions,
    }),
  )

const dns = (text: string): Uint8Array => encodeText(0x82, text)
const directory = (name: Uint8Array): Uint8Array => encodeElement(explicit(4), name)
const trees = (tag: number, bases: readonly Uint8Array[]): Uint8Array =>
  encodeElement(explicit(tag), ...bases.map((base) => encodeSequence(base)))
const value = (permitted: readonly Uint8Array[], excluded: readonly Uint8Array[] = []): Uint8Array =>
  encodeSequence(
    ...(permitted.length === 0 ? [] : [trees(0, permitted)]),
    ...(excluded.length === 0 ? [] : [trees(1, excluded)]),
  )

const readRaw = async (raw: Uint8Array, critical = true): Promise<Certificate> =>
  await certificate([...CA, { type: '2.5.29.30', value: raw, ...(critical ? { critical: true as const } : {}) }])

const constraintsOf = async (
  permitted: readonly Uint8Array[],
  excluded: readonly Uint8Array[] = [],
): Promise<NameConstraints> => {
  const { nameConstraints, unknownCritical } = await readRaw(value(permitted, excluded))
  expect(unknownCritical).toEqual([])
  if (nameConstraints === null) throw new Error('constraints were not understood')
  return nameConstraints
}

describe('name constraints', () => {
  it('are read in every kind that is understood', async () => {
    const base = forgeName([O, 'cluster'], [OU, 'unit'])
    const network = encodeElement(0x87, Uint8Array.of(10, 1, 0, 0, 255, 255, 0, 0))
    const read = await constraintsOf(
      [dns('a.example'), email('x@a.example'), email('.a.example'), uri('.a.example')],
      [network, directory(base)],
    )
    expect(read.permitted).toEqual([
      { kind: 'dns', value: 'a.example' },
      { kind: 'email', value: 'x@a.example' },
      { kind: 'email', value: '.a.example' },
      { kind: 'uri', value: '.a.example' },
    ])
    expect(read.excluded).toMatchObject([
      { kind: 'ip', address: Uint8Array.of(10, 1, 0, 0), mask: Uint8Array.of(255, 255, 0, 0) },
      { kind: 'directory', value: { attributes: [{ value: 'cluster' }, { value: 'unit' }] } },
    ])
  })

  it('that cannot be applied are not understood, critical or not', async () => {
    const good = dns('a.example')
    const many = Array.from({ length: MAX_NAME_SUBTREES }, (_, index) => dns(`n${index}.example`))
    await expect(constraintsOf(many)).resolves.toBeDefined()
    const bad: readonly Uint8Array[] = [
      encodeSequence(),
      encodeSequence(encodeElement(explicit(0))),
      encodeSequence(trees(1, [good]), trees(0, [good])),
      encodeSequence(trees(0, [good]), trees(0, [good])),
      encodeSequence(encodeElement(explicit(0), encodeSequence(good, encodeElement(0x80, Uint8Array.of(0))))),
      encodeSequence(encodeElement(explicit(0), encodeSequence(good, encodeElement(0x81, Uint8Array.of(3))))),
      value([...many, good]),
      value([dns('.a.example')]),
      value([dns('*.a.example')]),
      value([dns('')]),
      value([dns('a_b.example')]),
      value([dns('10.0.0.1')]),
      value([email('a@b@c.example')]),
      value([email('@a.example')]),
      value([uri('spiffe://a.example')]),
      value([encodeElement(0x87, Uint8Array.of(10, 0, 0, 0))]),
      value([encodeElement(0x87, Uint8Array.of(10, 0, 0, 0, 255, 0, 255, 0))]),
      value([encodeElement(0x87, Uint8Array.of(10, 0, 0, 0, 255, 0xa0, 0, 0))]),
      value([encodeElement(0x88, Uint8Array.of(42, 3))]),
      value([encodeElement(explicit(0), encodeUnsigned(Uint8Array.of(1)))]),
      value([directory(encodeSequence(good))]),
      Uint8Array.of(5, 0),
      new Uint8Array(0),
      Uint8Array.of(0x30, 5, 1),
    ]
    for (const raw of bad) {
      for (const critical of [true, false]) {
        const { nameConstraints, unknownCritical } = await readRaw(raw, critical)
        expect({ raw, nameConstraints, unknownCritical }).toEqual({
          raw,
          nameConstraints: null,
          unknownCritical: ['2.5.29.30'],
        })
      }
    }
  })

  it('of an empty list of networks mean every address', async () => {
    const none = await constraintsOf(
      [dns('a')],
      [4, 16].map((size) => encodeElement(0x87, new Uint8Array(2 * size))),
    )
    expect(isNamePermitted({ kind: 'ip', value: Uint8Array.of(1, 2, 3, 4) }, none)).toBe(false)
    expect(isNamePermitted({ kind: 'ip', value: new Uint8Array(16) }, none)).toBe(false)
  })
})

describe('a name is permitted', () => {
  const text = (kind: 'dns' | 'email' | 'uri', name: string): AltName => ({ kind, value: name })
  type Row = readonly [
    kind: 'dns' | 'email' | 'uri',
    base: string,
    inside: readonly string[],
    outside: readonly string[],
  ]
  const rows: readonly Row[] = [
    [
      'dns',
      'a.example',
      ['a.example', 'A.EXAMPLE', 'x.a.example', 'y.x.a.example'],
      ['xa.example', 'example', 'b.example', 'a.example.x', '', 'a.example.'],
    ],
    ['dns', 'swarm-worker', ['swarm-worker'], ['swarm-manager', 'swarm-worker.x']],
    ['email', 'x@a.example', ['x@a.example', 'x@A.example'], ['X@a.example', 'y@a.example', 'x@b.a.example', 'x']],
    [
      'email',
      'a.example',
      ['x@a.example', '*@a.example'],
      ['x@b.a.example', 'a.example', 'x@a@a.example', '@a.example'],
    ],
    ['email', '.a.example', ['x@b.a.example'], ['x@a.example', 'x@ba.example']],
    [
      'uri',
      'a.example',
      ['spiffe://a.example/x', 'https://A.example:8443', 'https://a.example?x', 'https://a.example#x'],
      [
        'spiffe://b.a.example/x',
        'spiffe://ba.example',
        'spiffe:a.example',
        'urn:a.example',
        'https://b.example@a.example/',
        'https://a.example@b.example/',
        'https://[::1]/',
        'https://10.0.0.1/',
        '//a.example',
      ],
    ],
    ['uri', '.a.example', ['spiffe://b.a.example/x'], ['spiffe://a.example/x']],
  ]
  it.each(rows)('within its subtree: %s %s', async (kind, base, inside, outside) => {
    const encoded = { dns, email, uri }[kind](base)
    const only = await constraintsOf([encoded])
    const not = await constraintsOf([], [encoded])
    for (const name of inside) {
      expect({ name, permitted: isNamePermitted(text(kind, name), only) }).toEqual({ name, permitted: true })
      expect({ name, permitted: isNamePermitted(text(kind, name), not) }).toEqual({ name, permitted: false })
    }
    for (const name of outside)
      expect({ name, permitted: isNamePermitted(text(kind, name), only) }).toEqual({ name, permitted: false })
  })

  it('unless it cannot be told from one that is excluded', async () => {
    const not = await constraintsOf([], [dns('a.example'), email('x@a.example'), uri('a.example')])
    const refused: readonly AltName[] = [
      text('dns', '*.example'),
      text('dns', '*.a.example'),
      text('dns', '*.b.a.example'),
      text('email', 'X@a.example'),
      text('email', 'x@a@a.example'),
      text('uri', 'urn:x'),
      text('uri', 'https://u@a.example/'),
    ]
    for (const name of refused) expect({ name, ok: isNamePermitted(name, not) }).toEqual({ name, ok: false })
    const passed = [text('dns', 'b.example'), text('dns', '*.b.example'), text('email', 'y@a.example')]
    for (const name of [...passed, text('uri', 'https://b.example/')])
      expect({ name, ok: isNamePermitted(name, not) }).toEqual({ name, ok: true })
  })

  it('by its kind alone', async () => {
    const only = await constraintsOf([dns('a.example')])
    for (const name of [text('email', 'x@b.example'), text('uri', 'urn:x'), { kind: 'other' } as const])
      expect(isNamePermitted(name, only)).toBe(true)
  })

  it('when it is an address in the network', async () => {
    const only = await constraintsOf([encodeElement(0x87, Uint8Array.of(10, 1, 0x80, 0, 255, 255, 0xc0, 0))])
    const at = (...bytes: readonly number[]): boolean =>
      isNamePermitted({ kind: 'ip', value: Uint8Array.from(bytes) }, only)
    expect([at(10, 1, 0x80, 1), at(10, 1, 0xbf, 255)]).toEqual([true, true])
    expect([at(10, 1, 0xc0, 0), at(10, 2, 0x80, 1), at(10, 1, 0x7f, 255)]).toEqual([false, false, false])
    expect(at(...new Array<number>(16).fill(0))).toBe(false)
  })

  it('when its subject begins with what is permitted, to the letter; what is excluded counts in any spelling', async () => {
    const base = forgeName([O, 'Cluster'], [OU, 'worker'])
    const only = await constraintsOf([directory(base)])
    const not = await constraintsOf([], [directory(base)])
    const subject = async (...attributes: readonly (readonly [string, string])[]): Promise<readonly boolean[]> => {
      const leaf = await certificate(LEAF, forgeName(...attributes))
      return [isPermitted(leaf, only), isPermitted(leaf, not)]
    }
    expect(await subject([O, 'Cluster'], [OU, 'worker'], [CN, 'x'])).toEqual([true, false])
    expect(await subject([O, 'Cluster'], [OU, 'worker'])).toEqual([true, false])
    expect(await subject([O, ' cluster '], [OU, 'WORKER'], [CN, 'x'])).toEqual([false, false])
    expect(await subject([OU, 'worker'], [O, 'Cluster'], [CN, 'x'])).toEqual([false, true])
    expect(await subject([O, 'Cluster'])).toEqual([false, true])
    expect(await subject([O, 'Other'], [OU, 'worker'])).toEqual([false, true])
    expect(await subject()).toEqual([true, true])
  })

  it('also where it stands in the subject as a mail address', async () => {
    const only = await constraintsOf([email('a.example')])
    const leaf = async (address: string): Promise<boolean> =>
      isPermitted(await certificate(LEAF, forgeName([CN, 'x'], ['1.2.840.113549.1.9.1', address])), only)
    expect(await leaf('x@a.example')).toBe(true)
    expect(await leaf('x@b.example')).toBe(false)
  })

  it('only together with every other name of the certificate', async () => {
    const only = await constraintsOf([dns('a.example')], [encodeElement(0x87, new Uint8Array(8))])
    const leaf = async (...names: readonly (string | Uint8Array)[]): Promise<boolean> =>
      isPermitted(await certificate([...LEAF, altNames(...names)]), only)
    expect(await leaf('a.example', 'b.a.example')).toBe(true)
    expect(await leaf('a.example', 'b.example')).toBe(false)
    expect(await leaf('a.example', ip(1, 2, 3, 4))).toBe(false)
  })
})
