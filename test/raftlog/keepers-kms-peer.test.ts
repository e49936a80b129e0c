import { createServer } from 'node:http2'
import { join } from 'node:path'
import {
  create,
  createFileRegistry,
  type DescMessage,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from '@bufbuild/protobuf'
import {
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createConnectRouter } from '@connectrpc/connect'
import { kmsWrapper } from '@leastwise/raftlog/node'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  decodeDecryptResponse,
  decodeEncryptResponse,
  decodeStatusResponse,
  encodeDecryptRequest,
  encodeEncryptRequest,
  encodeStatusRequest,
} from '../../packages/raftlog/src/keepers/kms-messages.ts'
import { decodeFields } from '../../packages/raftlog/src/keepers/protobuf.ts'
import { tempDir } from '../support/temp-dir.ts'

const KEY = new Uint8Array(32).fill(0x33)

type Plain = Message & Readonly<Record<string, unknown>>

/** The API as a description, made here so that another implementation of protobuf and gRPC can judge ours. */
function describeApi(): DescService {
  const field = (name: string, number: number, type: Type, typeName = '') => ({
    name,
    number,
    type,
    typeName,
    label: typeName === '' ? Label.OPTIONAL : Label.REPEATED,
  })
  const { BYTES, STRING, MESSAGE } = Type
  const annotations = {
    name: 'AnnotationsEntry',
    field: [field('key', 1, STRING), field('value', 2, BYTES)],
    options: { mapEntry: true },
  }
  const method = (name: string) => ({ name, inputType: `.v2.${name}Request`, outputType: `.v2.${name}Response` })
  const file = create(FileDescriptorProtoSchema, {
    name: 'api.proto',
    package: 'v2',
    syntax: 'proto3',
    messageType: [
      { name: 'StatusRequest' },
      {
        name: 'StatusResponse',
        field: [field('version', 1, STRING), field('healthz', 2, STRING), field('key_id', 3, STRING)],
      },
      { name: 'EncryptRequest', field: [field('plaintext', 1, BYTES), field('uid', 2, STRING)] },
      {
        name: 'EncryptResponse',
        field: [
          field('ciphertext', 1, BYTES),
          field('key_id', 2, STRING),
          field('annotations', 3, MESSAGE, '.v2.EncryptResponse.AnnotationsEntry'),
        ],
        nestedType: [annotations],
      },
      {
        name: 'DecryptRequest',
        field: [
          field('ciphertext', 1, BYTES),
          field('uid', 2, STRING),
          field('key_id', 3, STRING),
          field('annotations', 4, MESSAGE, '.v2.DecryptRequest.AnnotationsEntry'),
        ],
        nestedType: [annotations],
      },
      { name: 'DecryptResponse', field: [field('plaintext', 1, BYTES)] },
    ],
    service: [{ name: 'KeyManagementService', method: ['Status', 'Encrypt', 'Decrypt'].map(method) }],
  })
  return createFileRegistry(file, () => undefined).getService('v2.KeyManagementService')!
}

const api = describeApi()
const read = (schema: DescMessage, bytes: Uint8Array): Plain => fromBinary(schema, bytes)
const write = (schema: DescMessage, fields: Readonly<Record<string, unknown>>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(toBinary(schema, create(schema, fields)))
const messages = (name: 'status' | 'encrypt' | 'decrypt') => api.method[name]!

/** Serves the API on a unix socket with `@connectrpc/connect`. */
async function startPeer(): Promise<{ readonly socketPath: string; readonly seen: Plain[] }> {
  const seen: Plain[] = []
  const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 0x5a)
  const router = createConnectRouter({ connect: false, grpcWeb: false })
  router.service(api, {
    status: () => ({ version: 'v2', healthz: 'ok', keyId: 'key-1' }),
    encrypt: (request: Plain) => {
      seen.push(request)
      const annotations = { 'a.example': Uint8Array.of(1), 'b.example': new Uint8Array(0) }
      return { ciphertext: flip(request['plaintext'] as Uint8Array), keyId: 'key-1', annotations }
    },
    decrypt: (request: Plain) => {
      seen.push(request)
      if (request['keyId'] !== 'key-1') throw new ConnectError('no such key', Code.NotFound)
      return { plaintext: flip(request['ciphertext'] as Uint8Array) }
    },
  } as never)
  const server = createServer((request, response) => {
    const handler = router.handlers.find(({ requestPath }) => requestPath === request.url)!
    const header = new Headers(
      Object.entries(request.headers).flatMap(([name, value]) =>
        name.startsWith(':') || typeof value !== 'string' ? [] : [[name, value] satisfies [string, string]],
      ),
    )
    const answer = async (): Promise<void> => {
      const {
        status,
        header: headers,
        body,
        trailer,
      } = await handler({
        httpVersion: '2.0',
        url: `http://localhost${request.url}`,
        method: request.method,
        header,
        body: request,
        signal: new AbortController().signal,
      })
      response.writeHead(status, Object.fromEntries(headers ?? []))
      if (body instanceof Uint8Array) response.write(body)
      else if (body != null) for await (const chunk of body) response.write(chunk)
      response.addTrailers(Object.fromEntries(trailer ?? []))
      response.end()
    }
    void answer()
  })
  const socketPath = join(tempDir(), 'kms.sock')
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  onTestFinished(() => {
    server.close()
  })
  return { socketPath, seen }
}

