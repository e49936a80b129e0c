import {
  type Authority,
  type Certificate,
  type ClusterId,
  type FoundedAuthority,
  issueCertificate,
  issuingPartsOf,
  type NodeRecord,
  openAuthority,
  type SyncSignatureVerifier,
} from '@leastwise/identity'
import { openSigner, systemDigest, systemRandom } from '@leastwise/identity/node'
import type { Requests } from './requests.ts'
import { standInSigner } from './stand-in.ts'

/** What one manager issues with. */
export interface Issuer {
  readonly issue: (state: FoundedAuthority, node: NodeRecord, real: boolean, now: number) => Promise<Issued>
  readonly facts: () => { readonly real: number; readonly standIn: number }
}

export interface Issued {
  readonly leaf: Certificate
  readonly above: readonly Certificate[]
  readonly issuerId: string
}

interface Opened {
  readonly issuerId: string
  readonly above: readonly Certificate[]
  readonly real: Authority
  readonly standIn: Authority
}

/** Issues with whatever the state says; the same code for real signatures and for stand-ins, only the signer differs. */
export function createIssuer(clusterId: ClusterId, requests: Requests, verifier: SyncSignatureVerifier): Issuer {
  const opened = new Map<string, Opened>()
  const facts = { real: 0, standIn: 0 }
  let last: { readonly state: FoundedAuthority; readonly until: number; readonly opened: Opened } | null = null

  const current = async (state: FoundedAuthority, now: number): Promise<Opened> => {
    if (last?.state === state && now < last.until) return last.opened
    const { issuerId, certificate, intermediates, privateKey } = issuingPartsOf(state, now)
    let found = opened.get(issuerId)
    if (found === undefined) {
      if (privateKey === null) throw new Error('the key of the root is in the log of this cluster')
      const signer = openSigner(privateKey)
      const open = async (by: typeof signer): Promise<Authority> =>
        await openAuthority({ certificate, intermediates, signer: by }, { verifier })
      const standIn = standInSigner(signer) as typeof signer
      found = { issuerId, above: intermediates, real: await open(signer), standIn: await open(standIn) }
      opened.set(issuerId, found)
    }
    const until = Math.min(...state.bridges.map((bridge) => bridge.until).filter((end) => end > now))
    last = { state, until, opened: found }
    return found
  }

  return {
    facts: () => facts,
    issue: async (state, { nodeId, role, csr }, real, now) => {
      const { issuerId, above, ...authorities } = await current(state, now)
      facts[real ? 'real' : 'standIn'] += 1
      const leaf = await issueCertificate(
        real ? authorities.real : authorities.standIn,
        requests.named(csr).csr,
        { nodeId, role, clusterId, lifetimeMs: state.lifetimeMs },
        { random: systemRandom, now, verifier, digest: systemDigest },
      )
      return { leaf, above, issuerId }
    },
  }
}
