import { clearWrapper, type SnapshotSource } from '@leastwise/raftlog'
import { systemClock, systemRandom } from '@leastwise/raftlog/node'
import { createMemberKey, type EtcdClient, type SharedLog } from '@leastwise/raftlog-etcd'
import { codeOf } from '../../errors.ts'
import type { Engine } from '../engine.ts'
import type { ManagerKeys } from '../manager-keys.ts'
import { ENTRIES_PER_SNAPSHOT } from '../store.ts'
import { leadForAll, untilEnd } from './leading.ts'
import { isMemberOf, memberIdOf } from './member-id.ts'
import { encodeMembership, MEMBERSHIP, type OwnMembership } from './own-membership.ts'
import { hearPresence, tellPresence } from './shared-presence.ts'
import { openSharedStore } from './shared-store.ts'

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
  /** What a change of the box key left behind. */
  const removeOldKeys = async (snapshot: SnapshotSource): Promise<void> => {
    const mine = memberIdOf(nodeId, membership.number)
    for (const { id } of log.membership.members)
      if (isMemberOf(id, nodeId) && id !== mine) await log.membership.remove(id, { snapshot })
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
          if (isNewKey() || isFarBehind()) await remember()
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
        await log.membership.become({ id: memberIdOf(nodeId, number), key })
      })
      await removeOldKeys(snapshot)
      await remember()
    },
    unlock: async () => {
      await inTurn(async () => {
        await keep(membership, clearWrapper)
      })
    },
    expel: async (expelled, { snapshot }) => {
      await log.refresh()
      for (const { id } of log.membership.members)
        if (isMemberOf(id, expelled)) await log.membership.remove(id, { snapshot })
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
      // If another manager changes the data key at this moment, the next start finds what is left.
      await removeOldKeys(work.store.snapshot).catch((error: unknown) => {
        work.announce({ event: 'background-failed', code: codeOf(error) ?? 'INTERNAL' })
      })
      await leadForAll(member, work, options)
    },
    close: async () => {
      await remember()
      await log.close()
      await etcd.close()
    },
  }
}
