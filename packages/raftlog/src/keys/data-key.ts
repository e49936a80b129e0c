import { byteWriter } from '../format/byte-writer.ts'
import type { CipherSuite, RandomSource } from '../ports.ts'

/** Bytes of a data key. */
export const DEK_BYTES = 32
/** Bytes of a data key's id. */
export const KEY_ID_BYTES = 16
/** Bytes of the salt drawn for each file; 256 bits, so that no two files under one data key ever share a key. */
export const SALT_BYTES = 32

const text = new TextEncoder()
const KEY_ID_INFO = text.encode('leastwise raftlog key id v1')
const FILE_KEY_INFO = text.encode('leastwise raftlog file key v1')

/** What the key of one file is bound to. */
export interface FileKeyContext {
  readonly kind: number
  readonly sequence: bigint
  readonly clusterId: string
  readonly logId: string
  readonly salt: Uint8Array
}

/** A fresh data key. */
export const createDek = (random: RandomSource): Uint8Array<ArrayBuffer> => random.bytes(DEK_BYTES)

/** The public id of a data key: derived from it, so that an id can never be moved to another key. */
export const dekId = (dek: Uint8Array, suite: CipherSuite): Uint8Array<ArrayBuffer> =>
  suite.hkdf(dek, new Uint8Array(0), KEY_ID_INFO, KEY_ID_BYTES)

/** The key of one file: useless for any other cluster, log, kind, sequence or opening. */
export function deriveFileKey(dek: Uint8Array, at: FileKeyContext, suite: CipherSuite): Uint8Array<ArrayBuffer> {
  const cluster = text.encode(at.clusterId)
  const log = text.encode(at.logId)
  const info = byteWriter(FILE_KEY_INFO.length + 11 + cluster.length + log.length)
    .bytes(FILE_KEY_INFO)
    .u8(at.kind)
    .u64(at.sequence)
    .u8(cluster.length)
    .bytes(cluster)
    .u8(log.length)
    .bytes(log)
    .written()
  return suite.hkdf(dek, at.salt, info, DEK_BYTES)
}
