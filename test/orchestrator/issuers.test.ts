import {
  createCsr,
  formatCertificateChain,
  issueCertificate,
  issuingPartsOf,
  managerOfIntermediate,
  nodeOf,
  openAuthority,
  parseCertificate,
  parseCertificateChain,
  parseNodeId,
  type Role,
} from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { memoryLog } from '@leastwise/raftlog'
import { createId, hashPublicKey } from '@leastwise/tokens'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterCommand } from '../../examples/orchestrator/manager/cluster-state.ts'
import { evictionOrders } from '../../examples/orchestrator/manager/eviction/evicting.ts'
import { newCluster } from '../../examples/orchestrator/manager/founding/genesis.ts'
import { decodeIssuer, ISSUER } from '../../examples/orchestrator/manager/intermediate/issuer-key.ts'
import { issuerList, MAX_LIVE_INTERMEDIATES } from '../../examples/orchestrator/manager/intermediate/issuer-list.ts'
import { proveRequest, REQUEST_LIFE_MS } from '../../examples/orchestrator/manager/intermediate/issuer-request.ts'
import { createOwnIssuer } from '../../examples/orchestrator/manager/intermediate/own-issuer.ts'
import { signForManagers } from '../../examples/orchestrator/manager/intermediate/sign-for-managers.ts'
import { createIssuing, foundedCluster } from '../../examples/orchestrator/manager/issuing/issuing.ts'
import { renewOwn } from '../../examples/orchestrator/manager/issuing/renew-own.ts'
import type { ManagerIdentity } from '../../examples/orchestrator/manager/manager-keys.ts'
import { openStore, type Store } from '../../examples/orchestrator/manager/store.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const PROOF = { statement: new Uint8Array([1]), signature: new Uint8Array([2]), chain: '' }

const turn = async (): Promise<void> => {
  await new Promise<void>((resolve) => setImmediate(resolve))
}
const until = async (what: () => boolean): Promise<void> => {
  await expect.poll(what, { interval: 1, timeout: 5000 }).toBe(true)
}

interface Node {
  readonly nodeId: string
  readonly identity: ManagerIdentity
}

/** A cluster in memory whose log has the key of the root, and a clock that stands still. */
async function scene() {
  let at = Date.now()
  const now = (): number => at
  const stop = new AbortController()
  onTestFinished(() => {
    stop.abort()
  })
  const { signal } = stop
  const store = await openStore(memoryLog())
  const { orders, clusterId, nodeId, identity } = await newCluster(at)
  await store.commit(() => orders)
  const told: Readonly<Record<string, unknown>>[] = []
  const parts = () => issuingPartsOf(foundedCluster(store.state()), at)

  /** The keys of a manager, as its key file holds them. */
  const keysOf = (own: ManagerIdentity) => {
    const sealed = new Map<string, Uint8Array>()
    return {
      identity: () => own,
      sealed: (name: string) => sealed.get(name) ?? null,
      saveSealed: async (name: string, bytes: Uint8Array | null) => {
        if (bytes === null) sealed.delete(name)
        else sealed.set(name, bytes)
        await Promise.resolve()
      },
    }
  }
  const issuer = (node: Node = { nodeId, identity }, keys = keysOf(node.identity)) => {
    const own = createOwnIssuer({
      nodeId: node.nodeId,
      store,
      keys,
      now,
      sleep: turn,
      announce: (event) => told.push(event),
    })
    const run = () => {
      const running = new AbortController()
      void own.run(AbortSignal.any([signal, running.signal]))
      return running
    }
    return { ...own, start: run, keys }
  }
  const issuing = createIssuing({ store, now, outside: null, signal })
  const holder = () => {
    const running = new AbortController()
    const work = signForManagers(
      { store, keeper: null, issuing, now, sleep: turn, announce: (event) => told.push(event) },
      AbortSignal.any([signal, running.signal]),
    )
    return async () => {
      running.abort()
      await work
    }
  }
  /** One more node, certified by the root. */
  const admit = async (role: Role): Promise<Node> => {
    const [root] = foundedCluster(store.state()).roots
    const authority = await openAuthority(
      { certificate: parseCertificate(root.certificate), signer: openSigner(root.privateKey!) },
      { verifier: systemVerifier },
    )
    const id = parseNodeId(createId(systemRandom))
    const key = createNodeKey()
    const csr = await createCsr(key)
    const certificate = await issueCertificate(
      authority,
      csr,
      { nodeId: id, role, clusterId: clusterId as never, lifetimeMs: 30 * DAY_MS },
      { now: at, random: systemRandom, verifier: systemVerifier, digest: systemDigest },
    )
    const { serial, notAfter } = certificate
    const record = { nodeId: id, csr: csr.pem, certificate: formatCertificateChain([certificate]), serial, notAfter }
    const publicKeyHash = hashPublicKey(csr.publicKey, systemDigest)
    await store.commit(() => [
      { part: 'membership', command: { type: 'admit', nodeId: id, role, csr: csr.pem, publicKeyHash, now: at } },
      { part: 'membership', command: { type: 'record-certificate', ...record } },
    ])
    const own = {
      privateKey: exportPrivateKey(key),
      certificateChain: record.certificate,
      trustBundle: root.certificate,
    }
    return { nodeId: id, identity: own }
  }
  const issued = (id = nodeId) => store.state().issuers.get(id)?.issued ?? []
  const events = (name: string) => told.filter(({ event }) => event === name)
  return {
    ...{ store, clusterId, nodeId, identity, now, signal, parts, issuer, holder, admit, issued, events, issuing },
    advance: (ms: number) => {
      at += ms
    },
  }
}

