import { type ClientHttp2Session, connect } from 'node:http2'
import { IdentityError } from '@leastwise/identity'
import { clientContextOptions } from '@leastwise/identity/node'
import { ACCESS_TABLE, checkAccess, type NodeCredentials, RENEWAL_METHODS } from '@leastwise/swarm'
import { describe, expect, it } from 'vitest'
import { field, openCall, rawCall, rawHttp2 } from '../support/swarm-raw.ts'
import { credentialsOf, type RunningManager, startManager } from '../support/swarm-server.ts'
import { testCluster } from '../support/test-authority.ts'

const tlsOf = ({ privateKey, certificateChain, trustBundle }: NodeCredentials) =>
  clientContextOptions({ privateKey, certificateChain, trustBundle: Buffer.from(trustBundle).toString() })

const METHODS = Object.keys(ACCESS_TABLE)
  .filter((name) => name.startsWith('docker.'))
  .map((name) => name.replace('docker.swarmkit.v1.', ''))
const OPEN = ['CA/GetRootCACertificate', 'NodeCA/IssueNodeCertificate', 'NodeCA/NodeCertificateStatus']
const PERMISSION_DENIED = 7

/** Streams that stay open are asked until something comes, or until the server has clearly let them in. */
async function statusOf(
  session: ClientHttp2Session,
  method: string,
): Promise<{ status: number | null; code: string | null; message: string }> {
  const { stream, answer } = openCall(session, method, new Uint8Array())
  if (method === 'LogBroker/ListenSubscriptions') {
    const opened = await Promise.race([
      new Promise<'open'>((resolve) =>
        setTimeout(() => {
          resolve('open')
        }, 100),
      ),
      answer,
    ])
    if (opened === 'open') {
      stream.close()
      return { status: 0, code: null, message: '' }
    }
  }
  if (method === 'Dispatcher/Session')
    stream.once('data', () => {
      stream.close()
    })
  const { grpcStatus, code, message } = await answer
  return { status: grpcStatus, code, message }
}

const callersOf = async (running: RunningManager) => ({
  worker: await rawHttp2(running.port, tlsOf(await running.member())),
  manager: await rawHttp2(running.port, tlsOf(await running.member({ role: 'manager' }))),
  anonymous: await rawHttp2(running.port, { ALPNProtocols: ['h2'] }),
})

describe('who may call what', () => {
  it('is decided for every method and every caller as in the table', async () => {
    const running = await startManager()
    const { worker, manager, anonymous } = await callersOf(running)
    const evictedNode = await running.member()
    running.manager.evicted.add(evictedNode.nodeId)
    const evicted = await rawHttp2(running.port, tlsOf(evictedNode))
    for (const method of METHODS) {
      const byWorker = await statusOf(worker, method)
      const byManager = await statusOf(manager, method)
      const byNobody = await statusOf(anonymous, method)
      const byEvicted = await statusOf(evicted, method)
      expect([method, byEvicted.status, byEvicted.code]).toEqual([method, PERMISSION_DENIED, 'PEER_EVICTED'])
      expect([method, byManager.status === PERMISSION_DENIED]).toEqual([method, false])
      expect([method, byWorker.status === PERMISSION_DENIED]).toEqual([method, method === 'CA/GetUnlockKey'])
      expect([method, byNobody.status === PERMISSION_DENIED]).toEqual([method, !OPEN.includes(method)])
    }
  })

  it('says what Docker says', async () => {
    const running = await startManager()
    const { worker, manager, anonymous } = await callersOf(running)
    expect(await rawCall(anonymous, 'CA/GetUnlockKey')).toMatchObject({
      grpcStatus: 7,
      code: 'CALLER_ANONYMOUS',
      message:
        'Permission denied: unauthorized peer role: rpc error: code = PermissionDenied desc = no client certificates in request',
    })
    expect(await rawCall(worker, 'CA/GetUnlockKey')).toMatchObject({
      grpcStatus: 7,
      code: 'CALLER_ROLE',
      message:
        'Permission denied: unauthorized peer role: rpc error: code = PermissionDenied desc = Permission denied: remote certificate not part of OUs: [swarm-manager]',
    })
    expect(await rawCall(manager, 'CA/GetUnlockKey')).toMatchObject({ grpcStatus: 12, code: 'UNLOCK_KEY_NOT_KEPT' })
    expect(
      await rawCall(
        anonymous,
        'NodeCA/IssueNodeCertificate',
        Buffer.concat([field(2, 'csr'), field(3, 'SWMTKN-wrong')]),
      ),
    ).toMatchObject({
      grpcStatus: 3,
      code: 'JOIN_TOKEN_REJECTED',
      message: 'A valid join token is necessary to join this cluster',
    })
  })

  it('lets nobody call what stands in no row', () => {
    const peer = { role: 'manager' } as Parameters<typeof checkAccess>[1]
    for (const method of ['docker.swarmkit.v1.Control/ListNodes', 'toString', '__proto__', ''])
      expect(() => {
        checkAccess(method, peer, { authorize: () => undefined })
      }).toThrowCode('CALLER_ROLE')
  })

  it('asks the milder rule for the calls of a renewal, and for no other', () => {
    const peer = { role: 'worker' } as Parameters<typeof checkAccess>[1]
    const stale = new IdentityError('PEER_ROLE_STALE', 'it must renew')
    const rules = {
      authorize: () => {
        throw stale
      },
      authorizeRenewal: () => undefined,
    }
    const open = Object.keys(ACCESS_TABLE).filter((method) => {
      try {
        checkAccess(method, peer, rules)
        return true
      } catch (error) {
        expect(error).toBe(stale)
        return false
      }
    })
    expect(open).toEqual(Object.keys(ACCESS_TABLE).filter((method) => RENEWAL_METHODS.has(method)))
    expect(open).toHaveLength(RENEWAL_METHODS.size)
    for (const method of Object.keys(ACCESS_TABLE))
      expect(() => {
        checkAccess(method, peer, { authorize: rules.authorize })
      }).toThrowCode('PEER_ROLE_STALE')
  })

  it('lets a node ask only for its own certificate', async () => {
    const running = await startManager()
    const other = await running.member()
    const session = await rawHttp2(running.port, tlsOf(await running.member()))
    expect(await rawCall(session, 'NodeCA/NodeCertificateStatus', field(1, other.nodeId))).toMatchObject({
      grpcStatus: 5,
      code: 'NODE_UNKNOWN',
    })
  })

  it('takes the certificate, not a token beside it, for who is asking', async () => {
    const running = await startManager()
    const { manager, workerToken } = running
    const session = await rawHttp2(running.port, tlsOf(await running.member()))
    manager.settings.renewalError = Object.assign(new Error('out'), { code: 'PEER_UNKNOWN' })
    await rawCall(session, 'NodeCA/IssueNodeCertificate', Buffer.concat([field(2, 'csr'), field(3, workerToken)]))
    expect(manager.calls).toMatchObject({ enroll: 0, renew: 1 })
  })
})

