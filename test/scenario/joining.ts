import { joinBundleAt, joinBundlesOf, type Role } from '@leastwise/identity'
import {
  createId,
  createTokenSecret,
  formatJoinToken,
  hashTokenSecret,
  type JoinToken,
  parseJoinToken,
  redemptionOf,
  TokenError,
  trustDigestOf,
  verifyTrustBundle,
} from '@leastwise/tokens'
import { systemDigest, systemRandom } from '@leastwise/tokens/node'
import { ask, newNode } from './nodes.ts'
import { NODES_PER_TOKEN } from './requests.ts'
import { later, SECOND_MS, type Sim, type SimNode } from './sim.ts'

/** As stock engines do: the bundle is asked for five times, two seconds apart. */
const POLLS = 5
const POLL_MS = 2 * SECOND_MS
const encoder = new TextEncoder()

/** What came of a join: the node, or the code of the last refusal. */
export type Told = (node: SimNode | null, code: string) => void

/** A token for so many nodes as have different keys here, with the digest that tokens have now. */
export function mintToken(sim: Sim, role: Role): JoinToken {
  const { now } = sim
  const secret = createTokenSecret(systemRandom)
  const trustDigest = trustDigestOf(encoder.encode(joinBundlesOf(sim.replica.authority(), now)[0]), systemDigest)
  const terms = { id: createId(systemRandom), role, now, ttlMs: null, maxUses: NODES_PER_TOKEN } as const
  const command = { type: 'mint', ...terms, secretHash: hashTokenSecret(secret, systemDigest) } as const
  sim.replica.commit([{ part: 'tokens', command }], now)
  return formatJoinToken({ trustDigest, secret })
}

const ignore: Told = () => undefined

/** A machine joins with a token. */
export function join(sim: Sim, text: JoinToken, told: Told = ignore): void {
  poll(sim, text, told, POLLS)
}

function poll(sim: Sim, text: JoinToken, told: Told, left: number): void {
  if (!sim.leader.up) {
    later(sim, POLL_MS, () => {
      poll(sim, text, told, left)
    })
    return
  }
  const bundle = joinBundleAt(sim.replica.authority(), sim.now)
  const token = parseJoinToken(text)
  try {
    verifyTrustBundle(token, encoder.encode(bundle), systemDigest)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    if (left === 1) {
      told(null, error.code)
      return
    }
    later(sim, POLL_MS, () => {
      poll(sim, text, told, left - 1)
    })
    return
  }
  const node = newNode(sim, bundle)
  admit(sim, node, hashTokenSecret(token.secret, systemDigest))
  ask(sim, node, 'join')
  told(node, 'joined')
}

/** The manager's part: the token says which role it is. */
function admit(sim: Sim, node: SimNode, secretHash: ReturnType<typeof hashTokenSecret>): void {
  const { now, replica } = sim
  const { nodeId } = node
  const { pem, publicKeyHash } = sim.requests.of(node.number, node.key + 1)
  replica.commit([{ part: 'tokens', command: { type: 'redeem', secretHash, publicKeyHash, nodeId, now } }], now)
  const redeemed = redemptionOf(replica.state().tokens, secretHash, publicKeyHash, now)
  if (redeemed?.nodeId !== (nodeId as string)) throw new Error('two nodes of one token have the same key')
  const command = { type: 'admit', nodeId, role: redeemed.role, csr: pem, publicKeyHash, now } as const
  replica.commit([{ part: 'membership', command }], now)
}
