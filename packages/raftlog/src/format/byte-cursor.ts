/** Reads big-endian fields one after the other; asks `short` for the error to throw when the bytes run out. */
export interface ByteCursor {
  readonly offset: () => number
  readonly remaining: () => number
  readonly u8: () => number
  readonly u16: () => number
  readonly u32: () => number
  readonly u64: () => bigint
  /** A copy of the next `length` bytes. */
  readonly bytes: (length: number) => Uint8Array<ArrayBuffer>
}

export function byteCursor(data: Uint8Array, short: () => Error): ByteCursor {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  let at = 0
  const take = (length: number): number => {
    if (data.length - at < length) throw short()
    at += length
    return at - length
  }
  return {
    offset: () => at,
    remaining: () => data.length - at,
    u8: () => view.getUint8(take(1)),
    u16: () => view.getUint16(take(2)),
    u32: () => view.getUint32(take(4)),
    u64: () => view.getBigUint64(take(8)),
    bytes: (length) => {
      const from = take(length)
      return new Uint8Array(data.subarray(from, from + length))
    },
  }
}