describe('a connection', () => {
  it('with a certificate of another cluster under its own root is cut', async () => {
    const running = await startManager()
    const foreign = await testCluster()
    // He trusts our root, so that it is the server who has to refuse.
    const trustBundle = running.manager.trustBundle()
    const stranger = { ...credentialsOf(await foreign.issue(), foreign), trustBundle }
    const session = await rawHttp2(running.port, tlsOf(stranger))
    const answer = await rawCall(session, 'CA/GetRootCACertificate')
    expect(answer).toMatchObject({ httpStatus: 0, grpcStatus: null, messages: [] })
    expect(running.server.sessions()).toEqual([])
    // The stranger sees his connection end; the reason is for the host.
    expect(running.refused).toMatchObject([{ address: '127.0.0.1', error: { code: 'PEER_UNTRUSTED' } }])
  })

  it('with an expired certificate is cut, even for the open methods', async () => {
    const running = await startManager()
    const hour = 3_600_000
    const node = await running.cluster.issue({ now: Date.now() - 1000, lifetimeMs: 500, backdateMs: 0 })
    expect(node.certificate.notAfter).toBeLessThan(Date.now() + hour)
    const session = await rawHttp2(running.port, { ...tlsOf(credentialsOf(node, running.cluster)) })
    expect(await rawCall(session, 'CA/GetRootCACertificate')).toMatchObject({ httpStatus: 0, messages: [] })
    expect(running.refused).toMatchObject([{ error: { code: 'PEER_EXPIRED' } }])
  })

  it('is cut within a second of the eviction, streams and all; others stay', async () => {
    const running = await startManager()
    const leaving = await running.member()
    const staying = await running.member()
    const one = await rawHttp2(running.port, tlsOf(leaving))
    const two = await rawHttp2(running.port, tlsOf(staying))
    const cutStream = openCall(one, 'Dispatcher/Session', new Uint8Array())
    const liveStream = openCall(two, 'Dispatcher/Session', new Uint8Array())
    await Promise.all([cutStream.first, liveStream.first])
    running.manager.evicted.add(leaving.nodeId)
    const before = performance.now()
    expect(running.server.recheck().map(({ nodeId }) => nodeId)).toEqual([leaving.nodeId])
    expect(running.server.sessions().map(({ peer }) => peer?.nodeId)).toEqual([staying.nodeId])
    await cutStream.answer
    expect(performance.now() - before).toBeLessThan(1000)
    expect(liveStream.stream.closed).toBe(false)
  })

  it('beyond the limit of its address is refused', async () => {
    const running = await startManager({ limits: { maxConnectionsPerAddress: 2 } })
    await rawHttp2(running.port, { ALPNProtocols: ['h2'] })
    await rawHttp2(running.port, { ALPNProtocols: ['h2'] })
    await expect(rawHttp2(running.port, { ALPNProtocols: ['h2'] })).rejects.toThrow()
  })

  it('that makes no call is closed after its time', async () => {
    const running = await startManager({ limits: { firstCallTimeoutMs: 50 } })
    const session = await rawHttp2(running.port, { ALPNProtocols: ['h2'] })
    await new Promise((resolve) => session.once('close', resolve))
    expect(running.server.sessions()).toEqual([])
  })

  it('without TLS gets nowhere', async () => {
    const running = await startManager()
    const session = connect(`http://127.0.0.1:${running.port}`)
    await new Promise((resolve) => {
      session.once('error', resolve)
      session.once('close', resolve)
    })
    session.destroy()
    expect(running.server.sessions()).toEqual([])
  })
})
