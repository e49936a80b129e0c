import { inspect } from 'node:util'
import {
  createCsr,
  createRecoveryChallenges,
  DEFAULT_RECOVERY_GRACE_MS,
  EVICTION_MARGIN_MS,
  evictionBook,
  listRecoveryClaims,
  MAX_RECOVERY_GRACE_MS,
  type NodeId,
  nodeOf,
  type ProvenRecovery,
  parseNodeId,
  planRecovery,
  proveRecovery,
  RECOVERY_APPROVAL_MS,
  RECOVERY_CHALLENGE_TTL_MS,
  type Recoveries,
  type RecoveryCommand,
  type RecoveryPlan,
  recoveries,
  recoveryClaimOf,
  recoveryEvents,
} from '@leastwise/identity'
import { createNodeKey, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { describe, expect, it } from 'vitest'
import { testNodeId } from '../support/test-authority.ts'
import { hashOf, type RecoveryScene, recoveryScene } from './recovery-support.ts'

const HOUR_MS = 3_600_000

const after = (state: Recoveries, ...commands: readonly RecoveryCommand[]): Recoveries =>
  commands.reduce((held, command) => recoveries.decide(held, command).reduce(recoveries.evolve, held), state)

const plan = (
  scene: RecoveryScene,
  proven: ProvenRecovery,
  now: number,
  state: Recoveries = recoveries.initial,
): RecoveryPlan =>
  planRecovery(proven, {
    membership: scene.state(),
    recoveries: state,
    publicKeyHash: hashOf(proven.publicKey),
    now,
  })

describe('a node that slept past its expiry', () => {
  it('gets its identity again by its last key, to the last instant of the grace, without a token', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const request = await scene.request(held)
    const proven = await scene.prove(request, scene.cluster.now)
    const last = held.notAfter + DEFAULT_RECOVERY_GRACE_MS
    const granted = plan(scene, proven, last)
    expect(granted.refusal).toBe(null)
    scene.order(...granted.membership)
    expect(nodeOf(scene.state(), held.nodeId)).toMatchObject({ status: 'renew', csr: request.csr })
    expect(after(recoveries.initial, ...granted.recoveries)).toEqual(recoveries.initial)
  })

  it('waits for approval one instant later, and comes in when an operator approves', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const proven = await scene.prove(await scene.request(held), scene.cluster.now)
    const late = held.notAfter + DEFAULT_RECOVERY_GRACE_MS + 1
    const refused = plan(scene, proven, late)
    expect(refused.membership).toEqual([])
    expect(() => {
      throw refused.refusal as Error
    }).toThrowCode('RECOVERY_AWAITS_APPROVAL')
    const waiting = after(recoveries.initial, ...refused.recoveries)
    expect(listRecoveryClaims(waiting)).toEqual([
      { nodeId: held.nodeId, serial: held.serial, askedAt: late, approvedUntil: null },
    ])
    // Asking again changes nothing: the log does not grow with each try.
    expect(after(waiting, ...plan(scene, proven, late + 60_000, waiting).recoveries)).toEqual(waiting)
    const approved = after(waiting, { type: 'approve-recovery', nodeId: held.nodeId, now: late })
    expect(plan(scene, proven, late + RECOVERY_APPROVAL_MS, approved).refusal).toBe(null)
    expect(plan(scene, proven, late + RECOVERY_APPROVAL_MS + 1, approved).refusal).not.toBe(null)
    const granted = plan(scene, proven, late, approved)
    scene.order(...granted.membership)
    expect(listRecoveryClaims(after(approved, ...granted.recoveries))).toEqual([])
  })

  it('was approved as the holder of one key: an approval does not carry over to another', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const late = held.notAfter + 10 * MAX_RECOVERY_GRACE_MS
    const proven = await scene.prove(await scene.request(held), scene.cluster.now)
    const approved = after(recoveries.initial, ...plan(scene, proven, late).recoveries, {
      type: 'approve-recovery',
      nodeId: held.nodeId,
      now: late,
    })
    const newer = await scene.renew(held.nodeId)
    const other = await scene.prove(await scene.request(newer), scene.cluster.now)
    const answer = plan(scene, other, late, approved)
    expect(answer.refusal).not.toBe(null)
    expect(recoveryClaimOf(after(approved, ...answer.recoveries), held.nodeId)).toMatchObject({
      serial: newer.serial,
      approvedUntil: null,
    })
  })

  it('that is a manager always waits for approval', async () => {
    const scene = await recoveryScene()
    const held = await scene.join({ role: 'manager' })
    const proven = await scene.prove(await scene.request(held), scene.cluster.now)
    expect(plan(scene, proven, scene.cluster.now).refusal).toMatchObject({ code: 'RECOVERY_AWAITS_APPROVAL' })
  })

  it('gets the role that it has now, not the one that it slept in with', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const proven = await scene.prove(await scene.request(held), scene.cluster.now)
    scene.order({ type: 'set-role', nodeId: held.nodeId, role: 'manager', now: scene.cluster.now })
    expect(plan(scene, proven, scene.cluster.now).refusal).toMatchObject({ code: 'RECOVERY_AWAITS_APPROVAL' })
  })

  it('may ask again when the answer was lost, and gets nothing new', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const request = await scene.request(held)
    scene.order(...plan(scene, await scene.prove(request, scene.cluster.now), scene.cluster.now).membership)
    const again = plan(scene, await scene.prove(request, scene.cluster.now), scene.cluster.now)
    expect(again).toEqual({ membership: [], recoveries: [], refusal: null })
    const { nodeId } = held
    const { certificateChain } = await scene.cluster.issue({ nodeId })
    const facts = { certificate: certificateChain, serial: '0c', notAfter: scene.cluster.now + HOUR_MS } as const
    scene.order({ type: 'record-certificate', nodeId, csr: request.csr, ...facts })
    expect(await scene.prove(request, scene.cluster.now)).toMatchObject({ nodeId })
    // What has ended in turn is not handed out once more.
    const { challenge } = await scene.request(held, { challenge: scene.challenges.create(facts.notAfter + 1) })
    const late = { ...request, challenge }
    await expect(scene.prove(late, facts.notAfter + 1)).rejects.toThrowCode('RECOVERY_KEY_SUPERSEDED')
  })
})

