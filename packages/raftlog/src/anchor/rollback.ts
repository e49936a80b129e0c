import { RaftLogError, type Rollback, type RollbackPlace } from '../errors.ts'
import type { AnchorHead } from './anchor-head.ts'

const placeOf = ({ sequence, offset, index, term }: RollbackPlace): RollbackPlace => ({ sequence, offset, index, term })

const words = (place: RollbackPlace | null): string =>
  place === null ? 'nothing' : `entry ${place.index} at byte ${place.offset} of segment ${place.sequence}`

const reasons = {
  older: 'log is older than its anchor remembers',
  forked: 'log is not the one that its anchor remembers',
  keys: 'key ring of the log is not the one that its anchor remembers',
} as const

/** The refusal of a log that is not what its anchor remembers. */
export function rolledBack(kind: Rollback['kind'], anchored: AnchorHead, found: RollbackPlace | null): RaftLogError {
  const seen = kind === 'keys' ? '' : `, found is ${words(found)}`
  return new RaftLogError(
    'ROLLED_BACK',
    `${reasons[kind]}: anchored is ${words(anchored)}${seen}; bring the newest copy, or give up what is missing by beginning epoch ${anchored.epoch + 1}`,
    {
      rollback: {
        kind,
        anchored: placeOf(anchored),
        found: found === null ? null : placeOf(found),
        epoch: anchored.epoch,
      },
    },
  )
}
