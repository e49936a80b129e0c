import { inspect } from 'node:util'
import { create, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf'
import { clientContextOptions } from '@leastwise/identity/node'
import type { NodeCredentials } from '@leastwise/swarm'
import { describe, expect, it } from 'vitest'
import {
  AssignmentsMessageSchema,
  SessionMessageSchema,
  SessionRequestSchema,
  UpdateTaskStatusRequestSchema,
} from '../../packages/swarm/src/gen/docker/swarmkit/v1/dispatcher_pb.ts'
import { IssueNodeCertificateRequestSchema } from '../../packages/swarm/src/gen/docker/swarmkit/v1/identity_pb.ts'
import { decodeAssignmentSet, encodeAssignmentSet } from '../../packages/swarm/src/wire/assignments.ts'
import { decodeDescription, encodeDescription } from '../../packages/swarm/src/wire/description.ts'
import { decodeSessionMessage, encodeSessionMessage } from '../../packages/swarm/src/wire/session-message.ts'
import { decodeTaskStatuses, encodeTaskStatus } from '../../packages/swarm/src/wire/task-status.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { DESCRIPTION } from '../support/swarm-probe.ts'
import { field, rawCall, rawHttp2 } from '../support/swarm-raw.ts'
import { startManager } from '../support/swarm-server.ts'

const tlsOf = ({ privateKey, certificateChain, trustBundle }: NodeCredentials) =>
  clientContextOptions({ privateKey, certificateChain, trustBundle: Buffer.from(trustBundle).toString() })

const MARK = 'marked-secret-value-9f2c'
const secretSet = encodeAssignmentSet({
  kind: 'complete',
  appliesTo: '',
  resultsIn: '1',
  changes: [
    {
      action: 'update',
      item: {
        kind: 'secret',
        secret: { id: 's1', name: 'n', labels: { a: 'b' }, value: new TextEncoder().encode(MARK) },
      },
    },
    { action: 'remove', item: { kind: 'task', id: 't0' } },
  ],
})
const samples: readonly (readonly [string, DescMessage, Uint8Array, (bytes: Uint8Array) => unknown])[] = [
  [
    'assignments',
    AssignmentsMessageSchema,
    toBinary(AssignmentsMessageSchema, secretSet),
    (bytes) => decodeAssignmentSet(fromBinary(AssignmentsMessageSchema, bytes)),
  ],
  [
    'session message',
    SessionMessageSchema,
    toBinary(
      SessionMessageSchema,
      encodeSessionMessage('node1', 'session1', {
        certificate: 'rotate',
        availability: 'drain',
        managers: [{ nodeId: 'm', address: 'h:1', weight: 1 }],
        trustBundle: new Uint8Array([1, 2, 3]),
        networkKeys: [{ subsystem: 'networking:gossip', key: new Uint8Array(16), lamportTime: 7n }],
      }),
    ),
    (bytes) => decodeSessionMessage(fromBinary(SessionMessageSchema, bytes)),
  ],
  [
    'session request',
    SessionRequestSchema,
    toBinary(SessionRequestSchema, create(SessionRequestSchema, { description: encodeDescription(DESCRIPTION) })),
    (bytes) => decodeDescription(fromBinary(SessionRequestSchema, bytes).description),
  ],
  [
    'status request',
    UpdateTaskStatusRequestSchema,
    toBinary(
      UpdateTaskStatusRequestSchema,
      create(UpdateTaskStatusRequestSchema, {
        sessionId: 's',
        updates: [
          encodeTaskStatus({ taskId: 't', state: 'failed', at: 5, message: 'm', error: 'e', exitCode: 1, pid: 2 }),
        ],
      }),
    ),
    (bytes) => decodeTaskStatuses(fromBinary(UpdateTaskStatusRequestSchema, bytes)),
  ],
]

/** The protobuf layer's own refusals are plain errors; everything after it must be coded. */
const refusal = (read: () => unknown): string | null => {
  try {
    read()
    return null
  } catch (error) {
    expect(error).toBeInstanceOf(Error)
    expect(inspect(error)).not.toContain(MARK)
    const code = 'code' in (error as Error) ? String((error as { code: unknown }).code) : 'protobuf'
    // Text that is no UTF-8 is refused by the decoder of the platform.
    return code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'protobuf' : code
  }
}
const ALLOWED: readonly (string | null)[] = [null, 'protobuf', 'REQUEST_MALFORMED', 'MESSAGE_MALFORMED']

describe.each(samples)('a damaged %s', (_name, _schema, bytes, read) => {
  it('is read or refused, truncated at every byte', () => {
    expect(refusal(() => read(bytes))).toBeNull()
    for (let length = 0; length < bytes.length; length += 1)
      expect(ALLOWED).toContain(refusal(() => read(bytes.slice(0, length))))
  })

  it('is read or refused with any one bit flipped', () => {
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const damaged = bytes.slice()
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      expect(ALLOWED).toContain(refusal(() => read(damaged)))
    }
  })
})

