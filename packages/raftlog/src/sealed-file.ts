import { SALT_BYTES } from './data-key.ts'
import { RaftLogError } from './errors.ts'
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
  /** Has zeros written behind the last frame if they are used up and further frames of its size gain by them. */
  readonly fillAhead: () => Promise<void>
  /** Ends the file behind its last frame, all of it durable; false, and nothing done, if no zeros were written. */
  readonly cutAhead: () => Promise<boolean>
  /** Gives the file its name, so that it is seen either whole or not at all; durable before it resolves. */
  readonly publish: () => Promise<void>
  /** Closes, and removes a file that was not published. */
  readonly discard: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The key id, salt and version of a new file are not the caller's choice. */
export type NewFile = Pick<FileHeader, 'kind' | 'sequence' | 'index' | 'term' | 'previous'>

// With fewer frames to a step the zeros cost about what they spare.
const FRAMES_A_STEP = 16

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
  let lastFrameBytes = 0
  let zeros = 0
  let mayFill = true
  let isFilled = false
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
      key.release?.(sealed.body)
      lastFrameBytes = sealed.lengthBytes
      zeros = Math.max(0, zeros - sealed.lengthBytes)
    },
    sync: handle.sync,
    fillAhead: async () => {
      const { ahead } = handle
      if (ahead === undefined || !mayFill || zeros >= lastFrameBytes) return
      if (lastFrameBytes * FRAMES_A_STEP > ahead.stepBytes) return
      isFilled = true
      try {
        await ahead.fill()
        zeros = ahead.stepBytes
      } catch (error) {
        // There is room for entries still, so there is nothing to stop for.
        if (!(error instanceof RaftLogError && error.code === 'DISK_FULL')) throw error
        mayFill = false
      }
    },
    cutAhead: async () => {
      if (handle.ahead === undefined || !isFilled) return false
      await handle.ahead.cut()
      isFilled = false
      zeros = 0
      return true
    },
    publish: async () => {
      await handle.sync()
      await files.rename(temporary, name)
      await files.syncDirectory()
    },
    discard,
    close: handle.close,
  }
}
