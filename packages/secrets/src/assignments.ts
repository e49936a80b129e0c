import type { Secret } from './secret.ts'

/** What this package needs to know about a task: who it is and which secrets it needs. A host's own task carries more. */
export interface AssignedTask {
  readonly id: string
  readonly secretIds: readonly string[]
}

/** A secret on its way to a node. The handle stays with whoever made the assignments; a receiver copies. */
export interface AssignedSecret {
  readonly id: string
  readonly name: string
  readonly value: Secret
}

/** Everything that one node is to have: its tasks, and exactly the secrets which these need. */
export interface Assignments<Task extends AssignedTask> {
  readonly secrets: readonly AssignedSecret[]
  readonly tasks: readonly Task[]
}
