import { join } from 'node:path'
import { createCsr, nodeOf, parseCertificateChain, recoveryClaimOf, signRecovery } from '@leastwise/identity'
import { createNodeKey, openKeyFile, openSigner, systemDigest } from '@leastwise/identity/node'
import { memoryLog } from '@leastwise/raftlog'
import type { RecoverRequest } from '@leastwise/swarm'
import { createPendingKey } from '@leastwise/swarm/node'
import { hashPublicKey } from '@leastwise/tokens'
import { describe, expect, it } from 'vitest'
import { evictionOrders } from '../../examples/orchestrator/manager/eviction/evicting.ts'
import { createIssuing } from '../../examples/orchestrator/manager/issuing/issuing.ts'
import { createRecovering } from '../../examples/orchestrator/manager/membership/recovering.ts'
import { openStore } from '../../examples/orchestrator/manager/store.ts'
import { loadRecoveryKey, saveRecoveryKey } from '../../examples/orchestrator/worker/credentials.ts'
import { tempDir } from '../support/temp-dir.ts'
import { type TestNode, testCluster } from '../support/test-authority.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** A founded cluster with one worker, `sinceMs` after whose last certificate it is now. */
async function scene(sinceMs: number) {
  const now = Date.now()
  const cluster = await testCluster({ now: now - HOUR_MS - sinceMs })
  const node = await cluster.issue({ lifetimeMs: HOUR_MS })
  const log = memoryLog()
  const store = await openStore(log)
  const issuing = createIssuing({ store, now: () => now, outside: null, signal: new AbortController().signal })
  const { clusterId, root, rootKey } = cluster
  const { nodeId, csr, certificate, certificateChain } = node
  const publicKeyHash = hashPublicKey(csr.publicKey, systemDigest)
  const { serial, notAfter } = certificate
  await store.commit(() => [
    {
      part: 'authority',
      command: {
        type: 'found',
        clusterId,
        certificate: root.pem,
        privateKey: rootKey,
        lifetimeMs: DAY_MS,
        now: cluster.now,
      },
    },
    {
      part: 'membership',
      command: { type: 'admit', nodeId, role: 'worker', csr: csr.pem, publicKeyHash, now: cluster.now },
    },
    {
      part: 'membership',
      command: {
        type: 'record-certificate',
        nodeId,
        csr: csr.pem,
        certificate: certificateChain,
        serial,
        notAfter,
      },
    },
  ])
  const recovering = createRecovering({ store, issuing, now: () => now })
  const request = async ({ privateKey }: Pick<TestNode, 'privateKey'> = node): Promise<RecoverRequest> => {
    const fresh = await createCsr(createNodeKey())
    const challenge = recovering.challenge()
    const statement = { clusterId, nodeId, serial, challenge, csr: fresh }
    const signature = await signRecovery(statement, { signer: openSigner(privateKey), digest: systemDigest })
    return { nodeId, serial, challenge, signature, csr: new TextEncoder().encode(fresh.pem) }
  }
  const recover = async (asked: RecoverRequest): Promise<{ readonly nodeId: string }> =>
    await recovering.recover(asked, { signal: new AbortController().signal })
  return { now, log, store, nodeId, node, request, recover }
}

describe('a node that comes back with an expired certificate', () => {
  it('has a new one when the call is over, recorded in the log', async () => {
    const { now, log, store, nodeId, node, request, recover } = await scene(DAY_MS)
    expect(await recover(await request())).toEqual({ nodeId })
    const record = nodeOf(store.state().membership, nodeId)
    expect(record).toMatchObject({ status: 'issued' })
    expect(record?.serial).not.toBe(node.certificate.serial)
    expect(parseCertificateChain(record?.certificate ?? '')[0]?.notAfter).toBeGreaterThan(now)
    expect((await openStore(log)).state()).toEqual(store.state())
  })

  it('too late is remembered as waiting, also after a restart, until it is approved or thrown out', async () => {
    const { now, log, store, nodeId, request, recover } = await scene(8 * DAY_MS)
    const asked = await request()
    await expect(recover(asked)).rejects.toThrowCode('RECOVERY_AWAITS_APPROVAL')
    const kept = (await openStore(log)).state().recoveries
    expect(recoveryClaimOf(kept, nodeId)).toMatchObject({ nodeId, approvedUntil: null })
    await store.commit(() => [{ part: 'recoveries', command: { type: 'approve-recovery', nodeId, now } }])
    expect(await recover(asked)).toEqual({ nodeId })
    expect(recoveryClaimOf(store.state().recoveries, nodeId)).toBe(null)
    const { commit } = store
    await commit((state) => evictionOrders(state, nodeId, 'over', now))
    await expect(recover(await request())).rejects.toThrowCode('NODE_EVICTED')
  })

  it('is forgotten as waiting when it is thrown out', async () => {
    const { now, store, nodeId, request, recover } = await scene(8 * DAY_MS)
    await expect(recover(await request())).rejects.toThrowCode('RECOVERY_AWAITS_APPROVAL')
    await store.commit((state) => evictionOrders(state, nodeId, 'over', now))
    expect(recoveryClaimOf(store.state().recoveries, nodeId)).toBe(null)
  })

  it('with a key of its own making changes nothing in the log', async () => {
    const { store, request, recover } = await scene(DAY_MS)
    const before = store.state()
    const { node: stranger } = await scene(DAY_MS)
    await expect(recover(await request(stranger))).rejects.toThrowCode('RECOVERY_PROOF_INVALID')
    expect(store.state()).toBe(before)
  })
})

describe('the key that a worker comes back with', () => {
  it('is kept in a file of its own until it is certified', async () => {
    const path = join(tempDir(), 'recovery.key')
    expect(await loadRecoveryKey(await openKeyFile(path))).toBe(null)
    const key = await createPendingKey()
    await saveRecoveryKey(await openKeyFile(path), key)
    const kept = await loadRecoveryKey(await openKeyFile(path))
    expect(kept).toEqual({
      privateKey: new Uint8Array(key.privateKey),
      publicKey: new Uint8Array(key.publicKey),
      csr: new Uint8Array(key.csr),
    })
  })
})
