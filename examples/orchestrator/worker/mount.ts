import { chooseTmpfs, type IsolationCapabilities, probeIsolation, type TmpfsMount } from '@leastwise/secrets/node'

export interface DeliveryPlace {
  readonly mount: TmpfsMount
  readonly capabilities: IsolationCapabilities
}

/** A proven tmpfs for this node's deliveries, and how far the machine lets tasks be kept apart on it. */
export async function openDeliveryPlace(
  nodeId: string,
  directory: string | undefined,
  options: { readonly signal: AbortSignal },
): Promise<DeliveryPlace> {
  const where = { name: nodeId, ...(directory === undefined ? {} : { directory }) }
  const mount = chooseTmpfs(where)
  const capabilities = await probeIsolation(mount, options)
  if (!capabilities.root || capabilities.levels[0] !== 'directory') return { mount, capabilities }
  // Root without private mounts: tasks have users of their own, and these must be able to pass through the root directory.
  mount[Symbol.dispose]()
  const open = chooseTmpfs({ ...where, reach: 'tasks' })
  return { mount: open, capabilities: await probeIsolation(open, options) }
}
