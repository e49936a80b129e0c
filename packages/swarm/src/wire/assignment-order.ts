import type { AssignmentChange } from '../task.ts'

const idOf = (change: AssignmentChange): string => {
  if (change.action === 'remove') return change.item.id
  return change.item.kind === 'task' ? change.item.task.id : change.item.secret.id
}

/** Secrets come before everything that may need them and go after everything that may have needed them. */
const rankOf = ({ action, item }: AssignmentChange): number => (item.kind === 'task' ? 1 : action === 'update' ? 0 : 2)

/**
 * The order in which a node applies changes, whatever order they were sent in: Docker's manager puts a task before its secrets
 * as readily as behind them. Among equals the order stays; of two changes to one secret only the later one counts.
 */
export function inApplyingOrder(changes: readonly AssignmentChange[]): readonly AssignmentChange[] {
  const last = new Map<string, AssignmentChange>()
  for (const change of changes) if (change.item.kind === 'secret') last.set(idOf(change), change)
  const standing = changes.filter((change) => change.item.kind === 'task' || last.get(idOf(change)) === change)
  return [0, 1, 2].flatMap((rank) => standing.filter((change) => rankOf(change) === rank))
}
