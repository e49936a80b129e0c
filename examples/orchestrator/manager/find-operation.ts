import { backupOperations } from './backup/backup-operations.ts'
import { evictionOperations } from './eviction/eviction-operations.ts'
import { recoveryOperations } from './membership/recovery-operations.ts'
import { roleOperations } from './membership/role-operations.ts'
import { clusterOperations, type OperationContext } from './operations.ts'
import type { Operation } from './operator-server.ts'
import { operatorOperations } from './remote/operator-operations.ts'
import { rootOperations } from './root/root-operations.ts'
import { secretOperations, taskOperations } from './secret-and-task-operations.ts'
import { bundleOperations } from './spiffe/bundle-operation.ts'

/** Everything that an unlocked manager does for operators, by path. The signal ends what such an operation has begun. */
export function findOperation(context: OperationContext, signal: AbortSignal): (path: string) => Operation | undefined {
  const { store, issuing } = context
  const operations: Record<string, Operation> = {
    ...clusterOperations(context),
    ...secretOperations(context),
    ...taskOperations(context),
    ...rootOperations(context, issuing, signal),
    ...bundleOperations(context),
    ...recoveryOperations(context),
    ...roleOperations(context),
    ...evictionOperations(context),
    ...operatorOperations(context),
    ...backupOperations(context),
  }
  /** Whichever manager is asked, an operator sees what any of them has acknowledged. */
  const fresh =
    (operation: Operation): Operation =>
    async (request) => {
      await store.upToDate()
      return await operation(request)
    }
  return (path) => {
    const operation = Object.hasOwn(operations, path) ? operations[path] : undefined
    return operation === undefined ? undefined : fresh(operation)
  }
}
