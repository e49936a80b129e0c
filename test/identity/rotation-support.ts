import {
  type AuthorityCommand,
  type AuthorityEvent,
  type AuthorityState,
  authorityEvents,
  authorityLife,
  type Certificate,
  crossSignRoot,
  DEFAULT_LIFETIME_MS,
  DEFAULT_ROTATION_POLICY,
  type FoundedAuthority,
  parseCertificate,
  type RotationMember,
  type RotationPolicy,
} from '@leastwise/identity'
import { openSigner, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { type TestCluster, testClusterId } from '../support/test-authority.ts'
import { CA, forge, subjectKeyId, twinOf } from './forge.ts'

export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

/** A root with its key. */
export interface TestRoot {
  readonly certificate: Certificate
  readonly privateKey: Uint8Array<ArrayBuffer>
}

/** A root that is an hour old at `now`. */
export async function testRoot(commonName: string, now: number): Promise<TestRoot> {
  return await createRoot({ now: now - HOUR_MS, serial: systemRandom.bytes(20), commonName })
}

/** The root of `next` under the key of `old`. */
export const crossed = async (next: TestRoot, old: TestRoot, now: number, lifetimeMs?: number): Promise<Certificate> =>
  await crossSignRoot({
    root: next.certificate,
    issuer: old.certificate,
    signer: openSigner(old.privateKey),
    serial: systemRandom.bytes(20),
    now,
    ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
    verifier: systemVerifier,
  })

/** The same in Docker's shape: named like its issuer, and without an authority key identifier. */
export async function dockerCrossed(next: TestRoot, old: TestRoot): Promise<Certificate> {
  const der = await forge({
    ...twinOf(next.certificate),
    issuer: old.certificate.subject.der,
    signer: openSigner(old.privateKey),
    extensions: [...CA, subjectKeyId(next.certificate.subjectKeyId!)],
  })
  return parseCertificate(der)
}

export const rootOfCluster = ({ root, rootKey }: TestCluster): TestRoot => ({ certificate: root, privateKey: rootKey })

export const apply = (state: AuthorityState, ...commands: readonly AuthorityCommand[]): AuthorityState =>
  commands.reduce((at, command) => authorityLife.decide(at, command).reduce(authorityLife.evolve, at), state)

export const replay = (events: readonly AuthorityEvent[]): AuthorityState =>
  events.reduce(authorityLife.evolve, authorityLife.initial)

/** What a snapshot of `state` leads to. */
export const restored = (state: AuthorityState): AuthorityState => replay(authorityEvents(state))

export function founded(state: AuthorityState): FoundedAuthority {
  if (state.phase === 'unfounded') throw new Error('there is no cluster')
  return state
}

export const foundedOn = (root: TestRoot, now: number): FoundedAuthority =>
  founded(
    apply(authorityLife.initial, {
      type: 'found',
      clusterId: testClusterId(1),
      certificate: root.certificate.pem,
      privateKey: root.privateKey,
      lifetimeMs: DEFAULT_LIFETIME_MS,
      now,
    }),
  )

export const start = (
  next: TestRoot,
  crossSigned: Certificate,
  now: number,
): AuthorityCommand & { type: 'start-rotation' } => ({
  type: 'start-rotation',
  root: { certificate: next.certificate.pem, privateKey: next.privateKey },
  crossSigned: crossSigned.pem,
  now,
})

export const calm = { issueLatencyMs: 10, queueDepth: 0 }
export const strain = { issueLatencyMs: 10, queueDepth: 10_000 }

export const policy = (change: Partial<RotationPolicy> = {}): RotationPolicy => ({
  ...DEFAULT_ROTATION_POLICY,
  ...change,
})

export const member = (nodeId: string, reachable = true): RotationMember => ({ nodeId, reachable })

export const parsed = (pem: string): Certificate => parseCertificate(pem)
