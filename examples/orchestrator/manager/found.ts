import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  createCsr,
  DEFAULT_LIFETIME_MS,
  formatCertificateChain,
  issueCertificate,
  openAuthority,
  parseClusterId,
  parseNodeId,
} from '@leastwise/identity'
import {
  clearWrapper,
  createNodeKey,
  exportPrivateKey,
  openKeyFile,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { createRoot } from '@leastwise/identity/x509'
import { createLog } from '@leastwise/raftlog/node'
import { createId, hashPublicKey } from '@leastwise/tokens'
import type { NewTokenAnswer } from '../operator/answers.ts'
import { managerKeys } from './manager-keys.ts'
import { openStore } from './store.ts'
import { newToken } from './tokens.ts'

/** Where a manager's durable state lies inside its data directory. */
export const statePlaces = (
  dataDirectory: string,
): { readonly state: string; readonly keyFile: string; readonly log: string } => {
  const state = join(dataDirectory, 'state')
  return { state, keyFile: join(state, 'node.key'), log: join(state, 'log') }
}

export const isFounded = (dataDirectory: string): boolean => existsSync(statePlaces(dataDirectory).state)

function renameDurably(from: string, to: string, directory: string): void {
  renameSync(from, to)
  const handle = openSync(directory, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

/**
 * The first start: makes the cluster's root, this manager's identity and one join token for each role.
 *
 * Everything is made in a directory beside the final one, which then gets its name in one step: a crash on the way
 * leaves no half-made cluster, and no root key in an abandoned log.
 *
 * @returns the two tokens; they are kept nowhere, so show them now.
 */
export async function foundCluster(dataDirectory: string, now: number): Promise<readonly NewTokenAnswer[]> {
  const founding = join(dataDirectory, 'founding')
  rmSync(founding, { recursive: true, force: true })
  mkdirSync(founding, { mode: 0o700 })
  try {
    const tokens = await makeCluster(founding, now)
    renameDurably(founding, statePlaces(dataDirectory).state, dataDirectory)
    return tokens
  } catch (error) {
    rmSync(founding, { recursive: true, force: true })
    throw error
  }
}

async function makeCluster(founding: string, now: number): Promise<readonly NewTokenAnswer[]> {
  const clusterId = parseClusterId(createId(systemRandom))
  const nodeId = parseNodeId(createId(systemRandom))
  const root = await createRoot({ now, serial: systemRandom.bytes(20) })
  const authority = await openAuthority(
    { certificate: root.certificate, signer: openSigner(root.privateKey) },
    { verifier: systemVerifier },
  )
  const key = createNodeKey()
  const csr = await createCsr(key)
  const certificate = await issueCertificate(
    authority,
    csr,
    { nodeId, role: 'manager', clusterId, lifetimeMs: DEFAULT_LIFETIME_MS },
    { now, random: systemRandom, verifier: systemVerifier, digest: systemDigest },
  )

  const trustBundle = root.certificate.pem
  const identity = {
    privateKey: exportPrivateKey(key),
    certificateChain: formatCertificateChain([certificate]),
    trustBundle,
  }
  const keys = managerKeys({
    file: await openKeyFile(join(founding, 'node.key')),
    wrapper: clearWrapper,
    content: { ...identity, companion: {} },
  })
  await using log = await createLog({
    directory: join(founding, 'log'),
    clusterId,
    logId: nodeId,
    keys: keys.keyStore,
    wrapper: clearWrapper,
  })
  const store = await openStore(log)
  const bundle = new TextEncoder().encode(trustBundle)
  const tokens = (['worker', 'manager'] as const).map((role) =>
    newToken(bundle, { role, ttlMs: null, maxUses: null, overlapMs: null }, now),
  )
  await store.commit(() => [
    {
      part: 'authority',
      command: {
        type: 'found',
        clusterId,
        certificate: trustBundle,
        privateKey: root.privateKey,
        lifetimeMs: DEFAULT_LIFETIME_MS,
        now,
      },
    },
    {
      part: 'membership',
      command: {
        type: 'admit',
        nodeId,
        role: 'manager',
        csr: csr.pem,
        publicKeyHash: hashPublicKey(csr.publicKey, systemDigest),
        now,
      },
    },
    {
      part: 'membership',
      command: {
        type: 'record-certificate',
        nodeId,
        csr: csr.pem,
        certificate: identity.certificateChain,
        serial: certificate.serial,
        notAfter: certificate.notAfter,
      },
    },
    ...tokens.map(({ order }) => order),
  ])
  await log.close()
  return tokens.map(({ answer }) => answer)
}
