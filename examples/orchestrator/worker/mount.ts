import { chooseTmpfs, type IsolationCapabilities, probeIsolation, type TmpfsMount } from '@leastwise/secrets/node'

export interface DeliveryPlace {
  readonly mount: TmpfsMount
  readonly capabilities: IsolationCapabilities
}

/** A proven tmpfs for a node's deliveries: the operator's `directory`, or one of its own that `name` tells apart. */
export function openMount(name: string, directory?: string): TmpfsMount {
  const where = { name, ...(directory === undefined ? {} : { directory }) }
  // Tasks that root starts have users of their own, and these must be able to pass through to their directories.
  return chooseTmpfs({ ...where, reach: process.geteuid?.() === 0 ? 'tasks' : 'owner' })
}

/** How far the machine lets tasks be kept apart on the mount; one that cannot even be tried is taken away again. */
export async function openDeliveryPlace(
  mount: TmpfsMount,
  options: { readonly signal: AbortSignal },
): Promise<DeliveryPlace> {
  try {
    return { mount, capabilities: await probeIsolation(mount, options) }
  } catch (error) {
    await mount.remove()
    throw error
  }
}
