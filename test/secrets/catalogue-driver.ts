import {
  type SecretCatalogueCommand,
  type SecretCatalogueEvent,
  type SecretCatalogueState,
  secretCatalogue,
} from '@leastwise/secrets'

export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** A catalogue with its log, as a host keeps it. */
export interface Driver {
  readonly state: () => SecretCatalogueState
  readonly log: readonly SecretCatalogueEvent[]
  readonly run: (command: SecretCatalogueCommand) => readonly SecretCatalogueEvent[]
}

export function driveCatalogue(): Driver {
  let state = secretCatalogue.initial
  const log: SecretCatalogueEvent[] = []
  return {
    state: () => state,
    log,
    run: (command) => {
      const events = secretCatalogue.decide(state, command)
      state = events.reduce(secretCatalogue.evolve, state)
      log.push(...events)
      return events
    },
  }
}

export const createSecret = (id: string, name: string, value = 'value', now = 1000): SecretCatalogueCommand => ({
  type: 'create',
  id,
  name,
  value: bytesOf(value),
  labels: {},
  now,
})

export const grantTask = (taskId: string, nodeId: string, ...secretIds: readonly string[]): SecretCatalogueCommand => ({
  type: 'grant',
  taskId,
  nodeId,
  references: secretIds.map((secretId, at) => ({ secretId, target: `f${at}`, uid: null, gid: null, mode: 0o400 })),
})
