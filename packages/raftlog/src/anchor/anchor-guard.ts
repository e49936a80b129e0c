import { RaftLogError } from '../errors.ts'
import { equalBytes } from '../keepers/equal-bytes.ts'
import type { CipherSuite } from '../ports.ts'
import { turns } from '../turns.ts'
import { checkOwner } from './advance-rule.ts'
import { type AnchorHead, isSameHead, MAX_ANCHORED_RINGS } from './anchor-head.ts'
import { type Anchoring, acceptRolledBackLog, checkPace } from './anchoring.ts'
import { type ChainPlace, type ChainWatch, GENESIS } from './chain-place.ts'
import { rolledBack } from './rollback.ts'

/** Holds one open log to its anchor. */
export interface AnchorGuard {
  readonly watch: ChainWatch
  /** Refuses a key ring that the anchor does not remember. */
  readonly proveRing: (ring: Uint8Array) => void
  /** Whether the anchor remembers several rings, because a replacement was cut short. */
  readonly isRingOpen: () => boolean
  /** Before a ring is saved: from now on a crash may leave it, or the one before. */
  readonly saving: (ring: Uint8Array) => Promise<void>
  /** After it was saved: no other ring will do any more. */
  readonly saved: (ring: Uint8Array) => Promise<void>
  /** Begins the use of the log at its present end. */
  readonly begin: (at: ChainPlace) => Promise<void>
  /** After a group commit: advances when the pace says so. `at` is asked only then. */
  readonly moved: (at: () => ChainPlace) => Promise<void>
  /** Advances to this place, unless the anchor stands there. */
  readonly settle: (at: () => ChainPlace) => Promise<void>
  /** Whether an operator accepted what would have been refused. */
  readonly hasAccepted: () => boolean
}

/** What a guard is made of. */
export interface AnchorGuardParts {
  readonly anchoring: Anchoring
  readonly clusterId: string
  readonly logId: string
  readonly suite: CipherSuite
  readonly use: 'create' | 'open'
}

// Far more than one process tries in vain, so that no two openings give one count to two heads.
const OPENING_STEP = 1n << 16n

/**
 * Asks the anchor what it remembers, and holds the log to it from then on.
 *
 * @throws {@link RaftLogError} `ANCHOR_UNREACHABLE`, `ANCHOR_MALFORMED`, `LOG_FOREIGN`; `ANCHOR_EMPTY` if a log is opened
 * that the anchor never heard of; `ROLLED_BACK` if one is created where the anchor remembers one.
 * @throws RangeError if the pace lies outside its bounds.
 */
export async function openAnchorGuard({
  anchoring,
  clusterId,
  logId,
  suite,
  use,
}: AnchorGuardParts): Promise<AnchorGuard> {
  const { anchor, pace = { kind: 'strict' } } = anchoring
  checkPace(pace)
  const order = turns()
  const anchored = await anchor.read()
  if (anchored !== null) checkOwner(anchored, { clusterId, logId })
  const epoch = anchored?.epoch ?? 0

  let hasAccepted = false
  const refuse = (refusal: RaftLogError): void => {
    if (anchoring[acceptRolledBackLog] !== epoch + 1) throw refusal
    hasAccepted = true
  }
  if (anchored === null && use === 'open') {
    const rule = 'anchor remembers nothing of this log'
    refuse(
      new RaftLogError(
        'ANCHOR_EMPTY',
        `${rule}; give the one it was written with, or trust the disk by beginning epoch 1`,
      ),
    )
  }
  // An empty directory is the oldest copy of all.
  if (anchored !== null && anchored.sequence > 0n && use === 'create') refuse(rolledBack('older', anchored, null))

  let confirmed = anchored
  let attempted: AnchorHead | null = null
  let lastCount = (anchored?.count ?? 0n) + OPENING_STEP
  let place: ChainPlace = use === 'create' ? GENESIS : (anchored ?? GENESIS)
  let rings: readonly Uint8Array[] = anchored?.rings ?? []
  let hasBegun = false
  let isSeen = false
  let waiting = 0
  let lastMs = 0

  /** Learns what became of an advance that failed. */
  const resolveAttempt = async (tried: AnchorHead): Promise<void> => {
    const stored = await anchor.read()
    if (isSameHead(stored, tried)) confirmed = tried
    else if (!isSameHead(stored, confirmed)) {
      throw new RaftLogError(
        'ANCHOR_CONFLICT',
        'anchor holds what another process wrote; run one process on one copy of the log',
      )
    }
    attempted = null
  }

  const advance = async (at: ChainPlace, next: readonly Uint8Array[]): Promise<void> => {
    if (attempted !== null) await resolveAttempt(attempted)
    const { sequence, offset, index, term } = at
    lastCount += 1n
    const head: AnchorHead = {
      ...{ clusterId, logId, epoch: anchored === null || hasAccepted ? epoch + 1 : epoch },
      ...{ sequence, offset, index, term, tag: new Uint8Array(at.tag), rings: [...next] },
      count: lastCount,
    }
    const stands = confirmed !== null && isSameHead({ ...head, count: confirmed.count }, confirmed)
    // Each opening advances, so that whoever still writes another copy is found out.
    if (!(stands && hasBegun)) {
      attempted = head
      await anchor.advance(head, confirmed)
      attempted = null
      confirmed = head
    }
    place = at
    waiting = 0
    if (pace.kind === 'lazy') lastMs = pace.clock.now()
  }

  const take = async (at: () => ChainPlace): Promise<void> => {
    await order.take(async () => {
      await advance(at(), rings)
    })
  }

  return {
    hasAccepted: () => hasAccepted,
    isRingOpen: () => rings.length > 1,
    watch: {
      seen: (sequence, tag) => {
        if (sequence === anchored?.sequence && equalBytes(tag, anchored.tag)) isSeen = true
      },
      ends: (at) => {
        if (anchored === null || isSeen) return
        const { sequence, offset } = anchored
        const isShort = at.sequence < sequence || (at.sequence === sequence && at.offset < offset)
        refuse(rolledBack(isShort ? 'older' : 'forked', anchored, at))
      },
    },
    proveRing: (ring) => {
      const digest = suite.sha256(ring)
      if (rings.some((one) => equalBytes(one, digest))) return
      if (anchored !== null && !(use === 'create' && anchored.sequence === 0n))
        refuse(rolledBack('keys', anchored, null))
      rings = [digest]
    },
    saving: async (ring) => {
      await order.take(async () => {
        if (rings.length === MAX_ANCHORED_RINGS) {
          throw new RaftLogError('LOG_FAILED', 'saving the keys failed several times; open the log again')
        }
        const next = [...rings, suite.sha256(ring)]
        await advance(place, next)
        rings = next
      })
    },
    saved: async (ring) => {
      rings = [suite.sha256(ring)]
      await take(() => place)
    },
    begin: async (at) => {
      await take(() => at)
      hasBegun = true
    },
    moved: async (at) => {
      waiting += 1
      if (pace.kind === 'lazy' && waiting < pace.frames && pace.clock.now() - lastMs < pace.everyMs) return
      await take(at)
    },
    settle: take,
  }
}
