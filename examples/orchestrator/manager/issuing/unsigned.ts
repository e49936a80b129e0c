import { unsignedNodes } from '@leastwise/identity'
import type { Store } from '../store.ts'

/** The nodes whose request waits: a crash may have come between admitting a node and signing for it. */
export const unsignedIn = (store: Store): readonly string[] =>
  unsignedNodes(store.state().membership).map(({ nodeId }) => nodeId)