const pendingAt = (store: Store, id: string): number | null => store.state().issuers.get(id)?.pending?.at ?? null

describe('the intermediate of a manager', () => {
  it('is asked for anew at half of its life, with another key, while the old one goes on', async () => {
    const { issuer, holder, issued, advance, parts, now, events } = await scene()
    holder()
    const own = issuer()
    own.start()
    await until(() => events('intermediate').length === 1)
    const [first] = issued()
    expect(first!.notAfter - now()).toBeGreaterThan(7 * DAY_MS - HOUR_MS)
    advance(3 * DAY_MS)
    for (let turns = 0; turns < 20; turns += 1) await turn()
    expect(issued()).toHaveLength(1)
    expect((await own.authority(parts())).intermediates[0]?.serial).toBe(first!.serial)
    advance(DAY_MS)
    await until(() => events('intermediate').length === 2)
    const [, second] = issued()
    const keyOf = (pem: string) => Buffer.from(parseCertificate(pem).publicKey).toString('hex')
    expect(keyOf(second!.certificate)).not.toBe(keyOf(first!.certificate))
    expect((await own.authority(parts())).intermediates[0]?.serial).toBe(second!.serial)
  })

  it('ends an hour before it ends, when nobody with the key of the root comes; asked for it stays', async () => {
    const { issuer, holder, advance, parts, store, nodeId, now, events } = await scene()
    const leave = holder()
    const own = issuer()
    own.start()
    await until(() => events('intermediate').length === 1)
    await leave()
    advance(7 * DAY_MS - 2 * HOUR_MS)
    await until(() => pendingAt(store, nodeId) === now())
    expect((await own.authority(parts())).intermediates).toHaveLength(1)
    advance(HOUR_MS + 1000)
    await expect(own.authority(parts())).rejects.toThrowCode('INTERMEDIATE_MISSING')
    // A request of earlier would be too old by now.
    await until(() => pendingAt(store, nodeId) === now())
    const asked = pendingAt(store, nodeId)
    advance(REQUEST_LIFE_MS / 2 - 1)
    for (let turns = 0; turns < 20; turns += 1) await turn()
    expect(pendingAt(store, nodeId)).toBe(asked)
    holder()
    await until(() => events('intermediate').length === 2)
    expect((await own.authority(parts())).intermediates).toHaveLength(1)
  })

  it('is cut to the life that it has when it grants more', async () => {
    const { issuer, holder, advance, parts, now, events, clusterId } = await scene()
    const leave = holder()
    const own = issuer()
    own.start()
    await until(() => events('intermediate').length === 1)
    await leave()
    advance(6 * DAY_MS)
    const authority = await own.authority(parts())
    const grant = { role: 'worker', clusterId: clusterId as never, lifetimeMs: 90 * DAY_MS } as const
    const csr = await createCsr(createNodeKey())
    const options = { now: now(), signal: new AbortController().signal }
    const leaf = await authority.issue(csr, { nodeId: parseNodeId(createId(systemRandom)), ...grant }, options)
    expect(leaf.notAfter).toBe(authority.intermediates[0]!.notAfter)
  })

  it('is durable as a key before it is asked for, and is taken by another start of the manager', async () => {
    const { issuer, holder, store, nodeId, events, issued, parts } = await scene()
    const own = issuer()
    const before = own.start()
    await until(() => pendingAt(store, nodeId) !== null)
    before.abort()
    const kept = decodeIssuer(own.keys.sealed(ISSUER))
    expect(kept.pending?.csr).toBe(store.state().issuers.get(nodeId)?.pending?.csr)
    holder()
    await until(() => issued().length === 1)
    const again = issuer(undefined, own.keys)
    again.start()
    await until(() => events('intermediate').length === 1)
    expect((await again.authority(parts())).intermediates[0]?.serial).toBe(issued()[0]!.serial)
    expect(store.state().issuers.get(nodeId)?.issued).toHaveLength(1)
  })

  it('is none when its key file cannot be written', async () => {
    const { issuer, store, nodeId, events, identity } = await scene()
    const broken = {
      identity: () => identity,
      sealed: () => null,
      saveSealed: async () => await Promise.reject(new Error('the disk is gone')),
    }
    issuer(undefined, broken).start()
    await until(() => events('intermediate-delayed').length > 0)
    expect(store.state().issuers.get(nodeId)).toBeUndefined()
  })

  it('is not what somebody else wrote into the log as its answer', async () => {
    const { issuer, holder, store, nodeId, events, admit } = await scene()
    const other = await admit('manager')
    const own = issuer()
    own.start()
    await until(() => pendingAt(store, nodeId) !== null)
    const { csr } = store.state().issuers.get(nodeId)!.pending!
    const [foreign] = parseCertificateChain(other.identity.certificateChain ?? '')
    const notAfter = Date.now() + DAY_MS
    for (const [serial, certificate] of [
      ['0a', 'no certificate'],
      ['0b', foreign!.pem],
    ] as const) {
      const answered = store.state().issuers.get(nodeId)!.pending?.csr ?? csr
      await store.commit(() => [
        {
          part: 'issuers',
          command: { type: 'record', managerId: nodeId, csr: answered, certificate, serial, notAfter },
        },
      ])
      await until(() => (store.state().issuers.get(nodeId)?.pending?.csr ?? answered) !== answered)
    }
    expect(events('intermediate')).toEqual([])
    expect(events('intermediate-delayed').length).toBe(2)
    holder()
    await until(() => events('intermediate').length === 1)
  })

  it('is withdrawn with its manager, whose nodes are told to renew, and those of others are not', async () => {
    const { issuer, holder, store, events, admit, now, issued, signal, parts } = await scene()
    holder()
    const [second, worker, byRoot] = [await admit('manager'), await admit('worker'), await admit('worker')]
    const own = issuer(second)
    own.start()
    await until(() => events('intermediate').length === 1)
    const viaSecond = createIssuing({ store, now, outside: null, own, signal })
    const csr = await createCsr(createNodeKey())
    const publicKeyHash = hashPublicKey(csr.publicKey, systemDigest)
    const nodeId = parseNodeId(worker.nodeId)
    await store.commit(() => [{ part: 'membership', command: { type: 'renew', nodeId, csr: csr.pem, publicKeyHash } }])
    await viaSecond.issueNow(nodeId)
    const chain = parseCertificateChain(nodeOf(store.state().membership, nodeId)?.certificate ?? '')
    expect(managerOfIntermediate(chain[1]!)).toBe(second.nodeId)

    // What a manager wrote into the log as a certificate does not keep it there.
    const other = await admit('worker')
    const odd = await createCsr(createNodeKey())
    const id = parseNodeId(other.nodeId)
    await store.commit(() => [
      { part: 'membership', command: { type: 'renew', nodeId: id, csr: odd.pem, publicKeyHash: 'f'.repeat(64) } },
      {
        part: 'membership',
        command: {
          type: 'record-certificate',
          ...{ nodeId: id, csr: odd.pem, serial: '0c', notAfter: now() + DAY_MS },
          certificate: '-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nodd',
        },
      },
    ])
    await store.commit((state) => evictionOrders(state, second.nodeId, 'gone', now()))
    const { membership, issuers } = store.state()
    expect(nodeOf(membership, worker.nodeId)?.status).toBe('rotate')
    expect(nodeOf(membership, byRoot.nodeId)?.status).toBe('issued')
    expect(issuers.has(second.nodeId)).toBe(false)
    await expect(own.authority(parts())).rejects.toThrowCode('INTERMEDIATE_MISSING')
    expect(issued(second.nodeId)).toEqual([])
  })
})

