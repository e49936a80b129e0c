import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type HeldEvictions, holdEvictions, IdentityError, parseClusterId } from '@leastwise/identity'
import { openEvictionFile, systemDigest, systemVerifier } from '@leastwise/identity/node'
import type { NodeCredentials } from '@leastwise/swarm'
import type { Announce } from '../announce.ts'

const pathIn = (dataDirectory: string): string => join(dataDirectory, 'evictions')

/** What this node has heard of evictions, kept beside its key. */
export async function openEvictions(
  dataDirectory: string,
  credentials: NodeCredentials,
  announce: Announce,
): Promise<HeldEvictions> {
  const clusterId = parseClusterId(credentials.clusterId)
  const file = await openEvictionFile(pathIn(dataDirectory), { clusterId })
  const kept = await file.load().catch((error: unknown) => {
    // Worth no node: until the next list this one is in the same place as a new one, and lets nobody in.
    if (!(error instanceof IdentityError) || error.code !== 'EVICTION_FILE_MALFORMED') throw error
    announce({ event: 'evictions-lost', code: error.code })
    return null
  })
  return holdEvictions({
    clusterId,
    verifier: systemVerifier,
    digest: systemDigest,
    save: file.save,
    ...(kept === null ? {} : { view: kept }),
  })
}

export function forgetEvictions(dataDirectory: string): void {
  rmSync(pathIn(dataDirectory), { force: true })
}
