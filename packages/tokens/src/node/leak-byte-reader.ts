const LINE_FEED = 10
// Far more than any line of git's answers; a stream without a line feed is not gathered for ever.
const MAX_LINE_BYTES = 4096

/** Takes a stream of bytes apart into lines and stretches of known length. */
export interface ByteReader {
  /** The next line without its end; `null` when the stream ends first or the line is longer than 4096 bytes. */
  readonly line: () => Promise<string | null>
  /** At least one byte and at most `limit`, as they come; `null` at the end of the stream. */
  readonly some: (limit: number) => Promise<Buffer | null>
}

/** A reader over chunks, in the order of its calls: each is waited for before the next. */
export function byteReader(chunks: AsyncIterable<Buffer>): ByteReader {
  const source = chunks[Symbol.asyncIterator]()
  let rest: Buffer = Buffer.alloc(0)

  const some = async (limit: number): Promise<Buffer | null> => {
    while (rest.length === 0) {
      const next = await source.next()
      if (next.done === true) return null
      rest = next.value
    }
    const part = rest.subarray(0, limit)
    rest = rest.subarray(part.length)
    return part
  }

  const line = async (): Promise<string | null> => {
    let text = ''
    while (text.length <= MAX_LINE_BYTES) {
      const part = await some(MAX_LINE_BYTES)
      if (part === null) return null
      const end = part.indexOf(LINE_FEED)
      if (end >= 0) {
        rest = Buffer.concat([part.subarray(end + 1), rest])
        return text + part.toString('latin1', 0, end)
      }
      text += part.toString('latin1')
    }
    return null
  }
  return { line, some }
}
