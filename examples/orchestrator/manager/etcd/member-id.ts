/** A manager has one member of the log at a time, or two while it changes its box key; each bears its id. */
export const memberIdOf = (nodeId: string, number: number): string => `${nodeId}.${number}`
export const isMemberOf = (memberId: string, nodeId: string): boolean =>
  memberId.startsWith(`${nodeId}.`) && /^\d{1,15}$/.test(memberId.slice(nodeId.length + 1))
