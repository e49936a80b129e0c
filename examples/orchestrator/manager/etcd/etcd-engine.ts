import { clearWrapper, type SnapshotSource } from '@leastwise/raftlog'
import { systemClock, systemRandom } from '@leastwise/raftlog/node'
import { createMemberKey, type EtcdClient, EtcdLogError, openMemberKey, type SharedLog } from '@leastwise/raftlog-etcd'
import { codeOf } from '../../errors.ts'
import type { Engine } from '../engine.ts'
import type { ManagerKeys } from '../manager-keys.ts'
import { ENTRIES_PER_SNAPSHOT } from '../store.ts'
import { leadForAll, untilEnd } from './leading.ts'
import { isMemberOf, memberIdOf } from './member-id.ts'
import { encodeMembership, MEMBERSHIP, type OwnMembership } from './own-membership.ts'
import { removeMembers } from './remove-members.ts'
import { hearPresence, tellPresence } from './shared-presence.ts'
import { openSharedStore } from './shared-store.ts'

/** How soon a removal that failed is tried again. */
const SETTLE_MS = 1000

/** This manager as a member of the shared log. */
export interface EtcdMember {
  readonly nodeId: string
  readonly etcd: EtcdClient
  readonly log: SharedLog
  readonly keys: ManagerKeys
}

/** Several managers, their log in etcd. */
export function etcdEngine(member: EtcdMember, own: OwnMembership): Engine {
  const { nodeId, log, keys, etcd } = member
  let membership = own
  let last: Promise<unknown> = Promise.resolve()
  const closing = new AbortController()

  /** One at a time: each starts from what the one before it left, and none brings an old box key back. */
  const inTurn = async <T>(task: () => Promise<T>): Promise<T> => {
    const mine = last.catch(() => undefined).then(task)
    last = mine
    return await mine
  }
  const keep = async (next: OwnMembership, wrapper = keys.wrapper()): Promise<void> => {
    await keys.saveCompanion(MEMBERSHIP, await encodeMembership(next, wrapper), wrapper)
    membership = next
  }
  /** A later start believes nothing older than what was seen today. */
  const remember = async (): Promise<void> => {
    await inTurn(async () => {
      await keep({ ...membership, pin: log.membership.pin, head: log.head })
    })
  }
  /** Whether nothing is left behind of a change of the box key, and to be kept; a start does not know. */
  let isSettled = false
  /** Goes on under the newest box key, and removes what others of this manager's are there. In its turn: none is removed that comes in. */
  const settle = async (snapshot: SnapshotSource): Promise<void> => {
    const { signal } = closing
    await inTurn(async () => {
      isSettled = false
      const id = memberIdOf(nodeId, membership.number)
      const key = openMemberKey(membership.secretKey)
      await log.membership.become({ id, key }, { signal })
      await log.refresh({ signal })
      await removeMembers(log, (other) => isMemberOf(other, nodeId) && other !== id, { snapshot, signal })
      await keep({ ...membership, pin: log.membership.pin, head: log.head })
      isSettled = true
    })
  }
  const isNewKey = (): boolean => log.membership.pin.generation !== membership.pin?.generation
  const isFarBehind = (): boolean => log.head.index - (membership.head?.index ?? 0n) >= ENTRIES_PER_SNAPSHOT

  return {
    kind: 'etcd',
    source: log,
    repairedBytes: null,
    openStore: async (options) => {
      const store = await openSharedStore(log, options)
      await remember()
      void (async () => {
        for await (const _state of store.watch({ signal: options.signal }))
          if (isNewKey() || isFarBehind())
            await remember().catch(() => {
              // A disk that is full for a while ends no manager: the background goes on with it, and says what stands in the way.
              isSettled = false
            })
      })().catch((error: unknown) => {
        if (!options.signal.aborted) options.fail(error)
      })
      return store
    },
    lock: async (wrapper, { identity, snapshot }) => {
      // The old box key has lain open on the disk: a new one comes in, and the data key changes when the old one goes.
      await inTurn(async () => {
        const key = createMemberKey(systemRandom)
        const number = membership.number + 1
        await log.membership.admit({ id: memberIdOf(nodeId, number), publicKey: key.publicKey })
        const { pin } = log.membership
        await keys.withIdentity(identity, async () => {
          await keep({ number, secretKey: key.secretKey, pin, head: log.head }, wrapper)
        })
      })
      // From here on the key file is under the new key, which nobody would be told if this failed.
      return await settle(snapshot).then(
        () => null,
        (error: unknown) => codeOf(error) ?? 'INTERNAL',
      )
    },
    unlock: async () => {
      await inTurn(async () => {
        await keep(membership, clearWrapper)
      })
    },
    expel: async (expelled, { snapshot }) => {
      await log.refresh()
      await removeMembers(log, (id) => isMemberOf(id, expelled), { snapshot })
    },
    sharePresence: async (work, { signal }) => {
      const { announce, store, presence } = work
      const parts = { store, presence, clock: systemClock, etcd, nodeId, identity: keys.identity, signal }
      await Promise.all([
        untilEnd(
          async () => {
            await tellPresence(parts)
          },
          announce,
          signal,
        ),
        untilEnd(
          async () => {
            await hearPresence(parts)
          },
          announce,
          signal,
        ),
      ])
    },
    background: async (work, options) => {
      const settling = async (): Promise<void> => {
        for (;;) {
          if (!isSettled)
            await settle(work.store.snapshot).catch((error: unknown) => {
              if (!options.signal.aborted)
                work.announce({ event: 'background-failed', code: codeOf(error) ?? 'INTERNAL' })
            })
          await systemClock.sleep(SETTLE_MS, options)
        }
      }
      await Promise.all([settling(), leadForAll(member, work, options)])
    },
    close: async () => {
      closing.abort(new EtcdLogError('ETCD_UNREACHABLE', 'this manager stops'))
      try {
        await remember()
      } finally {
        await log.close()
        await etcd.close()
      }
    },
  }
}