describe('a recovery is refused', () => {
  it('with an older key than the last, also with the key of a recovery that was granted', async () => {
    const scene = await recoveryScene()
    const old = await scene.join()
    const replayed = await scene.request(old)
    const proven = await scene.prove(replayed, scene.cluster.now)
    await scene.renew(old.nodeId)
    const { now } = scene.cluster
    await expect(scene.prove(replayed, now)).rejects.toThrowCode('RECOVERY_KEY_SUPERSEDED')
    expect(() => plan(scene, proven, now)).toThrowCode('RECOVERY_KEY_SUPERSEDED')
    await expect(scene.prove(await scene.request(old), now)).rejects.toThrowCode('RECOVERY_KEY_SUPERSEDED')
  })

  it('while a newer request of the node waits to be signed', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const request = await scene.request(held)
    const { pem, publicKey } = await createCsr(createNodeKey())
    scene.order({ type: 'renew', nodeId: held.nodeId, csr: pem, publicKeyHash: hashOf(publicKey) })
    await expect(scene.prove(request, scene.cluster.now)).rejects.toThrowCode('RECOVERY_KEY_SUPERSEDED')
  })

  it('of a node that was removed, by node or by certificate, and of one that never was', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const request = await scene.request(held)
    const { now, clusterId } = scene.cluster
    const proven = await scene.prove(request, now)
    const end = now + 48 * HOUR_MS
    const facts = {
      issuerKeyId: null,

      at: now - (now % 1000),
      until: end - (end % 1000),
    } as const
    const booked = (reason: 'affiliation-changed' | 'key-compromise') =>
      evictionBook
        .decide(evictionBook.initial, {
          type: 'add',
          evictions: [{ kind: 'certificate', serial: held.serial, ...facts, reason }],
        })
        .reduce(evictionBook.evolve, evictionBook.initial)
    const evictions = booked('key-compromise')
    const options = { membership: scene.state(), clusterId, now, evictions }
    const rest = { challenges: scene.challenges, verifier: systemVerifier, digest: systemDigest }
    await expect(proveRecovery(request, { ...options, ...rest })).rejects.toThrowCode('NODE_EVICTED')
    expect(() =>
      planRecovery(proven, { ...options, recoveries: recoveries.initial, publicKeyHash: 'other' }),
    ).toThrowCode('NODE_EVICTED')
    // What a change of its role evicted is to be replaced.
    const changed = booked('affiliation-changed')
    expect(await proveRecovery(request, { ...options, evictions: changed, ...rest })).toEqual(proven)
    scene.order({ type: 'evict', nodeId: held.nodeId, reason: 'lost', now })
    await expect(scene.prove(request, now)).rejects.toThrowCode('NODE_EVICTED')
    expect(() => plan(scene, proven, now)).toThrowCode('NODE_EVICTED')
    await expect(scene.prove({ ...request, nodeId: testNodeId(99) }, now)).rejects.toThrowCode('NODE_UNKNOWN')
    await expect(scene.prove({ ...request, nodeId: 'x'.repeat(1000) }, now)).rejects.toThrowCode('NODE_UNKNOWN')
  })

  it('when any part of what is signed is another', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const { now } = scene.cluster
    const other = await createCsr(createNodeKey())
    const later = scene.challenges.create(now + 1)
    for (const signed of [
      { clusterId: 'another' },
      { nodeId: testNodeId(2) },
      { serial: `${held.serial}0` },
      { challenge: later },
      { csr: other },
    ])
      await expect(scene.prove(await scene.request(held, {}, signed), now)).rejects.toThrowCode(
        'RECOVERY_PROOF_INVALID',
      )
    await expect(scene.prove(await scene.request(held, { csr: other.pem }), now)).rejects.toThrowCode(
      'RECOVERY_PROOF_INVALID',
    )
    await expect(scene.prove(await scene.request(held, { serial: '00' }), now)).rejects.toThrowCode(
      'RECOVERY_KEY_SUPERSEDED',
    )
    await expect(scene.prove(await scene.request({ ...held, signer: createNodeKey() }), now)).rejects.toThrowCode(
      'RECOVERY_PROOF_INVALID',
    )
  })

  it('when the signature is cut or any of its bits is flipped', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const request = await scene.request(held)
    const { now } = scene.cluster
    for (let at = 0; at < request.signature.length; at += 1) {
      const cut = request.signature.slice(0, at)
      await expect(scene.prove({ ...request, signature: cut }, now)).rejects.toThrowCode('RECOVERY_PROOF_INVALID')
      const flipped = request.signature.slice()
      flipped[at] = flipped[at]! ^ (1 << (at % 8))
      await expect(scene.prove({ ...request, signature: flipped }, now)).rejects.toThrowCode('RECOVERY_PROOF_INVALID')
    }
  })

  it('when the request for the new key is none, or is not signed by that key', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const { now } = scene.cluster
    await expect(scene.prove(await scene.request(held, { csr: 'none' }), now)).rejects.toThrowCode('CSR_MALFORMED')
    const honest = createNodeKey()
    const csr = await createCsr({ ...createNodeKey(), publicKey: honest.publicKey, keyType: 'p256' })
    const forged = await scene.request(held, { csr: csr.pem }, { csr })
    await expect(scene.prove(forged, now)).rejects.toThrowCode('CSR_SIGNATURE_INVALID')
  })

  it('with a challenge that is too old, of another manager, cut, or changed', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const { now } = scene.cluster
    const expired = 'RECOVERY_CHALLENGE_EXPIRED'
    const request = await scene.request(held)
    await scene.prove(request, now + RECOVERY_CHALLENGE_TTL_MS)
    await scene.prove(request, now - RECOVERY_CHALLENGE_TTL_MS)
    await expect(scene.prove(request, now + RECOVERY_CHALLENGE_TTL_MS + 1)).rejects.toThrowCode(expired)
    await expect(scene.prove(request, now - RECOVERY_CHALLENGE_TTL_MS - 1)).rejects.toThrowCode(expired)
    const others = createRecoveryChallenges({ random: systemRandom, digest: systemDigest }).create(now)
    await expect(scene.prove(await scene.request(held, { challenge: others }), now)).rejects.toThrowCode(expired)
    const challenge = scene.challenges.create(now)
    for (let at = 0; at < challenge.length; at += 1) {
      const flipped = challenge.slice()
      flipped[at] = flipped[at]! ^ (1 << (at % 8))
      expect(() => {
        scene.challenges.check(flipped, now)
      }).toThrowCode(expired)
      expect(() => {
        scene.challenges.check(challenge.slice(0, at), now)
      }).toThrowCode(expired)
    }
  })

  it('with words that hold nothing of what was sent', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const marked = 'MARKED-SECRET'
    const request = await scene.request(held, { csr: marked, serial: marked })
    for (const each of [request, { ...request, nodeId: marked }]) {
      const error: unknown = await scene.prove(each, scene.cluster.now).catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(Error)
      expect(inspect(error)).not.toContain(marked)
    }
  })
})

