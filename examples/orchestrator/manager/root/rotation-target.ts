import {
  type AuthorityRoot,
  type Certificate,
  crossSignRoot,
  type FoundedAuthority,
  parseCertificate,
  parseTrustBundle,
  type Signer,
  selfSignedRoot,
  verifyTrustBundleRoots,
} from '@leastwise/identity'
import { openSigner, systemDigest, systemRandom, systemVerifier } from '@leastwise/identity/node'
import { OrchestratorError } from '../../errors.ts'
import type { OwnCa } from '../../own-ca.ts'
import { importOwnCa } from './import-own-ca.ts'
import { issuerInForce } from './issuer-in-force.ts'
import type { RootKeeper } from './root-keeper.ts'

const SERIAL_BYTES = 20

/** Where a rotation leads to. */
export interface RotationTarget {
  readonly root: AuthorityRoot
  /** The new root once more, signed by the one in force. */
  readonly crossSigned: Certificate
  /** Takes back what was made for it elsewhere, when nothing came of it. */
  readonly discard: () => Promise<void>
}

export interface TargetOptions {
  readonly authority: FoundedAuthority
  readonly keeper: RootKeeper | null
  readonly now: number
  readonly signal: AbortSignal
}

interface NewRoot {
  readonly root: AuthorityRoot
  /** The key of the new root; null when an external CA has it. */
  readonly signer: Signer | null
  readonly discard: () => Promise<void>
}

const nothing = async (): Promise<void> => {
  await Promise.resolve()
}

const keyOutside = (what: string): OrchestratorError => new OrchestratorError('ROOT_KEY_OUTSIDE', what)

/**
 * Makes or checks the root that a rotation is to lead to, and has it signed by the root in force. Nothing is in the log yet.
 *
 * @param brought - What the operator brought along; null for a root that is made here.
 * @throws OrchestratorError `ROOT_KEY_OUTSIDE` if nobody here can sign for the root in force, or with the new one; the codes of importing and cross-signing.
 */
export async function rotationTarget(brought: OwnCa | null, options: TargetOptions): Promise<RotationTarget> {
  const { authority, keeper } = options
  const [inForce] = authority.roots
  if ((inForce.intermediates ?? []).length > 0)
    throw keyOutside(
      'the cluster issues from an intermediate that was brought along, whose root would have to vouch for a new one; found a cluster on the new root',
    )
  if (inForce.privateKey === null && keeper === null)
    throw keyOutside('this manager has not the key of the root; ask one that has it')
  const isElsewhere = inForce.privateKey === null && !keeper?.signer
  if (isElsewhere && brought === null)
    throw keyOutside('the key of the root is with an external ca; name the new root with --ca-cert and --ca-key')
  const { root, signer, discard } = brought === null ? await makeRoot(options) : await takeRoot(brought, options)
  try {
    const crossSigned = isElsewhere
      ? await crossSignOutside(parseCertificate(root.certificate), signer, options)
      : await crossSignHere(parseCertificate(root.certificate), options)
    return { root, crossSigned, discard }
  } catch (error) {
    await discard()
    throw error
  }
}

/** A new root, with its key in the token if there is one, else in the log. */
async function makeRoot({ authority, keeper, now }: TargetOptions): Promise<NewRoot> {
  // A name that no root of this cluster has had: chains of both are told apart by it.
  const commonName = `swarm-ca-${authority.aims + 2}`
  if (keeper?.createSigner) {
    const { signer, discard } = await keeper.createSigner()
    const needs = { random: systemRandom, digest: systemDigest, verifier: systemVerifier }
    const { pem } = await selfSignedRoot(signer, { now, commonName, ...needs })
    return { root: { certificate: pem, privateKey: null }, signer, discard }
  }
  // Of a manager's life this is a rare moment, and what makes roots takes long to load.
  const { createRoot } = await import('@leastwise/identity/x509')
  const { certificate, privateKey } = await createRoot({ now, serial: systemRandom.bytes(SERIAL_BYTES), commonName })
  return { root: { certificate: certificate.pem, privateKey }, signer: openSigner(privateKey), discard: nothing }
}

/** A root that the operator brought along, with its key for the log, or without it when the external CA has that. */
async function takeRoot(brought: OwnCa, { authority, keeper, now, signal }: TargetOptions): Promise<NewRoot> {
  const { certificates, privateKey } = brought
  const { lifetimeMs } = authority
  if (privateKey !== null) {
    const root = await importOwnCa({ certificates, privateKey }, { now, lifetimeMs })
    return { root, signer: openSigner(privateKey), discard: nothing }
  }
  if (!keeper?.proves)
    throw keyOutside(
      'nobody here has the key of the new root; name it with --ca-key, or start the manager with --external-ca for it',
    )
  const bundle = parseTrustBundle(certificates)
  await verifyTrustBundleRoots(bundle, { verifier: systemVerifier, now })
  const [root, ...others] = bundle.roots
  if (root === undefined || others.length > 0)
    throw new OrchestratorError('USAGE', '--ca-cert without --ca-key names one root certificate and no other')
  await keeper.proves(root, { now, lifetimeMs, signal })
  return { root: { certificate: root.pem, privateKey: null }, signer: null, discard: nothing }
}

async function crossSignHere(root: Certificate, { authority, keeper, now }: TargetOptions): Promise<Certificate> {
  const { certificate: issuer, signer } = await issuerInForce(authority, keeper, '')
  const serial = systemRandom.bytes(SERIAL_BYTES)
  return await crossSignRoot({ root, issuer, signer, serial, now, verifier: systemVerifier })
}

async function crossSignOutside(
  root: Certificate,
  signer: Signer | null,
  { authority, keeper, now, signal }: TargetOptions,
): Promise<Certificate> {
  if (signer === null || !keeper?.crossSign)
    throw keyOutside('one external ca signs the new root of another only with its key at hand; name it with --ca-key')
  return await keeper.crossSign(parseCertificate(authority.roots[0].certificate), { root, signer, now, signal })
}
