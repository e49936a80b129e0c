import { inspect } from 'node:util'
import { Code, ConnectError } from '@connectrpc/connect'
import { CODE_TRAILER, SWARM_ERROR_CODES, SwarmError, wireStatusOf } from '@leastwise/swarm'
import { describe, expect, it } from 'vitest'
import { answerError } from '../../packages/swarm/src/wire/answer.ts'
import { toConnectError } from '../../packages/swarm/src/wire/status.ts'

const MARK = 'marked-secret-5d1e'

describe('an error on its way out', () => {
  it.each([
    'TOKEN_UNKNOWN',
    'TOKEN_EXPIRED',
    'TOKEN_EXHAUSTED',
    'TOKEN_REVOKED',
    'TOKEN_MALFORMED',
    'JOIN_TOKEN_REJECTED',
  ])('shows one face for %s', (code) => {
    expect(wireStatusOf(Object.assign(new Error(MARK), { code }))).toEqual({
      status: Code.InvalidArgument,
      code: 'JOIN_TOKEN_REJECTED',
      message: 'A valid join token is necessary to join this cluster',
    })
  })

  it.each([...SWARM_ERROR_CODES, 'PEER_EVICTED', 'CSR_MALFORMED', 'ENOENT', 'NO_SUCH_CODE'])(
    'never carries the host’s words, with %s',
    (code) => {
      const sent = toConnectError(Object.assign(new Error(MARK), { code }))
      expect(sent.message + sent.metadata.get(CODE_TRAILER)!).not.toContain(MARK)
    },
  )

  it.each([
    undefined,
    null,
    7,
    'text',
    new Error(MARK),
    { code: 7 },
    Object.assign(new Error(MARK), { code: 'ENOSPC' }),
  ])('is internal when nobody knows it', (error) => {
    expect(wireStatusOf(error)).toMatchObject({ status: Code.Internal, code: 'INTERNAL' })
    expect(inspect(wireStatusOf(error))).not.toContain(MARK)
  })

  it('of the gRPC layer passes as it is', () => {
    const own = new ConnectError('too big', Code.ResourceExhausted)
    expect(toConnectError(own)).toBe(own)
  })
})

const broken = (code: string): Error => Object.assign(new Error('x'), { code })

describe('an error on its way in', () => {
  const sent = (status: Code, code?: string, message = 'x'): unknown =>
    answerError(new ConnectError(message, status, code === undefined ? {} : { [CODE_TRAILER]: code }))

  it('keeps the code that the manager gave', () => {
    for (const code of [
      'JOIN_TOKEN_REJECTED',
      'ROLE_NOT_GRANTED',
      'SESSION_UNKNOWN',
      'REGISTRATION_LIMIT',
      'CALLER_ROLE',
      'NODE_UNKNOWN',
    ])
      expect(sent(Code.Unknown, code)).toMatchObject({ code })
    expect(sent(Code.PermissionDenied, 'PEER_EVICTED')).toMatchObject({ code: 'NODE_EVICTED' })
  })

  it.each([
    ['plain HTTP', new ConnectError('x', Code.Internal, undefined, undefined, broken('ERR_SSL_WRONG_VERSION_NUMBER'))],
    [
      'HTTP/1 over TLS',
      new ConnectError('x', Code.Internal, undefined, undefined, broken('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')),
    ],
    ['a web server', new ConnectError('unsupported content type text/html', Code.Unknown)],
    ['a web server without the page', new ConnectError('HTTP 404', Code.Unimplemented)],
  ])('from %s says that no manager is there', (_what, error) => {
    expect(answerError(error)).toMatchObject({
      code: 'MANAGER_REFUSED',
      message: 'what answers there does not speak the protocol of a manager, check address and port',
    })
  })

  it('without a code is read from status and Docker’s text', () => {
    expect(sent(Code.InvalidArgument, undefined, 'A valid join token is necessary to join this cluster')).toMatchObject(
      { code: 'JOIN_TOKEN_REJECTED' },
    )
    expect(sent(Code.InvalidArgument)).toMatchObject({ code: 'MANAGER_REFUSED' })
    expect(sent(Code.PermissionDenied)).toMatchObject({ code: 'MANAGER_REFUSED' })
    expect(sent(Code.NotFound)).toMatchObject({ code: 'SESSION_UNKNOWN' })
    expect(sent(Code.Unavailable)).toMatchObject({ code: 'MANAGER_UNREACHABLE' })
    expect(sent(Code.DeadlineExceeded)).toMatchObject({ code: 'MANAGER_UNREACHABLE' })
  })

  it('does not believe a code that it does not know', () => {
    expect(sent(Code.PermissionDenied, 'WIPE_EVERYTHING')).toMatchObject({ code: 'MANAGER_REFUSED' })
  })

  it.each([
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'CERT_HAS_EXPIRED',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ])('says untrusted for %s', (code) => {
    const cause = Object.assign(new Error('tls'), { code })
    expect(answerError(new ConnectError('x', Code.Unavailable, undefined, undefined, cause))).toMatchObject({
      code: 'MANAGER_UNTRUSTED',
    })
  })

  it('passes a coded error, and wraps the rest', () => {
    const own = new SwarmError('MESSAGE_MALFORMED', 'x')
    expect(answerError(own)).toBe(own)
    expect(answerError(Object.assign(new Error('x'), { code: 'ECONNRESET' }))).toMatchObject({
      code: 'MANAGER_UNREACHABLE',
    })
    expect(answerError(new Error('x'))).toMatchObject({ code: 'MANAGER_UNREACHABLE' })
  })
})
