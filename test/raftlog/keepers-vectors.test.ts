import { createDecipheriv, createHash, hkdfSync, scryptSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { anyOf, combineShares, type RandomSource, splitUnlockKey, unlockKeyWrapper } from '@leastwise/raftlog'
import { allowWeakScryptCost, kmsWrapper, passphraseWrapper } from '@leastwise/raftlog/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openBox } from '../../packages/raftlog/src/keys/secretbox.ts'
import { startPlugIn } from './keepers-plug-in.ts'

const FILE = join(import.meta.dirname, '../vectors/raftlog/keepers/keepers.json')
const COST = { logN: 4, r: 8, p: 1 } as const
const PASSPHRASE = 'correct Schl\u00fcssel'
const SERVICE = 'service of the vectors'

interface Vectors {
  readonly key: string
  readonly shares: {
    readonly unlockKey: string
    readonly k: number
    readonly n: number
    readonly texts: readonly string[]
  }
  readonly passphrase: { readonly passphrase: string; readonly id: string; readonly wrapped: string }
  readonly anyOf: {
    readonly unlockKey: string
    readonly id: string
    readonly keepers: readonly string[]
    readonly wrapped: string
  }
  readonly kms: { readonly id: string; readonly seed: string; readonly wrapped: string }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (digits: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(digits, 'hex'))

/** Bytes 01 02 03 …, so that the vectors can be made again by anybody. */
function countingRandom(): RandomSource & { readonly draws: Uint8Array[] } {
  let next = 0
  const draws: Uint8Array[] = []
  return {
    draws,
    bytes: (length) => {
      const bytes = Uint8Array.from({ length }, () => (next += 1) & 0xff)
      draws.push(bytes.slice())
      return bytes
    },
  }
}

const key = Uint8Array.from({ length: 32 }, (_, at) => 0x20 + at)
const unlockKey = Uint8Array.from({ length: 32 }, (_, at) => 0xe0 + at)
const passphrase = (random: RandomSource) =>
  passphraseWrapper(PASSPHRASE, { cost: COST, [allowWeakScryptCost]: true, random })
const keepers = (random: RandomSource) => [passphrase(random), unlockKeyWrapper(unlockKey, random)]

async function record(): Promise<Vectors> {
  const plugIn = await startPlugIn(SERVICE)
  const kmsRandom = countingRandom()
  const kms = kmsWrapper({ socketPath: plugIn.socketPath, name: 'vectors', random: kmsRandom })
  const kmsWrapped = await kms.wrap(key)
  await plugIn.close()
  const several = keepers(countingRandom())
  return {
    key: hex(key),
    shares: {
      unlockKey: hex(unlockKey),
      k: 3,
      n: 5,
      texts: splitUnlockKey(unlockKey, { k: 3, n: 5, random: countingRandom() }),
    },
    passphrase: {
      passphrase: PASSPHRASE,
      id: passphrase(countingRandom()).id,
      wrapped: hex(await passphrase(countingRandom()).wrap(key)),
    },
    anyOf: {
      unlockKey: hex(unlockKey),
      id: anyOf(several).id,
      keepers: several.map(({ id }) => id),
      wrapped: hex(await anyOf(several).wrap(key)),
    },
    kms: { id: kms.id, wrapped: hex(kmsWrapped), seed: hex(kmsRandom.draws[0]!) },
  }
}

if (process.env['UPDATE_VECTORS'] === '1') writeFileSync(FILE, `${JSON.stringify(await record(), null, 2)}\n`)
const vectors = JSON.parse(readFileSync(FILE, 'utf8')) as Vectors

describe('what was recorded', () => {
  it('is what is written today, byte for byte', async () => {
    expect(await record()).toEqual(vectors)
  })

  it('opens', async () => {
    const random = countingRandom()
    const plugIn = await startPlugIn(SERVICE)
    onTestFinished(plugIn.close)
    expect(combineShares(vectors.shares.texts.slice(1, 4))).toEqual(unlockKey)
    expect(await passphrase(random).unwrap(unhex(vectors.passphrase.wrapped))).toEqual(key)
    for (const keeper of keepers(random)) {
      expect(await anyOf([keeper]).unwrap(unhex(vectors.anyOf.wrapped))).toEqual(key)
    }
    const kms = kmsWrapper({ socketPath: plugIn.socketPath })
    expect(await kms.unwrap(unhex(vectors.kms.wrapped))).toEqual(key)
  })
})

/** Written from docs/keys.md alone, with a table of logarithms instead of masks. */
describe('a second reader', () => {
  const exp: number[] = []
  for (let power = 1; exp.length < 255; ) {
    exp.push(power)
    // Times 3, which generates the field.
    const doubled = power << 1
    power ^= doubled > 0xff ? doubled ^ 0x11b : doubled
  }
  const log = (value: number): number => exp.indexOf(value)
  const times = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : exp[(log(a) + log(b)) % 255]!)
  const over = (a: number, b: number): number => (a === 0 ? 0 : exp[(log(a) - log(b) + 255) % 255]!)
  const decode = (digits: string, length: number): Buffer => {
    let value = 0n
    for (const digit of digits) value = value * 36n + BigInt(Number.parseInt(digit, 36))
    return Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')
  }
  const labelled = (label: string, ...parts: Uint8Array[]): Buffer =>
    createHash('sha512')
      .update(Buffer.concat([Buffer.from(`${label}\0`), ...parts]))
      .digest()

  it('combines the shares, and proves check and set id', () => {
    const shares = vectors.shares.texts.map((text) => {
      const [, kOfN = '', index = '', setId = '', value = '', check = ''] =
        /^LWSHARE-1-(\d+of\d+)-(\d+)-(\w+)-(\w+)-(\w+)$/.exec(text) ?? []
      const body = text.slice(0, text.lastIndexOf('-'))
      expect(decode(check, 5)).toEqual(labelled('leastwise unlock share check v1', Buffer.from(body)).subarray(0, 5))
      expect(kOfN).toBe('3of5')
      return { x: Number(index), y: decode(value, 32), setId: decode(setId, 16) }
    })
    const [a, b, c] = [shares[4]!, shares[1]!, shares[2]!]
    const found = Array.from({ length: 32 }, (_, at) =>
      [
        [a, b, c],
        [b, a, c],
        [c, a, b],
      ].reduce((sum, [one, two, three]) => {
        const weight = over(times(two!.x, three!.x), times(two!.x ^ one!.x, three!.x ^ one!.x))
        return sum ^ times(one!.y[at]!, weight)
      }, 0),
    )
    expect(hex(Uint8Array.from(found))).toBe(vectors.shares.unlockKey)
    const values = shares.slice(0, 3).map(({ y }) => y)
    expect(a.setId).toEqual(labelled('leastwise unlock share set v1', Uint8Array.of(3, 5), ...values).subarray(0, 16))
  })

  it('opens with the passphrase', () => {
    const wrapped = Buffer.from(vectors.passphrase.wrapped, 'hex')
    expect(wrapped.subarray(0, 5)).toEqual(Buffer.from('LWKP\x01'))
    const [N, r, p] = [2 ** wrapped[5]!, wrapped[6]!, wrapped[7]!]
    const stretched = scryptSync(Buffer.from(vectors.passphrase.passphrase), wrapped.subarray(8, 40), 32, { N, r, p })
    const info = Buffer.concat([Buffer.from('leastwise raftlog passphrase key v1'), wrapped.subarray(0, 40)])
    const wrapKey = new Uint8Array(hkdfSync('sha256', stretched, Buffer.alloc(0), info, 32))
    expect(hex(openBox(wrapped.subarray(64), wrapped.subarray(40, 64), wrapKey)!)).toBe(vectors.key)
  })

  it('finds the wrapping of each keeper', () => {
    const wrapped = Buffer.from(vectors.anyOf.wrapped, 'hex')
    expect(wrapped.subarray(0, 6)).toEqual(Buffer.from('LWKA\x01\x02'))
    const found: (readonly [string, Buffer])[] = []
    for (let at = 6; at < wrapped.length; ) {
      const id = wrapped.subarray(at + 1, at + 1 + wrapped[at]!)
      at += 1 + id.length
      const length = wrapped.readUInt16BE(at)
      found.push([id.toString(), wrapped.subarray(at + 2, at + 2 + length)])
      at += 2 + length
    }
    expect(found.map(([id]) => id)).toEqual(vectors.anyOf.keepers)
    const box = found[1]![1]
    expect(hex(openBox(box.subarray(24), box.subarray(0, 24), unhex(vectors.anyOf.unlockKey))!)).toBe(vectors.key)
    const ids = Buffer.from(vectors.anyOf.keepers.toSorted().join('\n'))
    expect(vectors.anyOf.id).toBe(`any-of-${hex(labelled('leastwise any of keepers id v1', ids).subarray(0, 8))}`)
  })

  it('opens with the seed that the service gave', () => {
    const wrapped = Buffer.from(vectors.kms.wrapped, 'hex')
    expect(wrapped.subarray(0, 5)).toEqual(Buffer.from('LWKM\x01'))
    let at = 7 + wrapped.readUInt16BE(5)
    const sealed = wrapped.subarray(at + 2, at + 2 + wrapped.readUInt16BE(at))
    at += 2 + sealed.length
    const count = wrapped[at]!
    at += 1
    for (let nth = 0; nth < count; nth += 1) {
      at += 1 + wrapped[at]!
      at += 2 + wrapped.readUInt16BE(at)
    }
    const service = createHash('sha256').update(SERVICE).digest()
    const decipher = createDecipheriv('aes-256-gcm', service, sealed.subarray(0, 12))
    decipher.setAuthTag(sealed.subarray(-16))
    const seed = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
    expect(hex(seed)).toBe(vectors.kms.seed)
    const boxKey = labelled('leastwise raftlog kms key v1', seed, wrapped.subarray(0, at)).subarray(0, 32)
    expect(hex(openBox(wrapped.subarray(at + 24), wrapped.subarray(at, at + 24), boxKey)!)).toBe(vectors.key)
  })
})
