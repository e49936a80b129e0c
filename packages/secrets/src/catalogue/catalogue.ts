import type { Decider } from '../ports.ts'
import { decide } from './catalogue-decide.ts'
import type { SecretCatalogueCommand, SecretCatalogueEvent } from './catalogue-events.ts'
import type { SecretCatalogueState } from './catalogue-state.ts'
import { evolve, initial } from './catalogue-state.ts'

/**
 * The cluster's secrets and the grants that tie them to tasks, as a decider.
 *
 * Least privilege starts here: a secret leaves the catalogue only through a grant, which names one task on one node, and a secret
 * cannot be removed while a grant needs it. A decision touches one path of the state, whatever the size of the cluster;
 * states share their structure, so that an older one stays valid.
 */
export const secretCatalogue: Decider<SecretCatalogueState, SecretCatalogueCommand, SecretCatalogueEvent> = {
  initial,
  decide,
  evolve,
}