describe('the recoveries of a cluster', () => {
  const waiting = (...ids: readonly NodeId[]): Recoveries =>
    after(
      recoveries.initial,
      ...ids.map((nodeId, at) => ({ type: 'claim-recovery', nodeId, serial: `0${at}`, now: 1000 + at }) as const),
    )

  it('have a grace of a week, as long as evictions are remembered, that can be set shorter, or to none', () => {
    const set = (graceMs: number): Recoveries => after(recoveries.initial, { type: 'set-recovery-grace', graceMs })
    expect(recoveries.initial.graceMs).toBe(7 * 24 * HOUR_MS)
    expect(set(0).graceMs).toBe(0)
    expect(MAX_RECOVERY_GRACE_MS).toBe(EVICTION_MARGIN_MS)
    expect(set(HOUR_MS).graceMs).toBe(HOUR_MS)
    for (const wrong of [-1, 0.5, MAX_RECOVERY_GRACE_MS + 1, Number.NaN]) expect(() => set(wrong)).toThrow(RangeError)
    expect(recoveries.decide(set(5), { type: 'set-recovery-grace', graceMs: 5 })).toEqual([])
  })

  it('with a grace of none let nobody in by a key alone', async () => {
    const scene = await recoveryScene()
    const held = await scene.join()
    const proven = await scene.prove(await scene.request(held), scene.cluster.now)
    const strict = after(recoveries.initial, { type: 'set-recovery-grace', graceMs: 0 })
    expect(plan(scene, proven, held.notAfter, strict).refusal).toBe(null)
    expect(plan(scene, proven, held.notAfter + 1, strict).refusal).not.toBe(null)
  })

  it('approve only whom they know to wait, and forget once', () => {
    const nodeId = testNodeId(1)
    const state = waiting(nodeId)
    expect(() => recoveries.decide(recoveries.initial, { type: 'approve-recovery', nodeId, now: 0 })).toThrowCode(
      'RECOVERY_UNKNOWN',
    )
    const gone = after(state, { type: 'forget-recovery', nodeId })
    expect(gone).toEqual(recoveries.initial)
    expect(recoveries.decide(gone, { type: 'forget-recovery', nodeId })).toEqual([])
    expect(recoveries.evolve(gone, { type: 'recovery-approved', nodeId, until: 5 })).toEqual(gone)
  })

  it('are the same again after a snapshot, and list the oldest first', () => {
    const [a, b] = [parseNodeId('b'.repeat(25)), parseNodeId('a'.repeat(25))]
    const state = after(
      waiting(a, b),
      { type: 'approve-recovery', nodeId: b, now: 7 },
      { type: 'set-recovery-grace', graceMs: 9 },
    )
    expect(listRecoveryClaims(state).map(({ nodeId }) => nodeId)).toEqual([a, b])
    const events = [...recoveryEvents(state)]
    expect(JSON.parse(JSON.stringify(events))).toEqual(events)
    expect(events.reduce(recoveries.evolve, recoveries.initial)).toEqual(state)
  })
})
