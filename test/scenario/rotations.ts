import { crossSignRoot, parseCertificate, type StragglerPolicy } from '@leastwise/identity'
import { openSigner, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import type { JoinToken } from '@leastwise/tokens'
import { join, mintToken } from './joining.ts'
import { crash, drive, pushBundle, TICK_MS } from './leading.ts'
import { ANSWERED_MS, RECONNECT_MS, resume, stop } from './nodes.ts'
import { DEAD, HUNG, LATECOMERS, NODES, POLICY, SLEEPERS, WAIT_FOR_STRAGGLERS_MS } from './scale.ts'
import { DAY_MS, HOUR_MS, later, MINUTE_MS, type RotationFacts, SECOND_MS, type Sim, type SimNode } from './sim.ts'
import { anyWorker, at } from './workers.ts'

async function startRotation(sim: Sim, number: number): Promise<void> {
  const { replica, now } = sim
  const old = replica.authority().roots[0]
  const fresh = await createRoot({ now, serial: systemRandom.bytes(20), commonName: `swarm-ca-${number + 2}` })
  const crossSigned = await crossSignRoot({
    root: fresh.certificate,
    issuer: parseCertificate(old.certificate),
    signer: openSigner(old.privateKey!),
    serial: systemRandom.bytes(20),
    now,
    verifier: systemVerifier,
  })
  // The first one knows from the beginning how long to wait; in the second one the operator decides while it runs.
  const stragglers: StragglerPolicy =
    number === 0 ? { mode: 'evict', afterMs: WAIT_FOR_STRAGGLERS_MS } : { mode: 'wait' }
  const root = { certificate: fresh.certificate.pem, privateKey: fresh.privateKey }
  replica.commit(
    [
      { part: 'authority', command: { type: 'plan-rotation', policy: { ...POLICY, stragglers }, now } },
      { part: 'authority', command: { type: 'start-rotation', root, crossSigned: crossSigned.pem, now } },
    ],
    now,
  )
  const never = { reissueAt: 0, ticks: 0, liveOverAt: 0, finishedAt: 0, closedAt: 0, mostWaiting: 0, mostWindow: 0 }
  const facts: RotationFacts = {
    ...never,
    startedAt: now,
    leastWindow: Infinity,
    reasons: new Set(),
    atDeadline: [],
    evictedByPolicy: [],
  }
  sim.facts.rotations.push(facts)
  pushBundle(sim)
  drive(sim)
}

/** All that happens around one rotation: who is gone, who joins, who dies. */
export function planRotation(sim: Sim, number: number, start: number): void {
  const several = (count: number, when: number, happening: (node: SimNode) => void): void => {
    at(sim, when, () => {
      for (let each = 0; each < count; each += 1) happening(anyWorker(sim))
    })
  }
  several(DEAD - HUNG, start - DAY_MS, (node) => {
    stop(sim, node, 'dead')
  })
  several(HUNG, start - HOUR_MS, (node) => {
    stop(sim, node, 'hung')
  })
  several(SLEEPERS, start - 9 * DAY_MS, (node) => {
    stop(sim, node, 'asleep')
    at(sim, start + sim.draws.between(HOUR_MS, 40 * HOUR_MS), () => {
      wake(sim, node)
    })
  })
  let oldToken: JoinToken
  at(sim, start - 2 * HOUR_MS, () => {
    oldToken = mintToken(sim, 'worker')
  })
  at(sim, start, async () => {
    await startRotation(sim, number)
  })
  // These get a certificate of the new root and the bundle of the old one, and sleep until the old one is gone.
  for (let each = 0; each < LATECOMERS; each += 1)
    at(sim, start + 80 * SECOND_MS + each * SECOND_MS, () => {
      join(sim, oldToken, (node) => {
        if (node !== null) sleepUntrusting(sim, node, start + 4 * DAY_MS)
      })
    })
  const told = (code: string): void => {
    sim.facts.joinCodes.push(code)
  }
  at(sim, start + 2.5 * DAY_MS, () => {
    join(sim, oldToken, (_, code) => {
      told(`in the overlap: ${code}`)
    })
  })
  at(sim, start + 4.5 * DAY_MS, () => {
    join(sim, oldToken, (_, code) => {
      told(`after it: ${code}`)
    })
  })
  if (number === 1) {
    at(sim, start + DAY_MS, () => {
      const policy = { ...POLICY, stragglers: { mode: 'evict', afterMs: WAIT_FOR_STRAGGLERS_MS } } as const
      sim.replica.commit([{ part: 'authority', command: { type: 'plan-rotation', policy, now: sim.now } }], sim.now)
    })
    // A manager that is busy with something else for half a minute.
    at(sim, start + 80 * SECOND_MS, () => {
      sim.leader.perSecond = 20
    })
    at(sim, start + 110 * SECOND_MS, () => {
      sim.leader.perSecond = 200
    })
  }
  planCrashes(sim, start, number === 0 ? 0.4 : 0.7)
}

/** Falls asleep when it has shown its first certificate, and before it is told of another root. */
function sleepUntrusting(sim: Sim, node: SimNode, until: number): void {
  later(sim, 10, function look() {
    if (node.held === null) {
      later(sim, 10, look)
      return
    }
    later(sim, RECONNECT_MS + ANSWERED_MS / 2, () => {
      stop(sim, node, 'asleep')
      at(sim, until, () => {
        wake(sim, node)
      })
    })
  })
}

function wake(sim: Sim, node: SimNode): void {
  if (!sim.leader.up) {
    later(sim, MINUTE_MS, () => {
      wake(sim, node)
    })
    return
  }
  const { wakes } = sim.facts
  if (node.view.validUntil < sim.now) wakes.stale += 1
  else wakes.current += 1
  resume(sim, node)
  later(sim, SECOND_MS, () => {
    if (node.view.sequence === sim.replica.state().book.sequence) wakes.caughtUp += 1
  })
}

/** The manager dies when so large a part has come over, in the middle of whatever it does; and again when it has just ended the trust in the old root. */
function planCrashes(sim: Sim, start: number, part: number): void {
  at(sim, start, () => {
    let phase: 'reissuing' | 'finishing' | null = 'reissuing'
    sim.watch = () => {
      const { rotation } = sim.replica.authority()
      if (rotation?.phase !== phase || rotation.converged < part * NODES) return
      phase = phase === 'reissuing' ? 'finishing' : null
      later(sim, sim.draws.between(1, TICK_MS - 1), () => {
        crash(sim)
      })
    }
  })
}
