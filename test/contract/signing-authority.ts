import {
  allowShortLifetime,
  type Certificate,
  type ClusterId,
  createCsr,
  type Grant,
  MIN_LIFETIME_MS,
  parseCsr,
  type Role,
  type SigningAuthority,
  verifyPeer,
} from '@leastwise/identity'
import { createNodeKey, systemVerifier } from '@leastwise/identity/node'
import { beforeAll, describe, expect, it } from 'vitest'
import { testClusterId, testNodeId } from '../support/test-authority.ts'

/** An authority, and what its certificates are judged by. */
export interface SigningAuthoritySetUp {
  readonly authority: SigningAuthority
  readonly roots: readonly Certificate[]
  /** The present, epoch milliseconds. */
  readonly now: number
}

const NAMES: Readonly<Record<Role, readonly string[]>> = {
  worker: ['swarm-worker', testNodeId(7)],
  manager: ['swarm-manager', testNodeId(7), 'swarm-ca'],
}

/** What a {@link SigningAuthority} must do, wherever its key is. Its profile must allow 90 days. */
export function signingAuthorityContract(name: string, setUp: () => Promise<SigningAuthoritySetUp>): void {
  describe(`signing authority: ${name}`, () => {
    const clusterId: ClusterId = testClusterId(3)
    const lifetimeMs = 90 * 24 * MIN_LIFETIME_MS
    const grantOf = (more: Partial<Grant> = {}): Grant => ({
      nodeId: testNodeId(7),
      clusterId,
      role: 'worker',
      lifetimeMs,
      ...more,
    })
    const { signal } = new AbortController()
    let authority: SigningAuthority
    let roots: readonly Certificate[]
    let now: number
    beforeAll(async () => {
      ;({ authority, roots, now } = await setUp())
    })

    it.each(['worker', 'manager'] as const)(
      'issues what the grant of a %s says, for the key of the request',
      async (role) => {
        const csr = await createCsr(createNodeKey())
        const certificate = await authority.issue(csr, grantOf({ role }), { now, signal })
        expect(certificate.publicKey).toEqual(csr.publicKey)
        expect(certificate.dnsNames.toSorted()).toEqual(NAMES[role].toSorted())
        expect(certificate.isCa).toBe(false)
        expect(certificate.keyUsage?.toSorted()).toEqual(['digitalSignature', 'keyEncipherment'])
        expect(certificate.extKeyUsage?.toSorted()).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
        expect(certificate.unknownCritical).toEqual([])
        expect(certificate.notAfter - now).toBeLessThanOrEqual(lifetimeMs + 60_000)
        expect(certificate.notBefore).toBeLessThanOrEqual(now + 60_000)
        const chain = [certificate, ...authority.intermediates]
        const peer = await verifyPeer(chain, {
          roots,
          now: Math.max(now, certificate.notBefore),
          clusterId,
          verifier: systemVerifier,
        })
        expect(peer).toMatchObject({ nodeId: testNodeId(7), role, clusterId })
      },
    )

    it('takes a P-384 key as well, and gives two requests two serial numbers', async () => {
      const csr = await createCsr(createNodeKey('p384'))
      const first = await authority.issue(csr, grantOf(), { now, signal })
      const second = await authority.issue(csr, grantOf(), { now, signal })
      expect(first.keyType).toBe('p384')
      expect(first.serial).not.toBe(second.serial)
    })

    it('issues nothing for a request that its key did not sign', async () => {
      const { der } = await createCsr(createNodeKey())
      der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1
      await expect(authority.issue(parseCsr(der), grantOf(), { now, signal })).rejects.toThrowCode(
        'CSR_SIGNATURE_INVALID',
      )
    })

    it('grants no less than the least lifetime and no more than the root has left', async () => {
      const csr = await createCsr(createNodeKey())
      const short = grantOf({ lifetimeMs: MIN_LIFETIME_MS - 1 })
      await expect(authority.issue(csr, short, { now, signal })).rejects.toThrowCode('LIFETIME_TOO_SHORT')
      const end = Math.max(...roots.map(({ notAfter }) => notAfter))
      const long = grantOf({ lifetimeMs: end - now + 2000 })
      await expect(authority.issue(csr, long, { now, signal })).rejects.toThrowCode('LIFETIME_EXCEEDS_ISSUER')
    })

    it.each([Number.NaN, Number.POSITIVE_INFINITY, 0, -1])(
      'takes %s for a mistake of the host, not for a lifetime',
      async (lifetime) => {
        const csr = await createCsr(createNodeKey())
        const grant = grantOf({ lifetimeMs: lifetime, [allowShortLifetime]: true })
        await expect(authority.issue(csr, grant, { now, signal })).rejects.toThrow(RangeError)
        await expect(authority.issue(csr, grantOf({ backdateMs: -1 }), { now, signal })).rejects.toThrow(RangeError)
      },
    )

    it('does nothing for a caller who gave up, and says why he did', async () => {
      const reason = new Error('shutting down')
      const csr = await createCsr(createNodeKey())
      const given = authority.issue(csr, grantOf(), { now, signal: AbortSignal.abort(reason) })
      await expect(given).rejects.toBe(reason)
    })
  })
}
