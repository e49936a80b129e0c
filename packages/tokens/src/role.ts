/** What a node is in the cluster: a worker runs tasks, a manager also holds the control plane. */
export type Role = 'worker' | 'manager'
