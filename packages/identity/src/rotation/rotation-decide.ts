import { parseCertificate } from '../certificate/certificate.ts'
import { IdentityError, type IdentityErrorCode } from '../errors.ts'
import { checkTarget } from './check-target.ts'
import type { FoundedAuthority } from './founded.ts'
import { memberList, membersOf } from './members-behind.ts'
import { nextWindow } from './pace.ts'
import { checkPolicy } from './policy.ts'
import { aimOf, asksNodes, progressOf } from './progress.ts'
import { rootIdOf } from './root-id.ts'
import type { RotationCommand, RotationEvent } from './rotation-messages.ts'
import type { AuthorityRoot, Rotation } from './rotation-state.ts'

/** Roots gone whose cross-signed certificates may still be presented beside that of the rotation: more make chains that peers refuse. */
const MAX_BRIDGES = 1

/** A chain has room for the leaf and two more. */
const MAX_ABOVE_LEAF = 2

const refused = (code: IdentityErrorCode, message: string): IdentityError => new IdentityError(code, message)

function underWay(state: FoundedAuthority): Rotation {
  if (state.rotation === null) throw refused('ROTATION_NONE', 'no root rotation is under way; plan and start one first')
  return state.rotation
}

const wrongPhase = (rotation: Rotation, wanted: string): IdentityError =>
  refused('ROTATION_PHASE', `the rotation is ${rotation.phase}; ${wanted}`)

function start(
  state: FoundedAuthority,
  command: RotationCommand & { type: 'start-rotation' },
): readonly RotationEvent[] {
  const { now } = command
  const root = parseCertificate(command.root.certificate)
  const intermediates = (command.root.intermediates ?? []).map((pem) => parseCertificate(pem))
  checkTarget(state, { root, intermediates, crossSigned: parseCertificate(command.crossSigned) }, now)
  const bridges = state.bridges.filter(({ until }) => until > now).length
  const above = intermediates.length + 1 + bridges
  if (bridges > MAX_BRIDGES || above > MAX_ABOVE_LEAF) {
    throw refused(
      'ROTATION_BRIDGED',
      'nodes may still trust nothing but a root before the one in force, and their chains would be too long; wait until that time is over',
    )
  }
  // The caller may wipe its copy of the key.
  const { certificate, privateKey } = command.root
  const kept: AuthorityRoot = { certificate, privateKey: privateKey?.slice() ?? null }
  const target =
    command.root.intermediates === undefined ? kept : { ...kept, intermediates: [...command.root.intermediates] }
  const { crossSigned } = command
  return [{ type: 'rotation-started', root: target, rootId: rootIdOf(root), crossSigned, at: now }]
}

function nextBatch(
  state: FoundedAuthority,
  { members, load, now }: RotationCommand & { type: 'next-batch' },
): readonly RotationEvent[] {
  const rotation = underWay(state)
  if (!asksNodes(rotation)) throw wrongPhase(rotation, 'nodes are asked once the new root issues')
  const { underWay: asked, next } = membersOf(members).behind(rotation, aimOf(rotation, state.roots[0]), now)
  const window = nextWindow(rotation.window, load, asked >= rotation.window, rotation.policy)
  const nodes = next(Math.max(0, window - asked))
  if (nodes.length === 0 && window === rotation.window) return []
  return [{ type: 'batch-asked', nodes, window, at: now }]
}

function finish(
  state: FoundedAuthority,
  { members, now }: RotationCommand & { type: 'finish-rotation' },
): readonly RotationEvent[] {
  const rotation = underWay(state)
  if (!asksNodes(rotation)) throw wrongPhase(rotation, 'it can be finished once the new root issues')
  const aim = aimOf(rotation, state.roots[0])
  const all = 'behind' in members ? members : memberList(members.map((nodeId) => ({ nodeId, reachable: false })))
  const { count } = all.behind(rotation, aim, now)
  if (count > 0) {
    throw refused(
      'ROTATION_INCOMPLETE',
      `${count} of ${all.size} members have not presented a certificate of the root that is to stay; wait for them, or evict them`,
    )
  }
  if (rotation.phase === 'reverting') return [{ type: 'rotation-reverted', at: now }]
  // Somebody who got his certificate in this very moment has it for a whole lifetime.
  const bridgeUntil = Math.max(rotation.latestNotAfter, now + state.lifetimeMs)
  return [{ type: 'rotation-finished', at: now, bridgeUntil, tokensUntil: now + rotation.policy.tokenOverlapMs }]
}

/** Decides on a rotation of an authority that exists. */
export function decideRotation(state: FoundedAuthority, command: RotationCommand): readonly RotationEvent[] {
  if (!Number.isSafeInteger(command.now)) throw new RangeError('now is not an instant in whole epoch milliseconds')
  switch (command.type) {
    case 'plan-rotation':
      checkPolicy(command.policy)
      return [{ type: 'rotation-planned', policy: command.policy, at: command.now }]
    case 'start-rotation':
      return start(state, command)
    case 'begin-reissue': {
      const rotation = underWay(state)
      if (rotation.phase === 'reissuing') return []
      if (rotation.phase !== 'cross-signed') throw wrongPhase(rotation, 're-issuing begins once there is a new root')
      return [{ type: 'reissue-begun', at: command.now }]
    }
    case 'next-batch':
      return nextBatch(state, command)
    case 'observe': {
      const { rotation } = state
      if (rotation === null || !asksNodes(rotation)) return []
      const aim = aimOf(rotation, state.roots[0])
      const news = command.nodes.filter(({ nodeId, rootId, notAfter }) => {
        const { presents, presentedFor } = progressOf(rotation, nodeId)
        // A renewal that lives longer than all before it makes the bridge longer.
        const longer = rootId === aim && notAfter > rotation.latestNotAfter
        return longer || presents !== rootId || presentedFor !== rotation.aim
      })
      return news.length === 0 ? [] : [{ type: 'nodes-observed', nodes: news, at: command.now }]
    }
    case 'abort-rotation': {
      const rotation = underWay(state)
      if (rotation.phase === 'reverting') return []
      if (rotation.phase === 'finishing')
        throw wrongPhase(rotation, 'the old root has gone; start another rotation instead')
      return [{ type: 'rotation-aborted', at: command.now }]
    }
    case 'finish-rotation':
      return finish(state, command)
    case 'close-rotation': {
      const rotation = underWay(state)
      if (rotation.phase !== 'finishing') throw wrongPhase(rotation, 'finish it first')
      if (command.early !== true && command.now < (rotation.tokensUntil ?? 0))
        throw refused(
          'ROTATION_INCOMPLETE',
          'tokens of the old root are still good; wait, or say that it is to be early',
        )
      return [{ type: 'rotation-closed', at: command.now }]
    }
  }
}
