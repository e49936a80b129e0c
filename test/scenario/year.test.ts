import { fileURLToPath } from 'node:url'
import { parseTrustBundle, verifyPeerSync } from '@leastwise/identity'
import { systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { testCluster } from '../support/test-authority.ts'
import { CAUSES, sum } from './load-curve.ts'
import { loadPicture } from './load-picture.ts'
import { DEAD, END, EVICTIONS, HUNG, NODES, SLEEPERS, START } from './scale.ts'
import { DAY_MS, HOUR_MS, SECOND_MS, type Sim } from './sim.ts'
import { createTrustLaw } from './trust-law.ts'
import { playYear } from './year.ts'

let sim: Sim

// Two laws are judged while it plays, after each step: a broken one ends the play with its message.
beforeAll(async () => {
  sim = await playYear()
}, 600_000)

describe('a year of ten thousand nodes', () => {
  it('no running node is ever without a valid certificate', () => {
    const { swept, leastLeftMs, failures } = sim.facts
    // Each day, all that run.
    expect(swept).toBeGreaterThan(364 * NODES * 0.97)
    // At each renewal: the new one came while the old one was good for days, although no manager was there for hours.
    expect(leastLeftMs).toBeGreaterThan(10 * DAY_MS)
    expect(failures).toBeGreaterThan(10)
  })

  it('at no step are there two nodes that share no trusted root', () => {
    const { steps, verified, chains, bundles } = sim.law.facts()
    expect(steps).toBeGreaterThan(100_000)
    // Old root, new root with its twin, and after each rotation with the bridge and without; bundles of one root and of both.
    expect({ chains, bundles }).toEqual({ chains: 5, bundles: 5 })
    expect(verified).toBeGreaterThan(365)
  })

  it('a manager that dies in the middle is followed by one with the same state, from a snapshot and the events after it', () => {
    const { crashes, snapshotsSame } = sim.facts
    expect(crashes.map(({ phase }) => phase)).toEqual(['idle', 'reissuing', 'finishing', 'reissuing', 'finishing'])
    expect(crashes.filter(({ rebuiltSame }) => !rebuiltSame)).toEqual([])
    for (const { sinceSnapshot } of crashes) expect(sinceSnapshot).toBeGreaterThan(100)
    for (const { phase, converged, lost } of crashes) {
      if (phase !== 'reissuing') continue
      expect(converged).toBeGreaterThan(NODES / 3)
      expect(converged).toBeLessThan(NODES * 0.9)
      // It did not die in a quiet moment.
      expect(lost).toBeGreaterThan(0)
    }
    expect(snapshotsSame).toEqual(new Array<boolean>(12).fill(true))
  })

  it('dead nodes are listed with the reason, and the policy ends the rotation without them', () => {
    expect(sim.facts.rotations).toHaveLength(2)
    for (const { reasons, atDeadline, evictedByPolicy, startedAt, liveOverAt, finishedAt, closedAt } of sim.facts
      .rotations) {
      expect(reasons).toEqual(new Set(['waiting', 'asked', 'silent', 'offline']))
      const offline = atDeadline.filter(({ reason, life }) => reason === 'offline' && life === 'dead')
      const silent = atDeadline.filter(({ reason, life }) => reason === 'silent' && life === 'hung')
      expect([offline.length, silent.length, atDeadline.length]).toEqual([DEAD - HUNG, HUNG, DEAD])
      expect(evictedByPolicy).toEqual(atDeadline.map(({ nodeId }) => nodeId))
      // The last one that slept came back after hours; then they were waited for until the deadline.
      expect(liveOverAt).toBeLessThan(finishedAt)
      expect(finishedAt - startedAt).toBeGreaterThan(2 * DAY_MS)
      expect(finishedAt - startedAt).toBeLessThan(2.1 * DAY_MS)
      expect(closedAt - finishedAt).toBeGreaterThanOrEqual(DAY_MS)
    }
  })

  it('an evicted node is refused at once, by every peer and by the managers', () => {
    const { evictions } = sim.facts
    expect(evictions).toHaveLength(EVICTIONS)
    for (const { peers, refusedBefore, refusedAfter, codes } of evictions) {
      expect(peers).toBeGreaterThan(NODES * 0.97)
      expect([refusedBefore, refusedAfter]).toEqual([0, peers])
      expect(codes).toEqual(['PEER_EVICTED', 'PEER_EVICTED', 'NODE_EVICTED', 'NODE_EVICTED'])
    }
    expect(evictions.filter(({ phase }) => phase === 'reissuing').length).toBeGreaterThanOrEqual(5)
  })

  it('a machine that slept trusts nobody by an old list, and knows all evictions a second after it is back', () => {
    const { stale, current, caughtUp } = sim.facts.wakes
    expect(stale).toBeGreaterThanOrEqual(2 * SLEEPERS)
    expect(caughtUp).toBe(stale + current)
  })

  it('a changed role makes every earlier certificate stale at once', () => {
    expect(sim.facts.roleCodes).toEqual(new Array<string>(20).fill('PEER_WRONG_ROLE by all, then passed'))
    expect(sim.facts.staleCodes).toEqual(new Array<string>(10).fill('PEER_ROLE_STALE'))
  })

  it('a join token of the old root is good until the overlap ends', () => {
    const each = ['in the overlap: joined', 'after it: CA_DIGEST_MISMATCH']
    expect(sim.facts.joinCodes).toEqual([...each, ...each])
  })

  it('the load is bounded: by chance alone when renewals are due, by the pace when they are asked for', () => {
    const hours = sim.curve.between(START + 40 * DAY_MS, END, HOUR_MS, ['scheduled'])
    const mean = sum(hours) / hours.length
    const outage = Math.floor((sim.facts.crashes[0]!.at - START - 40 * DAY_MS) / HOUR_MS)
    const ordinary = hours.filter((_, hour) => hour < outage || hour > outage + 3)
    expect(Math.max(...ordinary) / mean).toBeLessThan(6)
    // What was due while no manager was there for two hours comes in the next one, and no more than that.
    expect(Math.max(...hours) / mean).toBeLessThan(12)
    // The day on which most are due has a twentieth of the nodes: a window of 27 days, and no herd in it.
    const days = sim.curve.between(START, END, DAY_MS, ['scheduled'])
    expect(Math.max(...days)).toBeLessThan(NODES / 20)
    for (const { reissueAt } of sim.facts.rotations)
      expect(Math.max(...sim.curve.between(reissueAt, reissueAt + HOUR_MS, SECOND_MS, CAUSES))).toBeLessThanOrEqual(200)
    const [calm, strained] = sim.facts.rotations
    expect(calm!.mostWaiting).toBeLessThanOrEqual(calm!.mostWindow)
    // While the manager was slow the window shrank, and the queue never outgrew it.
    expect(strained!.leastWindow).toBeLessThan(calm!.leastWindow / 10)
    expect(strained!.mostWaiting).toBeLessThanOrEqual(strained!.mostWindow)
  })

  it('signs and verifies a tenth of the certificates with P-256', () => {
    const { real, standIn } = sim.issuer.facts()
    expect(real).toBeGreaterThan(7000)
    expect(real + standIn).toBe(sum(sim.curve.between(START, END, DAY_MS, CAUSES)))
  })

  it('looks like the picture in the docs (vitest -u draws it anew)', async () => {
    const path = fileURLToPath(new URL('../../docs/scenario-load.svg', import.meta.url))
    await expect(loadPicture(sim, START, END)).toMatchFileSnapshot(path)
  })
})

describe('the law of the scenario', () => {
  it('is broken by a node of another root, and by one that trusts another root', async () => {
    const [ours, theirs] = [await testCluster(), await testCluster({ commonName: 'another-ca' })]
    const { clusterId, now } = ours
    const law = createTrustLaw((chain, roots) => {
      verifyPeerSync(chain, { roots, clusterId, now, verifier: systemVerifier })
    })
    const roots = (pem: string) => parseTrustBundle(pem).roots
    const chain = law.chain('ours', [], (await ours.issue()).certificate)
    const bundle = law.bundle(ours.root.pem, roots)
    law.enter(chain, bundle)
    const stranger = law.chain('theirs', [], (await theirs.issue()).certificate)
    expect(() => {
      law.enter(stranger, bundle)
    }).toThrow('nothing to one with bundle')
    law.leave(stranger, bundle)
    expect(() => {
      law.enter(chain, law.bundle(theirs.root.pem, roots))
    }).toThrow('nothing to one with bundle')
  })
})
