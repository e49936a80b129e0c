import { createPrivateKey } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, lstatSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Certificate, localAuthority, openAuthority, type Signer } from '@leastwise/identity'
import {
  createNodeKey,
  exportPrivateKey,
  openSigner,
  systemDigest,
  systemRandom,
  systemVerifier,
} from '@leastwise/identity/node'
import { codeOf, OrchestratorError } from '../../../errors.ts'
import type { SigningKeeper } from '../root-keeper.ts'

/** The option of `manager` that names the file. */
export const ROOT_KEY_FILE = 'root-key-file'

/** A key in PEM has a few hundred bytes. */
const MAX_FILE_BYTES = 16 * 1024

const usage = (problem: string, options?: ErrorOptions): OrchestratorError =>
  new OrchestratorError('USAGE', `the file that --${ROOT_KEY_FILE} names ${problem}`, options)

/** The key of the first root has the name itself, those of later ones that and a number. */
const nameOf = (path: string, number: number): string => (number === 1 ? path : `${path}.${number}`)

function readKey(path: string): Signer {
  let pem: string
  try {
    const { mode, size } = lstatSync(path)
    if ((mode & 0o077) !== 0) throw usage('can be read by others; run chmod 600 on it')
    if (size > MAX_FILE_BYTES) throw usage('is too large to be meant')
    pem = readFileSync(path, 'utf8')
  } catch (cause) {
    throw cause instanceof OrchestratorError ? cause : usage('cannot be read', { cause })
  }
  try {
    return openSigner(Uint8Array.from(createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' })))
  } catch {
    // No cause: it may quote the key.
    throw usage('holds no private key in PEM without a passphrase')
  }
}

function writeKey(path: string, privateKey: Uint8Array): void {
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' })
  let file: number
  try {
    file = openSync(path, 'wx', 0o600)
  } catch (cause) {
    throw usage(codeOf(cause) === 'EEXIST' ? 'is there already; name a new one' : 'cannot be made there', { cause })
  }
  try {
    writeSync(file, key.export({ format: 'pem', type: 'pkcs8' }).toString())
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

/** By its public half, which the log has. */
function keyOf(path: string, { publicKey }: Certificate): Signer {
  for (let number = 1; existsSync(nameOf(path, number)); number += 1) {
    const signer = readKey(nameOf(path, number))
    if (Buffer.compare(signer.publicKey, publicKey) === 0) return signer
  }
  throw new OrchestratorError(
    'ROOT_KEY_OUTSIDE',
    `the file that --${ROOT_KEY_FILE} names is not there, or has not the key of the root of this cluster; bring the one that has`,
  )
}

/** Keys of this cluster's roots in files of one machine, or of a disk that is brought to it: no log and no other manager has them. */
export function openRootKeyFile(given: string): SigningKeeper {
  const path = resolve(given)
  return {
    kind: 'file',
    issueOperator: null,
    signer: async (root) => await Promise.resolve(keyOf(path, root)),
    authority: async ({ certificate, intermediates }) => {
      const parts = { certificate, signer: keyOf(path, certificate), intermediates }
      const authority = await openAuthority(parts, { verifier: systemVerifier })
      return localAuthority(authority, { random: systemRandom, verifier: systemVerifier, digest: systemDigest })
    },
    createSigner: async () => {
      let number = 1
      while (existsSync(nameOf(path, number))) number += 1
      const key = createNodeKey()
      writeKey(nameOf(path, number), exportPrivateKey(key))
      return await Promise.resolve({
        signer: key,
        discard: async () => {
          rmSync(nameOf(path, number), { force: true })
          await Promise.resolve()
        },
      })
    },
    proves: null,
    crossSign: null,
    [Symbol.asyncDispose]: async () => {
      await Promise.resolve()
    },
  }
}
