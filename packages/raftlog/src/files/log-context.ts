import { RaftLogError } from '../errors.ts'
import {
  type DecodedHeader,
  decodeHeader,
  FILE_KIND,
  lifeOf,
  MAX_HEADER_BYTES,
  verifyHeader,
} from '../format/file-header.ts'
import type { FrameContext } from '../format/frame.ts'
import { formatHex } from '../format/hex.ts'
import type { FileKeyContext } from '../keys/data-key.ts'
import type { LogKeys } from '../keys/log-keys.ts'
import type { CipherSuite, LogFiles, RandomSource, ReadHandle } from '../ports.ts'

/** What every part of one open log works with. */
export interface LogContext {
  readonly files: LogFiles
  readonly suite: CipherSuite
  readonly random: RandomSource
  readonly keys: LogKeys
  readonly clusterId: string
  readonly logId: string
}

/** An open file whose header has been proven, with its key. */
export interface ProvenFile {
  readonly name: string
  readonly handle: ReadHandle
  readonly header: DecodedHeader
  readonly frames: FrameContext
}

/** The hash that ties each frame to the header of its file. */
export async function proveHeader(
  log: LogContext,
  handle: ReadHandle,
  name: string,
): Promise<Omit<ProvenFile, 'handle'>> {
  const bytes = await handle.read(0, MAX_HEADER_BYTES)
  const header = decodeHeader(bytes, name, log.suite)
  if (header.clusterId !== log.clusterId || header.logId !== log.logId) {
    throw new RaftLogError('LOG_FOREIGN', 'file belongs to another cluster or log; give the directory of this one', {
      place: { file: name, offset: 0 },
    })
  }
  const at: FileKeyContext = header
  const key = await log.keys.fileKey(formatHex(header.keyId), at)
  verifyHeader(header, name, key)
  const headerHash = log.suite.sha256(bytes.subarray(0, header.lengthBytes))
  return { name, header, frames: { key, headerHash, life: lifeOf(header) } }
}

/** Opens a file and proves its header; null if there is no such file. The caller closes the handle. */
export async function openProven(
  log: LogContext,
  name: string,
  kind: 'segment' | 'snapshot',
  number: bigint,
): Promise<ProvenFile | null> {
  const handle = await log.files.open(name)
  if (handle === null) return null
  try {
    const proven = await proveHeader(log, handle, name)
    const { header } = proven
    // A genuine file under the name of another one is as good as forged.
    const isSnapshot = header.kind === FILE_KIND.snapshot
    if (isSnapshot !== (kind === 'snapshot') || (isSnapshot ? header.index : header.sequence) !== number) {
      throw new RaftLogError(
        'RECORD_NOT_AUTHENTIC',
        'file stands under a name that is not its own; restore the directory',
        {
          place: { file: name, offset: 0 },
        },
      )
    }
    return { ...proven, handle }
  } catch (error) {
    await handle.close()
    throw error
  }
}
