/** Where a task is in its life, in the order in which states may follow one another (Docker Swarm's names). */
export type TaskState =
  | 'new'
  | 'pending'
  | 'assigned'
  | 'accepted'
  | 'preparing'
  | 'ready'
  | 'starting'
  | 'running'
  | 'complete'
  | 'shutdown'
  | 'failed'
  | 'rejected'
  | 'remove'
  | 'orphaned'

/** How a task wants to see one secret: as a file of this name, owner and mode. */
export interface SecretFile {
  readonly secretId: string
  readonly secretName: string
  /** File name under `/run/secrets`. */
  readonly target: string
  /** Numeric user id as text, as Docker writes it; `''` leaves the choice to the worker. */
  readonly uid: string
  /** Numeric group id as text; `''` leaves the choice to the worker. */
  readonly gid: string
  /** Permission bits, for instance `0o400`. */
  readonly mode: number
}

/** What to run. */
export interface ContainerSpec {
  /** Image reference; a host that starts plain processes leaves it `''`. */
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  /** Replaces the entry point when not empty. */
  readonly command: readonly string[]
  readonly args: readonly string[]
  readonly hostname: string
  /** `NAME=value` pairs. Never put secrets here. */
  readonly env: readonly string[]
  readonly dir: string
  /** `user[:group]`, or `''`. */
  readonly user: string
  readonly stopGraceMs: number
  readonly secrets: readonly SecretFile[]
}

/** One piece of work for one node. */
export interface Task {
  readonly id: string
  readonly nodeId: string
  /** `''` when the task belongs to no service. */
  readonly serviceId: string
  readonly serviceName: string
  /** `1` and up for a replica, `0` when there is none. */
  readonly slot: number
  readonly container: ContainerSpec
  /** What the manager last knew. */
  readonly state: TaskState
  /** What the manager wants; a node starts it at `running` and stops it at `shutdown` and beyond. */
  readonly desiredState: TaskState
  /** Networks by name and id that the task attaches to; stock engines need one (`host` works everywhere). */
  readonly networks: readonly TaskNetwork[]
}

/** A network as a task sees it. */
export interface TaskNetwork {
  readonly id: string
  readonly name: string
  /** Driver name, for instance `host`. */
  readonly driver: string
}

/** A secret as a node receives it. */
export interface AssignedSecret {
  readonly id: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: Uint8Array
}

/** Something that an assignment set puts on the node or changes there. */
export type AssignedItem =
  | { readonly kind: 'secret'; readonly secret: AssignedSecret }
  | { readonly kind: 'task'; readonly task: Task }

/** One step of an {@link AssignmentSet}. A removal names the thing and carries nothing of it. */
export type AssignmentChange =
  | { readonly action: 'update'; readonly item: AssignedItem }
  | { readonly action: 'remove'; readonly item: { readonly kind: 'secret' | 'task'; readonly id: string } }

/**
 * What a node has to hold and to run: all of it (`complete`) or the difference to the set before (`incremental`).
 *
 * The first set of a stream is complete with `appliesTo` `''`; each later one names in `appliesTo` the `resultsIn` of the one
 * before. Secrets stand before the tasks that need them, and secrets that go after those tasks; an agent sees to that
 * itself when a manager sends them otherwise.
 */
export interface AssignmentSet {
  readonly kind: 'complete' | 'incremental'
  readonly appliesTo: string
  readonly resultsIn: string
  readonly changes: readonly AssignmentChange[]
}

/** What a node says of one of its tasks. */
export interface TaskStatusUpdate {
  readonly taskId: string
  readonly state: TaskState
  /** Epoch milliseconds. */
  readonly at: number
  readonly message: string
  /** Set when the task failed or was rejected; never put secrets here. */
  readonly error: string
  /** `null` while it runs or when it never ran. */
  readonly exitCode: number | null
  /** Process id, or 0. */
  readonly pid: number
}