describe('a request for an intermediate', () => {
  /** What a manager that does as it likes writes into the log. */
  const write = async (store: Store, command: ClusterCommand): Promise<void> => {
    await store.commit(() => [command])
  }

  it('is refused when another manager made it, or nobody who is one', async () => {
    const { store, clusterId, nodeId, admit, holder, events, issued, now } = await scene()
    const [thief, worker, gone] = [await admit('manager'), await admit('worker'), await admit('manager')]
    await store.commit((state) => evictionOrders(state, gone.nodeId, 'gone', now()))
    const leave = holder()
    let refusals = 0
    const refused = async (managerId: string, by: ManagerIdentity, changes: Record<string, unknown>): Promise<void> => {
      const { pem: csr } = await createCsr(createNodeKey())
      const proof = proveRequest({ clusterId, nodeId: managerId, csr, at: now(), ...changes }, by)
      await write(store, { part: 'issuers', command: { type: 'request', managerId, csr, proof, now: now() } })
      refusals += 1
      await until(() => events('intermediate-refused').length === refusals)
      expect(issued(managerId)).toEqual([])
    }
    await refused(nodeId, thief.identity, {})
    await refused(nodeId, thief.identity, { nodeId: thief.nodeId })
    await refused(worker.nodeId, worker.identity, {})
    await refused(gone.nodeId, gone.identity, {})
    await refused(thief.nodeId, thief.identity, { at: now() - REQUEST_LIFE_MS - 1 })
    await refused(thief.nodeId, thief.identity, { at: now() + REQUEST_LIFE_MS + 1 })
    await refused(thief.nodeId, thief.identity, { csr: 'another one' })
    await refused(thief.nodeId, thief.identity, { clusterId: 'z'.repeat(25) })
    const { pem: csr } = await createCsr(createNodeKey())
    for (const proof of [PROOF, { ...PROOF, statement: new TextEncoder().encode('["a"]') }]) {
      await write(store, {
        part: 'issuers',
        command: { type: 'request', managerId: thief.nodeId, csr, proof, now: now() },
      })
      refusals += 1
      await until(() => events('intermediate-refused').length === refusals)
    }
    expect(issued(thief.nodeId)).toEqual([])
    await leave()
  })

  it('with the key of its manager, or no request at all, is signed by nobody, and keeps no other from it', async () => {
    const { store, clusterId, nodeId, identity, holder, events, issued, now, admit, issuer } = await scene()
    holder()
    for (const csr of [(await createCsr(openSigner(identity.privateKey))).pem, 'no request']) {
      const before = events('intermediate-delayed').length
      const proof = proveRequest({ clusterId, nodeId, csr, at: now() }, identity)
      await write(store, {
        part: 'issuers',
        command: { type: 'request', managerId: nodeId, csr, proof, now: now() },
      })
      await until(() => events('intermediate-delayed').length > before)
      expect(issued()).toEqual([])
    }
    expect(new Set(events('intermediate-delayed').map(({ code }) => code))).toEqual(
      new Set(['INTERMEDIATE_KEY_REUSED', 'CSR_MALFORMED']),
    )
    const second = await admit('manager')
    issuer(second).start()
    await until(() => issued(second.nodeId).length === 1)
  })

  it('is answered once, and not when another one has taken its place', () => {
    const request = (csr: string) => ({ type: 'request', managerId: 'm', csr, proof: PROOF, now: 1 }) as const
    const record = (csr: string, notAfter = 9) =>
      ({ type: 'record', managerId: 'm', csr, certificate: csr, serial: '0a', notAfter }) as const
    const after = (list: typeof issuerList.initial, command: Parameters<typeof issuerList.decide>[1]) =>
      issuerList.decide(list, command).reduce(issuerList.evolve, list)
    let list = after(issuerList.initial, request('a'))
    list = after(list, request('b'))
    expect(issuerList.decide(list, record('a'))).toEqual([])
    list = after(list, record('b'))
    expect(list.get('m')).toMatchObject({ pending: null, issued: [{ csr: 'b' }] })
    expect(issuerList.decide(list, record('b'))).toEqual([])
    expect(issuerList.decide(list, request('b'))).toEqual([])
    for (let number = 1; number < MAX_LIVE_INTERMEDIATES; number += 1) {
      list = after(list, request(`n${number}`))
      list = after(list, record(`n${number}`, 99))
    }
    expect(() => issuerList.decide(list, request('more'))).toThrowCode('TOO_MANY_INTERMEDIATES')
    list = after(list, { type: 'forget-ended', now: 50 })
    expect(list.get('m')?.issued).toHaveLength(MAX_LIVE_INTERMEDIATES - 1)
    expect(after(list, { type: 'forget-ended', now: 100 }).size).toBe(0)
  })
})

