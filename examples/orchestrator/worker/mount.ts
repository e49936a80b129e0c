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
  // Tasks that root starts have users of their own, and these must be able to pass through to their directories.
  const mount = chooseTmpfs({ ...where, reach: process.geteuid?.() === 0 ? 'tasks' : 'owner' })
  return { mount, capabilities: await probeIsolation(mount, options) }
}
