import type { Needle } from './byte-scan.ts'
import type { DemoCluster, DemoManager, DemoWorker } from './cluster.ts'
import type { Running } from './processes.ts'
import type { Stage } from './stage.ts'

/** What the steps hand on to each other. */
export interface Scene {
  readonly stage: Stage
  readonly cluster: DemoCluster
  manager: Running | null
  address: string
  clusterId: string
  managerId: string
  trustBundle: string
  workerToken: string
  managerToken: string
  /** The managers beside the first one. */
  managers: readonly DemoManager[]
  workers: readonly DemoWorker[]
  /** Everything that must be found in no file at the end. */
  readonly needles: Needle[]
}

export const workerAt = (scene: Scene, index: number): DemoWorker => {
  const worker = scene.workers[index]
  if (worker === undefined) throw new Error(`the demo has no worker ${index + 1}`)
  return worker
}
