import { sameBytes } from '../agent/acceptance.ts'
import type { AgentEvent, NodeCredentials } from '../agent/events.ts'
import { firstOf } from '../agent/first-of.ts'
import type { ManagerPool } from '../agent/manager-pool.ts'
import type { Clock, RandomSource } from '../ports.ts'
import type { ManagerList } from '../session-update.ts'
import type { SessionNotice } from '../wire/session-message.ts'
import { codeOf, nameOf } from '../wire/status.ts'
import { createSaving } from './saving.ts'

/** What {@link createNotices} works with. */
export interface NoticesOptions {
  readonly pool: ManagerPool
  /** What the node trusts now, PEM. */
  readonly trustBundle: () => Uint8Array
  /** Judges a bundle, and saves it; only then it is used. */
  readonly trust: (pem: Uint8Array) => Promise<NodeCredentials>
  readonly saveManagers: (managers: ManagerList) => Promise<void>
  readonly askForRenewal: () => void
  readonly emit: (event: AgentEvent) => void
  readonly clock: Clock
  readonly random: RandomSource
}

/** What a manager says in a session, and what becomes of it. */
export interface Notices {
  readonly take: (notice: SessionNotice) => Promise<void>
  /** Goes on saving what could not be saved. */
  readonly insist: (signal: AbortSignal) => Promise<void>
}

export function createNotices(options: NoticesOptions): Notices {
  const { pool, trustBundle, trust, saveManagers, askForRenewal, emit, clock, random } = options
  const failed =
    (what: 'managers' | 'trust-bundle') =>
    (error: unknown, retryInMs: number): void => {
      emit({ type: 'save-failed', what, code: nameOf(error), retryInMs })
    }
  const trustBundles = createSaving<Uint8Array>({
    save: async (pem) => {
      try {
        emit({ type: 'trust-bundle', credentials: await trust(pem) })
      } catch (error) {
        if (codeOf(error) !== 'TRUST_BUNDLE_UNRELATED') throw error
        emit({ type: 'trust-bundle-refused', code: 'TRUST_BUNDLE_UNRELATED' })
      }
    },
    onFailure: failed('trust-bundle'),
    clock,
    random,
  })
  const managerLists = createSaving<ManagerList>({
    save: async (managers) => {
      await saveManagers(managers)
      emit({ type: 'managers', managers })
    },
    onFailure: failed('managers'),
    clock,
    random,
  })
  return {
    take: async (notice) => {
      const [first, ...rest] = notice.managers
      if (first !== undefined && pool.replace(notice.managers)) await managerLists.take([first, ...rest])
      if (notice.trustBundle !== null) {
        if (sameBytes(notice.trustBundle, trustBundle())) trustBundles.forget()
        else await trustBundles.take(notice.trustBundle)
      }
      if (notice.certificate === 'rotate') askForRenewal()
    },
    insist: async (signal) => {
      await firstOf(signal, [trustBundles.insist, managerLists.insist])
    },
  }
}