describe('a server', () => {
  it('answers every damaged request body and lives on', async () => {
    const { port, member, manager, workerToken } = await startManager()
    const session = await rawHttp2(port, tlsOf(await member()))
    const request = toBinary(
      IssueNodeCertificateRequestSchema,
      create(IssueNodeCertificateRequestSchema, {
        csr: new TextEncoder().encode('not a request'),
        token: workerToken,
        role: 1,
      }),
    )
    manager.settings.renewalError = Object.assign(new Error('no'), { code: 'NODE_EVICTED' })
    const random = seededRandom(11)
    const bodies = [
      ...Array.from({ length: request.length }, (_unused, length) => request.slice(0, length)),
      ...Array.from({ length: 60 }, (_unused, index) => random.bytes(index * 7)),
    ]
    for (const method of [
      'NodeCA/IssueNodeCertificate',
      'Dispatcher/Heartbeat',
      'Dispatcher/UpdateTaskStatus',
      'Dispatcher/Assignments',
      'NodeCA/NodeCertificateStatus',
    ]) {
      const answers = await Promise.all(bodies.slice(0, 60).map(async (body) => await rawCall(session, method, body)))
      for (const { grpcStatus } of answers) expect(grpcStatus).toBeGreaterThan(0)
    }
    const rest = await Promise.all(
      bodies.slice(60).map(async (body) => await rawCall(session, 'NodeCA/IssueNodeCertificate', body)),
    )
    for (const { grpcStatus } of rest) expect(grpcStatus).toBeGreaterThan(0)
    expect(await rawCall(session, 'CA/GetRootCACertificate')).toMatchObject({ grpcStatus: 0 })
  })

  it('answers broken framing and lives on', async () => {
    const { port } = await startManager()
    const frames = [
      [],
      [0],
      [0, 0, 0, 0],
      [0, 0, 0, 0, 9, 1],
      [0, 255, 255, 255, 255],
      [1, 0, 0, 0, 1, 0],
      [7, 0, 0, 0, 0],
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    const session = await rawHttp2(port, { ALPNProtocols: ['h2'] })
    for (const raw of frames) {
      const { grpcStatus } = await rawCall(session, 'CA/GetRootCACertificate', new Uint8Array(), Uint8Array.from(raw))
      expect([raw, grpcStatus === null || grpcStatus > 0]).toEqual([raw, true])
    }
    expect(await rawCall(session, 'CA/GetRootCACertificate')).toMatchObject({ grpcStatus: 0 })
  })

  it('refuses requests, tokens and bodies that are too large before anybody looks at them', async () => {
    const { port, manager } = await startManager()
    const session = await rawHttp2(port, { ALPNProtocols: ['h2'] })
    expect(await rawCall(session, 'NodeCA/IssueNodeCertificate', field(2, 'x'.repeat(65_537)))).toMatchObject({
      grpcStatus: 3,
      code: 'REQUEST_TOO_LARGE',
    })
    const longToken = Buffer.concat([field(2, 'csr'), field(3, 'x'.repeat(257))])
    expect(await rawCall(session, 'NodeCA/IssueNodeCertificate', longToken)).toMatchObject({
      grpcStatus: 3,
      code: 'JOIN_TOKEN_REJECTED',
    })
    expect(await rawCall(session, 'NodeCA/IssueNodeCertificate', field(3, 'token'))).toMatchObject({
      grpcStatus: 3,
      code: 'REQUEST_MALFORMED',
    })
    const huge = await rawCall(session, 'NodeCA/IssueNodeCertificate', field(2, new Uint8Array(5_000_000)))
    expect(huge).toMatchObject({ grpcStatus: 8 })
    expect(manager.calls.enroll).toBe(0)
  })

  it('never lets a host’s words out', async () => {
    const { port, manager } = await startManager()
    manager.trustBundle = () => {
      throw new Error(`cannot open ${MARK}`)
    }
    const session = await rawHttp2(port, { ALPNProtocols: ['h2'] })
    const answer = await rawCall(session, 'CA/GetRootCACertificate')
    expect(answer).toMatchObject({ grpcStatus: 13, code: 'INTERNAL' })
    expect(inspect(answer)).not.toContain(MARK)
  })
})