describe('another implementation of gRPC', () => {
  it('serves us', async () => {
    const { socketPath, seen } = await startPeer()
    const wrapped = await kmsWrapper({ socketPath }).wrap(KEY)
    expect(await kmsWrapper({ socketPath }).unwrap(wrapped)).toEqual(KEY)
    expect(seen).toHaveLength(3)
    expect(seen[0]!['plaintext']).toHaveLength(32)
    for (const request of seen.slice(1)) {
      expect(request).toMatchObject({ keyId: 'key-1' })
      expect(request['annotations']).toEqual({ 'a.example': Uint8Array.of(1), 'b.example': new Uint8Array(0) })
    }
    const at = Buffer.from(wrapped).indexOf('key-1')
    expect(await kmsWrapper({ socketPath }).unwrap(wrapped.with(at, 0x4b))).toBeNull()
  })
})

describe('another implementation of protobuf', () => {
  const domain = fc.stringMatching(/^[a-z0-9]{1,12}\.[a-z0-9]{1,12}$/)
  const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength }).map((array) => new Uint8Array(array))
  const sealed = fc.record({
    ciphertext: bytes(1024),
    keyId: fc.string({ minLength: 1, maxLength: 200, unit: 'grapheme' }),
    annotations: fc
      .uniqueArray(fc.record({ key: domain, value: bytes(200) }), { selector: ({ key }) => key, maxLength: 5 })
      .map((list) => list.sort((a, b) => (a.key < b.key ? -1 : 1))),
  })

  it('law: reads our requests', () => {
    fc.assert(
      fc.property(sealed, fc.string(), ({ ciphertext, keyId, annotations }, uid) => {
        const request = read(messages('decrypt').input, encodeDecryptRequest({ ciphertext, keyId, annotations }, uid))
        expect(request).toMatchObject({ ciphertext, keyId, uid })
        expect(request['annotations']).toEqual(Object.fromEntries(annotations.map(({ key, value }) => [key, value])))
        expect(read(messages('encrypt').input, encodeEncryptRequest(ciphertext, uid))).toMatchObject({
          plaintext: ciphertext,
          uid,
        })
      }),
      { numRuns: 200 },
    )
    expect(encodeStatusRequest()).toHaveLength(0)
  })

  it('law: writes answers that we read', () => {
    fc.assert(
      fc.property(sealed, ({ ciphertext, keyId, annotations }) => {
        const map = Object.fromEntries(annotations.map(({ key, value }) => [key, value]))
        const answer = write(messages('encrypt').output, { ciphertext, keyId, annotations: map })
        expect(decodeEncryptResponse(answer)).toEqual({ ciphertext, keyId, annotations })
        expect(decodeDecryptResponse(write(messages('decrypt').output, { plaintext: ciphertext }))).toEqual(ciphertext)
      }),
      { numRuns: 200 },
    )
    expect(
      decodeStatusResponse(write(messages('status').output, { version: 'v2', healthz: 'ok', keyId: 'x' })),
    ).toEqual({
      version: 'v2',
      healthz: 'ok',
    })
  })

  it('law: garbage, cuts and flipped bits are read or refused, and nothing is thrown', () => {
    const good = write(messages('encrypt').output, {
      ciphertext: new Uint8Array(40),
      keyId: 'key',
      annotations: { 'a.example': new Uint8Array(3) },
    })
    let refused = 0
    const tryAll = (message: Uint8Array): void => {
      if (decodeEncryptResponse(message) === null) refused += 1
      decodeStatusResponse(message)
      decodeDecryptResponse(message)
    }
    for (let at = 0; at < good.length; at += 1) {
      tryAll(good.subarray(0, at))
      for (let bit = 0; bit < 8; bit += 1) tryAll(good.with(at, good[at]! ^ (1 << bit)))
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), tryAll), { numRuns: 2000 })
    expect(refused).toBeGreaterThan(1000)
  })

  it.each([
    ['a group', [0x0b, 0x0c]],
    ['type 6', [0x0e, 0]],
    ['field 0', [0x02, 0]],
    ['a length beyond the end', [0x0a, 2, 0]],
    ['a length that never ends', [0x0a, ...new Array<number>(11).fill(0xff)]],
    ['a huge length', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['a huge field number', [0xfa, 0xff, 0xff, 0xff, 0xff, 0x01, 0]],
    ['half a fixed number', [0x09, 1, 2, 3]],
    ['half a number', [0x08, 0x80]],
  ])('and ours refuse %s', (_what, message) => {
    expect(decodeFields(Uint8Array.from(message))).toBeNull()
    expect(() => read(messages('decrypt').output, Uint8Array.from(message))).toThrow()
  })
})
