import { RaftLogError } from '../errors.ts'
import { type DecodedHeader, encodeHeader, type FileHeader, isLifeOver, lifeOf } from '../format/file-header.ts'
import { temporaryName } from '../format/file-names.ts'
import { FRAME_HEAD_BYTES, type FrameContext, type FrameHead, sealFrame } from '../format/frame.ts'
import { SALT_BYTES } from '../keys/data-key.ts'
import type { AppendHandle } from '../ports.ts'
import type { LogContext } from './log-context.ts'
import type { SpareFile } from './spare-files.ts'

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
  /** Ends the file behind its last frame, all of it durable; false, and nothing done, if nothing lies behind it. */
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

/**
 * How many zeros go behind a frame that ends at `end`, over bytes that reach to `bottom`: enough that what was there before
 * is not taken for a frame that was begun, and to the end of the block, which would have to be read for its other part.
 */
const zerosBehind = (end: number, bottom: number, blockBytes: number): number => {
  const until = Math.ceil((end + FRAME_HEAD_BYTES) / blockBytes) * blockBytes
  return Math.max(0, Math.min(until, bottom) - end)
}

/** Starts a file under its temporary name, or over a spare one, and writes its header. */
export async function createSealedFile(
  log: LogContext,
  name: string,
  wanted: NewFile,
  spare: SpareFile | null = null,
): Promise<SealedFile> {
  const { suite, files, clusterId, logId } = log
  const keyIdText = log.keys.writeKeyId()
  const salt = log.random.bytes(SALT_BYTES)
  // Once in millions of times its frames could not be told from those below: then nothing lies below.
  const below = spare !== null && isLifeOver({ salt }, spare.life) ? spare : null
  const over = below?.life ?? null
  const key = await log.keys.fileKey(keyIdText, { ...wanted, clusterId, logId, salt })
  const keyId = Uint8Array.from(keyIdText.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
  const header: FileHeader = { ...wanted, keyId, salt, over, clusterId, logId }
  const encoded = encodeHeader(header, key, suite)
  const context: FrameContext = { key, headerHash: suite.sha256(encoded.bytes), life: lifeOf(header) }

  let tag = encoded.tag
  let sizeBytes = encoded.bytes.length
  let frames = 0
  let lastFrameBytes = 0
  // Where the bytes below end, and those that lie ahead in any way.
  let bottom = below?.sizeBytes ?? 0
  let reach = bottom
  let mayFill = true
  let isAhead = below !== null
  let isSynced = false
  const temporary = spare?.name ?? temporaryName(name)
  const handle: AppendHandle =
    below === null || files.reuse === undefined ? await files.create(temporary) : await files.reuse(temporary)
  const blockBytes = handle.ahead?.blockBytes ?? 1
  const sync: AppendHandle['sync'] = async () => {
    await handle.sync()
    isSynced = true
  }
  const discard = async (): Promise<void> => {
    await handle.close()
    await files.remove(temporary)
  }
  try {
    await handle.append([encoded.bytes], zerosBehind(sizeBytes, bottom, blockBytes))
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
      isSynced = false
      await handle.append(sealed.parts, zerosBehind(sizeBytes + sealed.lengthBytes, bottom, blockBytes))
      tag = new Uint8Array(sealed.tag)
      sizeBytes += sealed.lengthBytes
      key.release?.(sealed.body)
      lastFrameBytes = sealed.lengthBytes
    },
    sync,
    fillAhead: async () => {
      const { ahead } = handle
      if (ahead === undefined || !mayFill || reach - sizeBytes >= lastFrameBytes) return
      if (lastFrameBytes * FRAMES_A_STEP > ahead.stepBytes) return
      isAhead = true
      try {
        await ahead.fill()
        reach = Math.max(reach, sizeBytes + ahead.stepBytes)
      } catch (error) {
        // There is room for entries still, so there is nothing to stop for.
        if (!(error instanceof RaftLogError && error.code === 'DISK_FULL')) throw error
        mayFill = false
      }
    },
    cutAhead: async () => {
      if (handle.ahead === undefined || !isAhead) return false
      await handle.ahead.cut()
      isAhead = false
      bottom = 0
      reach = 0
      return true
    },
    publish: async () => {
      if (!isSynced) await sync()
      await files.rename(temporary, name)
      await files.syncDirectory()
    },
    discard,
    close: handle.close,
  }
}
