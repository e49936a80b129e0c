import { parseCertificateChain, renewals, type Validity, verifyPeer } from '@leastwise/identity'
import { clearWrapper, type KeyFileContent, openKeyFile, openSigner, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { manualClock } from '../support/manual-clock.ts'
import { type TestCluster, type TestNode, testCluster } from '../support/test-authority.ts'
import { AFTERMATHS, codeOf, type MemoryDisk, memoryDisk } from './memory-disk.ts'

const PATH = '/disk/node.key'
const HOUR_MS = 3_600_000

let cluster: TestCluster
let first: TestNode
let nexts: TestNode[]

beforeAll(async () => {
  cluster = await testCluster()
  first = await cluster.issue()
  nexts = await Promise.all([1, 2, 3].map(async () => await cluster.issue({ nodeId: first.nodeId })))
})

const contentOf = ({ privateKey, certificateChain, trustBundle }: TestNode): KeyFileContent => ({
  privateKey,
  certificateChain,
  trustBundle,
  companion: {},
})

interface Pair extends Validity {
  readonly node: TestNode
}

const pairOf = (node: TestNode): Pair => ({
  node,
  notBefore: node.certificate.notBefore,
  notAfter: node.certificate.notAfter,
})

async function diskWithFirst(): Promise<MemoryDisk> {
  const disk = memoryDisk()
  await (await openKeyFile(PATH, { files: disk.files() })).save(contentOf(first), clearWrapper)
  return disk
}

/** What a node would start with: key and certificate of one another, and of this cluster. */
async function usablePair(disk: MemoryDisk): Promise<string> {
  const content = await (await openKeyFile(PATH, { files: disk.files() })).load(clearWrapper)
  const chain = parseCertificateChain(content!.certificateChain!)
  expect(openSigner(content!.privateKey).publicKey).toEqual(chain[0]!.publicKey)
  const peer = await verifyPeer(chain, {
    roots: [cluster.root],
    now: cluster.now,
    clusterId: cluster.clusterId,
    verifier: systemVerifier,
  })
  expect(peer.nodeId).toBe(first.nodeId)
  return peer.serial
}

/** Renews until `wanted` renewals are done or the disk has died, and says what the process used at each moment. */
async function renewing(disk: MemoryDisk, trouble: Parameters<MemoryDisk['files']>[0], wanted: number) {
  const files = disk.files(trouble)
  const file = await openKeyFile(PATH, { files })
  const clock = manualClock(cluster.now)
  const stop = new AbortController()
  const inUse: TestNode[] = [first]
  const handedIn: TestNode[] = []
  let made = 0
  const drive = (async () => {
    const schedule = renewals(pairOf(first), {
      renew: async (current) => {
        handedIn.push(current.node)
        const next = nexts[made % nexts.length]!
        made += 1
        await file.save(contentOf(next), clearWrapper)
        return pairOf(next)
      },
      clock,
      jitter: () => 0,
      signal: stop.signal,
    })
    for await (const { node } of schedule) {
      inUse.push(node)
      if (inUse.length > wanted) return
    }
  })().catch(() => undefined)
  await clock.advance(20 * HOUR_MS)
  stop.abort(new Error('over'))
  await drive
  return { inUse, handedIn, steps: files.steps() }
}

describe('a renewal', () => {
  it('cut off by a power failure at any write leaves a pair to start with: the one in use, or its successor', async () => {
    const { steps } = await renewing(await diskWithFirst(), undefined, 1)
    expect(steps).toBeGreaterThan(3)
    const seen = new Set<string>()
    for (let at = 0; at <= steps; at += 1) {
      for (const aftermath of AFTERMATHS) {
        const disk = await diskWithFirst()
        const { inUse, handedIn } = await renewing(disk, { at, kind: 'power' }, 1)
        const serial = await usablePair(disk.after(aftermath))
        // Nothing is used before it is durable: what was in use last is there, or something newer that was never used.
        if (inUse.length > 1) expect(serial).toBe(inUse.at(-1)!.certificate.serial)
        else expect(new Set(handedIn)).toEqual(new Set([first]))
        seen.add(serial === first.certificate.serial ? 'old' : 'new')
      }
    }
    expect(seen).toEqual(new Set(['old', 'new']))
  })

  it('of which any one write fails goes on with the old pair, and comes through at the next attempt', async () => {
    const { steps } = await renewing(await diskWithFirst(), undefined, 1)
    for (let at = 0; at < steps; at += 1) {
      const disk = await diskWithFirst()
      const { inUse, handedIn } = await renewing(disk, { at, kind: 'fail', code: 'ENOSPC' }, 1)
      expect(handedIn).toEqual([first, first])
      expect(inUse).toEqual([first, nexts[1]])
      expect(await usablePair(disk)).toBe(nexts[1]!.certificate.serial)
    }
  })

  it('that cannot be written is told by its code, and the key in use is untouched', async () => {
    const disk = await diskWithFirst()
    const file = await openKeyFile(PATH, { files: disk.files({ at: 0, kind: 'power' }) })
    const answer = await file.save(contentOf(nexts[0]!), clearWrapper).then(() => 'saved', codeOf)
    expect(answer).toBe('KEY_FILE_WRITE_FAILED')
    expect(await usablePair(disk)).toBe(first.certificate.serial)
  })
})
