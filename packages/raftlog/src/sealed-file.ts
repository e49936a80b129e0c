import { SALT_BYTES } from './data-key.ts'
import { type DecodedHeader, encodeHeader, type FileHeader } from './file-header.ts'
import { temporaryName } from './file-names.ts'
import { type FrameContext, type FrameHead, sealFrame } from './frame.ts'
import type { LogContext } from './log-context.ts'
import type { AppendHandle } from './ports.ts'

/** A file that is being written. It has a fresh salt and so a key of its own, and is never opened again for writing. */
export interface SealedFile {
  readonly name: string
  readonly header: DecodedHeader
  readonly sizeBytes: () => number
  readonly frames: () => number
  readonly tag: () => Uint8Array<ArrayBuffer>
  /** Seals and appends one frame; durable after {@link SealedFile.sync}. */
  readonly write: (head: Omit<FrameHead, 'bodyBytes'>, body: Uint8Array) => Promise<void>
  readonly sync: AppendHandle['sync']
  /** Gives the file its name, so that it is seen either whole or not at all; durable before it resolves. */
  readonly publish: () => Promise<void>
  /** Closes, and removes a file that was not published. */
  readonly discard: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The key id, salt and version of a new file are not the caller's choice. */
export type NewFile = Pick<FileHeader, 'kind' | 'sequence' | 'index' | 'term' | 'previous'>

/** Starts a file under its temporary name and writes its header. */
export async function createSealedFile(log: LogContext, name: string, wanted: NewFile): Promise<SealedFile> {
  const { suite, files, clusterId, logId } = log
  const keyIdText = log.keys.writeKeyId()
  const salt = log.random.bytes(SALT_BYTES)
  const key = await log.keys.fileKey(keyIdText, { ...wanted, clusterId, logId, salt })
  const keyId = Uint8Array.from(keyIdText.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
  const header: FileHeader = { ...wanted, keyId, salt, clusterId, logId }
  const encoded = encodeHeader(header, key, suite)
  const context: FrameContext = { key, headerHash: suite.sha256(encoded.bytes) }

  let tag = encoded.tag
  let sizeBytes = encoded.bytes.length
  let frames = 0
  const temporary = temporaryName(name)
  const handle: AppendHandle = await files.create(temporary)
  const discard = async (): Promise<void> => {
    await handle.close()
    await files.remove(temporary)
  }
  try {
    await handle.append([encoded.bytes])
  } catch (error) {
    await discard().catch(() => undefined)
    throw error
  }
  return {
    name,
    header: { ...header, tag: encoded.tag, lengthBytes: encoded.bytes.length },
    sizeBytes: () => sizeBytes,
    frames: () => frames,
    tag: () => tag,
    write: async (head, body) => {
      const sealed = sealFrame(
        context,
        { number: frames, previous: tag },
        { ...head, bodyBytes: body.length },
        body,
        suite,
      )
      // Counted before the write: a number must not serve twice, even if the write fails half-way.
      frames += 1
      await handle.append(sealed.parts)
      tag = new Uint8Array(sealed.tag)
      sizeBytes += sealed.lengthBytes
    },
    sync: handle.sync,
    publish: async () => {
      await handle.sync()
      await files.rename(temporary, name)
      await files.syncDirectory()
    },
    discard,
    close: handle.close,
  }
}
