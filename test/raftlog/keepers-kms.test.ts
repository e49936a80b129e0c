import { writeFileSync } from 'node:fs'
import { createServer as createPlainServer } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { RaftLogError } from '@leastwise/raftlog'
import { type KmsWrapperOptions, kmsWrapper } from '@leastwise/raftlog/node'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { tempDir } from '../support/temp-dir.ts'
import { framed, type Misbehave, type PlugIn, readFields, startPlugIn, writeFields } from './keepers-plug-in.ts'

const KEY = Uint8Array.from({ length: 32 }, (_, at) => 0xc0 + at)
const GRPC = { ':status': 200, 'content-type': 'application/grpc' } as const

let plugIn: PlugIn
beforeEach(async () => {
  plugIn = await startPlugIn()
})
afterEach(async () => {
  await plugIn.close()
})
const wrapperOn = (options: Partial<KmsWrapperOptions> = {}) =>
  kmsWrapper({ socketPath: plugIn.socketPath, ...options })
const valueOf = (message: Uint8Array, number: number): string =>
  Buffer.from(readFields(message).find((field) => field.number === number)?.value ?? []).toString()

async function refusalOf(run: () => unknown): Promise<RaftLogError> {
  try {
    await run()
  } catch (error) {
    if (error instanceof RaftLogError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('a plug-in', () => {
  it('is asked for its health, to encrypt, and to prove that it can decrypt, on one connection', async () => {
    await wrapperOn().wrap(KEY)
    expect(plugIn.calls.map(({ path }) => path)).toEqual([
      '/v2.KeyManagementService/Status',
      '/v2.KeyManagementService/Encrypt',
      '/v2.KeyManagementService/Decrypt',
    ])
    expect(plugIn.connections()).toBe(1)
    for (const { headers } of plugIn.calls) {
      expect(headers).toMatchObject({
        ':method': 'POST',
        ':scheme': 'http',
        ':authority': 'localhost',
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-timeout': '3000m',
      })
    }
  })

  it('is shown its key id and its annotations again, and another uid each time', async () => {
    const wrapped = await wrapperOn().wrap(KEY)
    await wrapperOn().unwrap(wrapped)
    const asked = plugIn.calls.map(({ message }) => message)
    expect(asked).toHaveLength(4)
    const [encrypted, ...decrypted] = asked.slice(1)
    const uids = [encrypted!, ...decrypted].map((message) => valueOf(message, 2))
    expect(new Set(uids).size).toBe(3)
    for (const uid of uids) expect(uid).toMatch(/^[0-9a-f]{32}$/)
    for (const message of decrypted) {
      expect(valueOf(message, 3)).toMatch(/^key-of-/)
      const annotations = readFields(message)
        .filter(({ number }) => number === 4)
        .map(({ value }) => [valueOf(value, 1), valueOf(value, 2)])
      expect(annotations).toEqual([
        ['region.plug-in.example', 'here'],
        ['version.plug-in.example', '1'],
      ])
    }
  })

  it('never sees the key that is wrapped', async () => {
    await wrapperOn().unwrap(await wrapperOn().wrap(KEY))
    for (const { message } of plugIn.calls) expect(Buffer.from(message).includes(Buffer.from(KEY))).toBe(false)
  })

  it('may change its key: what the old one encrypted opens as long as it is kept', async () => {
    const wrapped = await wrapperOn().wrap(KEY)
    plugIn.methods['Encrypt'] = () => ({ status: 13 })
    expect(await wrapperOn().unwrap(wrapped)).toEqual(KEY)
  })

  it('that changes one byte of a seed, or gives another one, opens nothing', async () => {
    const wrapped = await wrapperOn().wrap(KEY)
    for (const seed of [new Uint8Array(32), new Uint8Array(0), new Uint8Array(31), new Uint8Array(1000)]) {
      plugIn.methods['Decrypt'] = () => writeFields([[1, seed]])
      expect(await wrapperOn().unwrap(wrapped)).toBeNull()
    }
  })

  it('that ignores key id and annotations does not make them changeable', async () => {
    const wrapped = await wrapperOn().wrap(KEY)
    const real = plugIn.methods['Decrypt']!
    const keyId = valueOf(plugIn.calls[2]!.message, 3)
    plugIn.methods['Decrypt'] = (message) =>
      real(
        writeFields([
          [1, readFields(message).find(({ number }) => number === 1)!.value],
          [3, keyId],
        ]),
      )
    expect(await wrapperOn().unwrap(wrapped)).toEqual(KEY)
    const at = Buffer.from(wrapped).indexOf('here')
    expect(await wrapperOn().unwrap(wrapped.with(at, 0x48))).toBeNull()
  })

  it('has an id by its name, so that its socket may move', () => {
    expect(kmsWrapper({ socketPath: '/a' }).id).toBe('kms-v2')
    expect(kmsWrapper({ socketPath: '/b', name: 'cloud-1' }).id).toBe('kms-v2-cloud-1')
  })

  it('is not asked about what is not in its form', async () => {
    expect(await wrapperOn().unwrap(new Uint8Array(200))).toBeNull()
    expect(plugIn.connections()).toBe(0)
  })

  it.each([
    { socketPath: '' },
    { socketPath: `/${'a'.repeat(103)}` },
    { socketPath: '/a\0b' },
    { timeoutMs: 0 },
    { timeoutMs: 60_001 },
    { timeoutMs: 1.5 },
    { name: '' },
    { name: 'A' },
    { name: 'a'.repeat(64) },
  ])('is not set up with $socketPath$timeoutMs$name', (options) => {
    expect(() => wrapperOn(options)).toThrow(RangeError)
  })
})

describe('what a plug-in says', () => {
  it.each([
    [3, null],
    [5, null],
    [1, 'KEEPER_REFUSED'],
    [2, 'KEEPER_REFUSED'],
    [4, 'KEEPER_UNREACHABLE'],
    [7, 'KEEPER_REFUSED'],
    [8, 'KEEPER_REFUSED'],
    [12, 'KEEPER_ANSWER_INVALID'],
    [13, 'KEEPER_REFUSED'],
    [14, 'KEEPER_UNREACHABLE'],
    [16, 'KEEPER_REFUSED'],
    [99, 'KEEPER_REFUSED'],
  ])('with status %d to Decrypt means %s', async (status, code) => {
    const wrapped = await wrapperOn().wrap(KEY)
    plugIn.methods['Decrypt'] = () => ({ status, text: 'marked text of the plug-in' })
    if (code === null) expect(await wrapperOn().unwrap(wrapped)).toBeNull()
    else {
      const refusal = await refusalOf(() => wrapperOn().unwrap(wrapped))
      expect(refusal.code).toBe(code)
      expect(inspect(refusal, { depth: 9, showHidden: true })).not.toContain('marked text')
      expect(refusal.message).toMatch(/^[a-z].*;.*[^.]$/)
    }
  })

  it.each([
    ['Status', { status: 7 }, 'KEEPER_REFUSED'],
    ['Status', { status: 14 }, 'KEEPER_UNREACHABLE'],
    ['Status', { status: 12 }, 'KEEPER_ANSWER_INVALID'],
    [
      'Status',
      writeFields([
        [1, 'v1'],
        [2, 'ok'],
      ]),
      'KEEPER_ANSWER_INVALID',
    ],
    [
      'Status',
      writeFields([
        [1, 'v2'],
        [2, 'marked illness'],
      ]),
      'KEEPER_REFUSED',
    ],
    ['Status', writeFields([[1, 'v2']]), 'KEEPER_REFUSED'],
    ['Status', new Uint8Array(0), 'KEEPER_ANSWER_INVALID'],
    ['Status', Uint8Array.of(0x0b), 'KEEPER_ANSWER_INVALID'],
    [
      'Status',
      writeFields([
        [1, Uint8Array.of(0xff)],
        [2, 'ok'],
      ]),
      'KEEPER_ANSWER_INVALID',
    ],
    ['Encrypt', { status: 2 }, 'KEEPER_REFUSED'],
    ['Encrypt', { status: 3 }, 'KEEPER_REFUSED'],
    ['Encrypt', new Uint8Array(0), 'KEEPER_ANSWER_INVALID'],
    ['Encrypt', writeFields([[1, 'text']]), 'KEEPER_ANSWER_INVALID'],
    ['Encrypt', writeFields([[2, 'id']]), 'KEEPER_ANSWER_INVALID'],
    [
      'Encrypt',
      writeFields([
        [1, new Uint8Array(1025)],
        [2, 'id'],
      ]),
      'KEEPER_ANSWER_INVALID',
    ],
    [
      'Encrypt',
      writeFields([
        [1, 'text'],
        [2, 'i'.repeat(1025)],
      ]),
      'KEEPER_ANSWER_INVALID',
    ],
    [
      'Encrypt',
      writeFields([
        [1, 'text'],
        [2, 'id'],
        [
          3,
          writeFields([
            [1, 'NotADomain'],
            [2, 'x'],
          ]),
        ],
      ]),
      'KEEPER_ANSWER_INVALID',
    ],
    [
      'Encrypt',
      writeFields([
        [1, 'text'],
        [2, 'id'],
        [3, 'x'],
      ]),
      'KEEPER_ANSWER_INVALID',
    ],
    ['Decrypt', { status: 3 }, 'KEEPER_ANSWER_INVALID'],
    ['Decrypt', writeFields([[1, new Uint8Array(32)]]), 'KEEPER_ANSWER_INVALID'],
    ['Decrypt', Uint8Array.of(0x0a, 0x20), 'KEEPER_ANSWER_INVALID'],
  ] as const)('to %s is judged when wrapping (%#)', async (method, answer, code) => {
    plugIn.methods[method] = () => answer
    const refusal = await refusalOf(() => wrapperOn().wrap(KEY))
    expect(refusal.code).toBe(code)
    expect(inspect(refusal, { depth: 9, showHidden: true })).not.toContain('marked')
  })

  it('may be v2beta1, hold unknown fields and repeat an annotation', async () => {
    const real = { ...plugIn.methods }
    const unknown = Uint8Array.of(0x78, 0x96, 0x01, 0x79, 1, 2, 3, 4, 5, 6, 7, 8, 0x7d, 1, 2, 3, 4, 0x7a, 1, 0)
    plugIn.methods['Status'] = () =>
      Buffer.concat([
        writeFields([
          [1, 'v2beta1'],
          [2, 'ok'],
        ]),
        unknown,
      ])
    plugIn.methods['Encrypt'] = (message) =>
      Buffer.concat([
        unknown,
        real['Encrypt']!(message) as Uint8Array,
        writeFields([
          [
            3,
            writeFields([
              [1, 'region.plug-in.example'],
              [2, 'there'],
            ]),
          ],
        ]),
      ])
    const wrapped = await wrapperOn().wrap(KEY)
    expect(Buffer.from(wrapped).includes('there')).toBe(true)
    expect(Buffer.from(wrapped).includes('here\0')).toBe(false)
    expect(await wrapperOn().unwrap(wrapped)).toEqual(KEY)
  })

  it('must fit beside the key', async () => {
    const real = { ...plugIn.methods }
    plugIn.methods['Encrypt'] = (message) =>
      Buffer.concat([
        real['Encrypt']!(message) as Uint8Array,
        writeFields([
          [
            3,
            writeFields([
              [1, 'large.example'],
              [2, new Uint8Array(4000)],
            ]),
          ],
        ]),
      ])
    await expect(wrapperOn().wrap(KEY)).rejects.toThrowCode('KEEPER_WRAPPING_TOO_LARGE')
  })
})

describe('what is no plug-in', () => {
  const trailers =
    (fields: Record<string, string>, body: Uint8Array = framed(new Uint8Array(0)), headers: object = GRPC): Misbehave =>
    (stream) => {
      stream.respond(headers as typeof GRPC, { waitForTrailers: true })
      stream.on('wantTrailers', () => {
        stream.sendTrailers(fields)
      })
      stream.end(body)
    }

  it.each<readonly [string, Misbehave, string]>([
    [
      'another HTTP status',
      trailers({ 'grpc-status': '0' }, framed(KEY), { ...GRPC, ':status': 404 }),
      'KEEPER_ANSWER_INVALID',
    ],
    [
      'another content type',
      trailers({ 'grpc-status': '0' }, framed(KEY), { ...GRPC, 'content-type': 'text/html' }),
      'KEEPER_ANSWER_INVALID',
    ],
    ['no content type', trailers({ 'grpc-status': '0' }, framed(KEY), { ':status': 200 }), 'KEEPER_ANSWER_INVALID'],
    ['no status', trailers({ other: 'x' }), 'KEEPER_ANSWER_INVALID'],
    ['a status that is no number', trailers({ 'grpc-status': 'ok' }), 'KEEPER_ANSWER_INVALID'],
    ['a status in another form', trailers({ 'grpc-status': '00' }), 'KEEPER_ANSWER_INVALID'],
    ['no message', trailers({ 'grpc-status': '0' }, new Uint8Array(0)), 'KEEPER_ANSWER_INVALID'],
    ['half a prefix', trailers({ 'grpc-status': '0' }, new Uint8Array(3)), 'KEEPER_ANSWER_INVALID'],
    ['a short message', trailers({ 'grpc-status': '0' }, framed(KEY).subarray(0, -1)), 'KEEPER_ANSWER_INVALID'],
    [
      'two messages',
      trailers({ 'grpc-status': '0' }, Buffer.concat([framed(KEY), framed(KEY)])),
      'KEEPER_ANSWER_INVALID',
    ],
    ['a compressed message', trailers({ 'grpc-status': '0' }, framed(KEY).fill(1, 0, 1)), 'KEEPER_ANSWER_INVALID'],
    ['far too much', trailers({ 'grpc-status': '0' }, new Uint8Array(40_000)), 'KEEPER_ANSWER_INVALID'],
    [
      'a reset stream',
      (stream) => {
        stream.close(2)
      },
      'KEEPER_UNREACHABLE',
    ],
    [
      'a stream that ends without an answer',
      (stream) => {
        stream.close(0)
      },
      'KEEPER_UNREACHABLE',
    ],
    [
      'half an answer',
      (stream) => {
        stream.respond(GRPC)
        stream.write(framed(KEY))
        setImmediate(() => {
          stream.close(8)
        })
      },
      'KEEPER_UNREACHABLE',
    ],
    [
      'a connection that is cut',
      () => {
        plugIn.cut()
      },
      'KEEPER_UNREACHABLE',
    ],
    [
      'a connection that is cut in the middle',
      (stream, _headers, session) => {
        stream.respond(GRPC)
        stream.write(framed(KEY))
        setImmediate(() => {
          session.destroy()
        })
      },
      'KEEPER_UNREACHABLE',
    ],
    [
      'a connection that is closed',
      (_stream, _headers, session) => {
        session.goaway(0)
        session.destroy()
      },
      'KEEPER_UNREACHABLE',
    ],
  ])('is told by %s', async (_what, misbehave, code) => {
    const wrapped = await wrapperOn().wrap(KEY)
    plugIn.misbehave = misbehave
    for (const run of [() => wrapperOn().wrap(KEY), () => wrapperOn().unwrap(wrapped)]) {
      const refusal = await refusalOf(run)
      expect(refusal.code).toBe(code)
      expect(refusal.message).toMatch(/^[a-z].*;.*[^.]$/)
    }
  })

  it('is told by a socket that is not there, that is a file, or that speaks something else', async () => {
    const wrapped = await wrapperOn().wrap(KEY)
    const directory = tempDir()
    writeFileSync(join(directory, 'file'), 'x')
    for (const name of ['absent', 'file']) {
      const wrapper = kmsWrapper({ socketPath: join(directory, name) })
      await expect(Promise.resolve(wrapper.wrap(KEY))).rejects.toThrowCode('KEEPER_UNREACHABLE')
      await expect(Promise.resolve(wrapper.unwrap(wrapped))).rejects.toThrowCode('KEEPER_UNREACHABLE')
    }
    const talker = createPlainServer((socket) => {
      socket.on('error', () => undefined)
      socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n')
    })
    const socketPath = join(directory, 'talker')
    await new Promise<void>((resolve) => talker.listen(socketPath, resolve))
    onTestFinished(() => {
      talker.close()
    })
    await expect(Promise.resolve(kmsWrapper({ socketPath }).wrap(KEY))).rejects.toThrowCode('KEEPER_ANSWER_INVALID')
  })
})

describe('waiting for a plug-in', () => {
  /** Resolves once a call has come in that is never answered. */
  const silence = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      plugIn.misbehave = () => {
        resolve()
      }
    })
  }

  it('ends when its time is over', async () => {
    const clock = manualClock()
    const called = silence()
    const wrapping = refusalOf(() => wrapperOn({ clock, timeoutMs: 500 }).wrap(KEY))
    await called
    await clock.advance(499)
    expect(clock.sleepers()).toBe(1)
    await clock.advance(1)
    const refusal = await wrapping
    expect(refusal.code).toBe('KEEPER_UNREACHABLE')
    expect(refusal.message).toContain('500 ms')
  })

  it('leaves no timer behind', async () => {
    const clock = manualClock()
    await wrapperOn({ clock }).wrap(KEY)
    expect(clock.sleepers()).toBe(0)
  })

  it('ends with the reason of the signal', async () => {
    const stop = new AbortController()
    const reason = new Error('enough')
    const wrapped = await wrapperOn().wrap(KEY)
    const called = silence()
    const unwrapping = wrapperOn({ signal: stop.signal }).unwrap(wrapped)
    const seen = expect(Promise.resolve(unwrapping)).rejects.toBe(reason)
    await called
    stop.abort(reason)
    await seen
  })

  it('does not begin once the signal is aborted', async () => {
    const reason = new Error('enough')
    const wrapper = wrapperOn({ signal: AbortSignal.abort(reason) })
    await expect(Promise.resolve(wrapper.wrap(KEY))).rejects.toBe(reason)
    await expect(Promise.resolve(wrapper.unwrap(new Uint8Array(9)))).rejects.toBe(reason)
    expect(plugIn.connections()).toBe(0)
  })

  it('shows no key in any refusal', async () => {
    const random = seededRandom(3)
    const wrapped = await wrapperOn().wrap(KEY)
    plugIn.misbehave = (stream) => {
      stream.close(2)
    }
    const refusals = [
      await refusalOf(() => wrapperOn({ random }).wrap(KEY)),
      await refusalOf(() => wrapperOn().unwrap(wrapped)),
    ]
    const seed = random.draws[0]!
    for (const refusal of refusals) {
      const seen = inspect(refusal, { depth: 9, showHidden: true }) + JSON.stringify(refusal)
      expect(seen).not.toContain('192, 193')
      expect(seen).not.toContain([...seed.subarray(0, 4)].join(', '))
      expect(seen).not.toContain(Buffer.from(seed).toString('hex'))
    }
  })
})
