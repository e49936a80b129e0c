import { type Csr, createCsr, type Signer, verifyCsr } from '@leastwise/identity'
import { createNodeKey, systemVerifier } from '@leastwise/identity/node'
import { hashPublicKey } from '@leastwise/tokens'
import { systemDigest } from '@leastwise/tokens/node'

/** A key with its request. */
export interface Request {
  readonly signer: Signer
  readonly csr: Csr
  readonly pem: string
  readonly publicKeyHash: string
}

/** Real P-256 keys which the nodes take turns with: consecutive ones of a node differ, and so do those of the nodes that share a token. */
export interface Requests {
  readonly of: (node: number, key: number) => Request
  readonly named: (pem: string) => Request
  readonly proven: ReadonlySet<object>
}

/** Nodes that may redeem one token: all of them have different keys. */
export const NODES_PER_TOKEN = 400
const KEYS = 512

export async function createRequests(): Promise<Requests> {
  const pool: Request[] = []
  const named = new Map<string, Request>()
  for (let count = 0; count < KEYS; count += 1) {
    const signer = createNodeKey()
    const csr = await createCsr(signer)
    await verifyCsr(csr, systemVerifier)
    const { pem } = csr
    const request = { signer, csr, pem, publicKeyHash: hashPublicKey(csr.publicKey, systemDigest) }
    pool.push(request)
    named.set(pem, request)
  }
  return {
    of: (node, key) => pool[(node + key) % KEYS]!,
    named: (pem) => {
      const request = named.get(pem)
      if (request === undefined) throw new Error('a request that nobody made')
      return request
    },
    proven: new Set(pool.map(({ csr }) => csr)),
  }
}
