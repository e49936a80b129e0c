import { OrchestratorError } from '../errors.ts'

/** Where each manager says that nodes can reach it, by node id. */
export type ManagerAddresses = ReadonlyMap<string, string>

export type ManagerListCommand =
  | { readonly type: 'announce'; readonly nodeId: string; readonly address: string }
  | { readonly type: 'withdraw'; readonly nodeId: string }

export type ManagerListEvent =
  | { readonly type: 'manager-announced'; readonly nodeId: string; readonly address: string }
  | { readonly type: 'manager-withdrawn'; readonly nodeId: string }

/** More managers than that make a majority slower, not safer; a session message to a node holds as many. */
export const MAX_MANAGERS = 64

/** The managers of the cluster and their addresses. */
export const managerList = {
  initial: new Map<string, string>() as ManagerAddresses,

  decide(managers: ManagerAddresses, command: ManagerListCommand): readonly ManagerListEvent[] {
    switch (command.type) {
      case 'announce':
        if (managers.get(command.nodeId) === command.address) return []
        if (!managers.has(command.nodeId) && managers.size >= MAX_MANAGERS)
          throw new OrchestratorError('TOO_MANY_MANAGERS', `a cluster has at most ${MAX_MANAGERS} managers; remove one`)
        return [{ type: 'manager-announced', nodeId: command.nodeId, address: command.address }]
      case 'withdraw':
        return managers.has(command.nodeId) ? [{ type: 'manager-withdrawn', nodeId: command.nodeId }] : []
    }
  },

  evolve(managers: ManagerAddresses, event: ManagerListEvent): ManagerAddresses {
    const next = new Map(managers)
    if (event.type === 'manager-announced') next.set(event.nodeId, event.address)
    else next.delete(event.nodeId)
    return next
  },
}