describe('a manager without the key of the root', () => {
  it('leaves certificates of managers to one that has it, and waits for its own', async () => {
    const { store, nodeId, identity, holder, signal, admit } = await scene()
    // As if the key were in a token of another manager.
    const without = createIssuing({
      store: { ...store, state: () => withoutKey(store) },
      now: Date.now,
      outside: null,
      signal,
    })
    const second = await admit('manager')
    const { trustBundle } = identity
    const renew = async (waitMs: number) =>
      await renewOwn({ nodeId: second.nodeId, store, issueNow: without.issueNow, trustBundle, waitMs, signal })
    await expect(renew(50)).rejects.toThrowCode('ROOT_KEY_OUTSIDE')
    await expect(without.issueNow(second.nodeId)).rejects.toThrowCode('ROOT_KEY_OUTSIDE')
    await without.issueFor(second.nodeId)
    await without.issueAll([second.nodeId])
    expect(without.putOff()).toEqual({ requests: 0, code: null })
    expect(nodeOf(store.state().membership, second.nodeId)?.status).toBe('renew')
    holder()
    const { certificateChain } = await renew(5000)
    expect(parseCertificateChain(certificateChain ?? '')).toHaveLength(1)
    expect(nodeOf(store.state().membership, nodeId)?.status).toBe('issued')
  })
})

function withoutKey(store: Store) {
  const state = store.state()
  const authority = foundedCluster(state)
  return { ...state, authority: { ...authority, roots: [{ ...authority.roots[0], privateKey: null }] as const } }
}
